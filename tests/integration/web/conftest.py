"""Browsers for tests of pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.browser import SIZE, chromium, program

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE = 60_000.0
"""How long (milliseconds) something is waited for in a page."""


@pytest.fixture(scope="module")
def browser(require_system_part: Callable[[str, bool], None]) -> Iterator[Browser]:
    """A Chromium for the tests of this module."""
    require_system_part("chromium", program() is not None)
    with chromium() as found:
        yield found


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open pages, each in a profile of its own: ``open_page(url, color_scheme="dark")``."""
    contexts = []

    def open_one(url: str, **options: Any) -> Page:
        context = browser.new_context(viewport=SIZE, **options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()
