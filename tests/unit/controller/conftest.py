"""A registry, and a controller that is it or an adapter on it; a scene of a hub and its peers."""

from __future__ import annotations

import pytest

from ctrlhub.controller.service import ControllerService, IControllerBase
from tests.support.registry import WAYS
from tests.support.scene import Scene


@pytest.fixture
def service() -> ControllerService:
    """A registry with nothing in it; test classes override it for other options."""
    return ControllerService()


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def controller(request: pytest.FixtureRequest, service: ControllerService) -> IControllerBase:
    """The registry itself, and adapters on it: the same tests hold for each."""
    return request.param(service)


@pytest.fixture
def scene() -> Scene:
    """A world with a client and two engines."""
    return Scene()
