"""``save_ids=True``: an id is kept for the engine that had it."""

from __future__ import annotations

import pytest

from ctrlhub.controller.service import ControllerService, IControllerBase
from ctrlhub.wire.errors import RegistrationRefused, TooManyEngines
from tests.support.registry import Engine, register


class TestSavedIds:
    """save_ids=True keeps an id for the engine that had it."""

    @pytest.fixture
    def service(self) -> ControllerService:
        """Three ids, saved."""
        return ControllerService(max_engines=3, save_ids=True)

    def test_the_same_engine_gets_it_back(self, controller: IControllerBase) -> None:
        """The key is what is recognised; nobody else got the id meanwhile."""
        assert register(controller, "a", "b") == [0, 1]
        controller.unregister_engine(0)
        assert register(controller, "c") == [2]
        assert register(controller, "a") == [0]

    def test_whatever_id_it_desires(self, controller: IControllerBase) -> None:
        """An engine that comes back gets its own id, also when it asks for a free one."""
        register(controller, "a")
        controller.unregister_engine(0)
        assert controller.register_engine(Engine("a"), id=2) == {"id": 0}

    def test_a_reserved_id_cannot_be_desired_by_another(self, controller: IControllerBase) -> None:
        """Asking for a reserved id gives the lowest free one."""
        register(controller, "a")
        controller.unregister_engine(0)
        assert controller.register_engine(Engine("b"), id=0) == {"id": 1}

    def test_again_and_again(self, controller: IControllerBase) -> None:
        """The seed retired an id for good, and ran out of them; a reservation is renewed."""
        for _ in range(10):
            assert register(controller, "a") == [0]
            controller.unregister_engine(0)

    def test_the_oldest_reservation_gives_way(
        self, controller: IControllerBase, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Reservations keep no living engine out: the oldest is given up, and logged."""
        register(controller, "a", "b", "c")
        for id in (1, 0):
            controller.unregister_engine(id)
        assert register(controller, "new") == [1]
        assert "reservation of id 1 is given up" in caplog.text
        assert register(controller, "b") == [0]
        with pytest.raises(TooManyEngines):
            controller.register_engine(Engine("a"))

    def test_one_key_is_one_engine(self, controller: IControllerBase) -> None:
        """A key that is registered is refused by name, until that engine is unregistered."""
        register(controller, "a")
        with pytest.raises(RegistrationRefused, match="as engine 0"):
            controller.register_engine(Engine("a"))
        assert list(controller.engines) == [0]
        controller.unregister_engine(0)
        assert register(controller, "a") == [0]

    def test_released_id_is_anyones(self, service: ControllerService) -> None:
        """After a deliberate stop the id is free, and the old engine a newcomer."""
        register(service, "a", "b")
        service.unregister_engine(0)
        service.release_id(0)
        assert register(service, "c", "a") == [0, 2]

    def test_released_while_registered(self, service: ControllerService) -> None:
        """An engine may say that it will stop: it keeps its id until then, not afterwards."""
        register(service, "a", "b")
        service.release_id(0)
        assert list(service.engines) == [0, 1]
        assert register(service, "c") == [2]
        service.unregister_engine(0)
        assert register(service, "d") == [0]

    def test_release_holds_for_one_life(self, service: ControllerService) -> None:
        """The next engine with the id has it reserved as any other."""
        register(service, "a")
        service.release_id(0)
        service.unregister_engine(0)
        register(service, "b")
        service.unregister_engine(0)
        assert register(service, "c", "b") == [1, 0]

    @pytest.mark.parametrize("id", [0, 2, 3, -1])
    def test_releasing_what_is_not_kept_is_harmless(
        self, service: ControllerService, id: int
    ) -> None:
        """A free or impossible id can be released; nothing happens."""
        service.release_id(id)
        assert register(service, "a", "b", "c") == [0, 1, 2]

    def test_release_without_saved_ids_is_harmless(self) -> None:
        """Where nothing is reserved there is nothing to release, live or not."""
        service = ControllerService()
        register(service, "a")
        service.release_id(0)
        service.unregister_engine(0)
        assert register(service, "b") == [0]
