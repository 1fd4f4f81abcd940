"""The engine registry: engines come and go, and adapters share it."""

from __future__ import annotations

import inspect
import logging
from typing import Any

import pytest

from ctrlhub.controller.service import (
    ControllerAdapterBase,
    ControllerService,
    IControllerBase,
    IControllerCore,
    RemoteEngine,
)
from ctrlhub.wire.errors import ControllerStopped, TooManyEngines
from tests.support.registry import Calls, Engine, register

SEVEN_METHODS = (
    "register_engine",
    "unregister_engine",
    "on_register_engine_do",
    "on_unregister_engine_do",
    "on_register_engine_do_not",
    "on_unregister_engine_do_not",
    "on_n_engines_registered_do",
)


class TestInterface:
    """What is there, by name."""

    def test_provides_both_interfaces(self, controller: IControllerBase) -> None:
        """Service and adapter are an IControllerCore and an IControllerBase."""
        assert isinstance(controller, IControllerCore)
        assert isinstance(controller, IControllerBase)

    @pytest.mark.parametrize("name", SEVEN_METHODS)
    def test_methods_have_the_signatures_of_the_interface(self, name: str) -> None:
        """The seven methods exist on the service and the adapter, argument by argument."""
        promised = inspect.signature(getattr(IControllerCore, name))
        assert inspect.signature(getattr(ControllerService, name)) == promised
        assert inspect.signature(getattr(ControllerAdapterBase, name)) == promised
        assert name in vars(ControllerService)
        assert name in vars(ControllerAdapterBase)

    def test_defaults(self, service: ControllerService) -> None:
        """511 engines, and ids are not saved."""
        assert (service.max_engines, service.save_ids) == (511, False)

    def test_something_else_is_no_controller(self) -> None:
        """An object without the methods does not provide the interface."""
        assert not isinstance(object(), IControllerCore)

    def test_engine_is_known_by_its_key(self) -> None:
        """All that is asked of an engine is a key."""
        assert isinstance(Engine(), RemoteEngine)
        assert not isinstance(object(), RemoteEngine)


class TestRegistration:
    """Engines come and go."""

    def test_reply_and_mapping(self, controller: IControllerBase) -> None:
        """The reply is the id, under which the engine itself is found."""
        engine = Engine()
        reply = controller.register_engine(engine, 0, "10.0.0.7", 4000, 123)
        assert reply == {"id": 0}
        assert controller.engines[0] is engine

    def test_unregister(self, controller: IControllerBase) -> None:
        """An engine that is unregistered is gone from the mapping."""
        register(controller, "a", "b")
        controller.unregister_engine(0)
        assert list(controller.engines) == [1]
        controller.unregister_engine(1)
        assert dict(controller.engines) == {}

    def test_mapping_is_live_and_read_only(self, controller: IControllerBase) -> None:
        """The mapping follows the registry, and nobody changes it from outside."""
        engines = controller.engines
        register(controller, "a")
        assert list(engines) == [0]
        with pytest.raises(TypeError):
            engines[1] = Engine()
        with pytest.raises(TypeError):
            del engines[0]

    def test_lowest_free_id_first(self, controller: IControllerBase) -> None:
        """Ids count from 0; one that came back is given out before a new one."""
        assert register(controller, "a", "b", "c", "d") == [0, 1, 2, 3]
        for id in (2, 0):
            controller.unregister_engine(id)
        assert register(controller, "e", "f", "g") == [0, 2, 4]

    def test_free_desired_id_is_honoured(self, controller: IControllerBase) -> None:
        """An engine that asks for a free id gets it, and the others fill up below and above."""
        assert controller.register_engine(Engine(), id=2) == {"id": 2}
        assert register(controller, "b", "c", "d") == [0, 1, 3]

    def test_desired_id_that_came_back_is_honoured(self, controller: IControllerBase) -> None:
        """An id that was used before can be asked for, and is then taken."""
        register(controller, "a", "b", "c")
        controller.unregister_engine(0)
        controller.unregister_engine(1)
        assert controller.register_engine(Engine(), id=1) == {"id": 1}
        assert register(controller, "d", "e") == [0, 3]

    @pytest.mark.parametrize("desired", [0, -1, 511, 10**12], ids=str)
    def test_desired_id_that_cannot_be_had(self, controller: IControllerBase, desired: int) -> None:
        """A taken, negative or too large id is no error: the lowest free one is given."""
        register(controller, "a")
        assert controller.register_engine(Engine(), id=desired) == {"id": 1}

    def test_ids_end_below_max_engines(self) -> None:
        """max_engines is a count: its number is not an id, the one below is."""
        service = ControllerService(max_engines=3)
        assert service.register_engine(Engine(), id=2) == {"id": 2}
        assert service.register_engine(Engine(), id=3) == {"id": 0}

    def test_a_far_desired_id_costs_nothing(self) -> None:
        """An engine cannot make the hub count up to the id it desires."""
        service = ControllerService(max_engines=10**15)
        assert service.register_engine(Engine(), id=10**15 - 1) == {"id": 10**15 - 1}
        assert register(service, "a") == [0]

    def test_too_many_engines(self) -> None:
        """The default admits 511; the next gets an error with a name, and nothing changes."""
        service = ControllerService()
        heard = Calls()
        assert register(service, *map(str, range(511))) == list(range(511))
        service.on_register_engine_do(heard, True)
        with pytest.raises(TooManyEngines, match=r"511.*--max-engines"):
            service.register_engine(Engine("late"))
        assert len(service.engines) == 511
        assert not heard
        service.unregister_engine(7)
        assert register(service, "late") == [7]

    def test_unknown_id_is_logged_and_harmless(
        self, controller: IControllerBase, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Unregistering what is not there is logged, calls nobody and changes nothing."""
        heard = Calls()
        controller.on_unregister_engine_do(heard, True)
        register(controller, "a")
        for id in (1, -1, 511):
            controller.unregister_engine(id)
        assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 3
        assert (list(controller.engines), list(heard)) == ([0], [])
        assert register(controller, "b") == [1]

    def test_where_the_engine_is_gets_logged(
        self, controller: IControllerBase, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Address and pid are in the log, for whoever looks for a process that hangs."""
        with caplog.at_level(logging.INFO, logger="ctrlhub"):
            controller.register_engine(Engine(), ip="10.0.0.7", port=4000, pid=123)
        assert "engine 0 registered: ip 10.0.0.7, port 4000, pid 123" in caplog.messages

    def test_keys_do_not_matter_unless_ids_are_saved(self, controller: IControllerBase) -> None:
        """Without saved ids a key may be there twice, and an id goes to whoever comes."""
        assert register(controller, "a", "a") == [0, 1]
        controller.unregister_engine(0)
        assert register(controller, "b", "a") == [0, 2]


class TestWrongTypes:
    """Each wrong type is a TypeError that names the argument, and changes nothing."""

    @pytest.mark.parametrize(
        ("argument", "value"),
        [
            ("id", "0"),
            ("id", 0.0),
            ("id", True),
            ("ip", 10),
            ("ip", b"10.0.0.7"),
            ("port", "4000"),
            ("port", False),
            ("pid", "123"),
            ("pid", True),
        ],
    )
    def test_register(self, controller: IControllerBase, argument: str, value: Any) -> None:
        """Id, port and pid are whole numbers or None, ip is a string or None."""
        heard = Calls()
        controller.on_register_engine_do(heard, True)
        with pytest.raises(TypeError, match=rf"\b{argument} must be"):
            controller.register_engine(Engine(), **{argument: value})
        assert dict(controller.engines) == {}
        assert not heard

    @pytest.mark.parametrize(
        "value", [None, object(), "engine", Engine(key=3)], ids=lambda v: type(v).__name__
    )
    def test_remote_engine(self, controller: IControllerBase, value: Any) -> None:
        """What has no key that is a string is no engine."""
        with pytest.raises(TypeError, match="remote_engine"):
            controller.register_engine(value)
        assert dict(controller.engines) == {}

    @pytest.mark.parametrize("value", ["foo", None, 0.0, False], ids=str)
    def test_unregister(self, controller: IControllerBase, value: Any) -> None:
        """An id is a whole number; False is not engine 0."""
        register(controller, "a")
        with pytest.raises(TypeError, match=r"\bid must be int"):
            controller.unregister_engine(value)
        assert list(controller.engines) == [0]

    @pytest.mark.parametrize("name", ["on_register_engine_do", "on_unregister_engine_do"])
    def test_callbacks(self, controller: IControllerBase, name: str) -> None:
        """A callback can be called, and whether it gets the id is a bool."""
        with pytest.raises(TypeError, match="f must be callable"):
            getattr(controller, name)("f", True)
        with pytest.raises(TypeError, match="include_id must be bool"):
            getattr(controller, name)(print, 1)
        with pytest.raises(TypeError, match="f must be callable"):
            getattr(controller, f"{name}_not")(None)

    def test_n_engines(self, controller: IControllerBase) -> None:
        """The number waited for is whole, and can be reached."""
        with pytest.raises(TypeError, match="n must be int"):
            controller.on_n_engines_registered_do("1", print)
        with pytest.raises(TypeError, match="n must be int"):
            controller.on_n_engines_registered_do(True, print)
        with pytest.raises(TypeError, match="f must be callable"):
            controller.on_n_engines_registered_do(1, None)
        with pytest.raises(ValueError, match=r"n must be between 0 and max_engines \(511\)"):
            controller.on_n_engines_registered_do(512, print)
        with pytest.raises(ValueError, match="n must be between"):
            controller.on_n_engines_registered_do(-1, print)

    def test_service(self) -> None:
        """max_engines is a number of one or more, save_ids a bool."""
        with pytest.raises(TypeError, match="max_engines must be int"):
            ControllerService(max_engines="511")
        with pytest.raises(TypeError, match="max_engines must be int"):
            ControllerService(max_engines=True)
        with pytest.raises(TypeError, match="save_ids must be bool"):
            ControllerService(save_ids=1)
        with pytest.raises(ValueError, match="max_engines must be at least 1"):
            ControllerService(max_engines=0)

    def test_release_id(self, service: ControllerService) -> None:
        """An id to release is a whole number."""
        with pytest.raises(TypeError, match="id must be int"):
            service.release_id("0")

    def test_adapter(self) -> None:
        """An adapter is put on a controller, and nothing else."""
        with pytest.raises(TypeError, match="controller must be an IControllerBase, not dict"):
            ControllerAdapterBase({})


class TestLife:
    """start and stop."""

    def test_takes_engines_from_its_making(self, service: ControllerService) -> None:
        """Start is no condition, and may be said twice."""
        assert register(service, "a") == [0]
        service.start()
        service.start()
        assert register(service, "b") == [1]

    def test_stopped_takes_no_engines(self, service: ControllerService) -> None:
        """After stop a registration is refused by name, and nobody hears of it."""
        heard = Calls()
        service.on_register_engine_do(heard, True)
        service.stop()
        service.stop()
        with pytest.raises(ControllerStopped):
            service.register_engine(Engine())
        assert (dict(service.engines), list(heard)) == ({}, [])

    def test_stop_unregisters_nobody_silently(self, service: ControllerService) -> None:
        """Engines stay, and their end is announced as ever."""
        left = Calls()
        service.on_unregister_engine_do(left, True)
        register(service, "a", "b")
        service.stop()
        assert list(service.engines) == [0, 1]
        assert left.ids == []
        service.unregister_engine(0)
        assert left.ids == [0]

    def test_started_again(self, service: ControllerService) -> None:
        """After another start engines are taken again."""
        service.stop()
        service.start()
        assert register(service, "a") == [0]


class TestAdapters:
    """Many interfaces on one controller."""

    def test_share_the_engines(self, service: ControllerService) -> None:
        """Two adapters and the service show the very same mapping: there is no copy."""
        one, two = ControllerAdapterBase(service), ControllerAdapterBase(service)
        assert one.engines is service.engines
        assert two.engines is service.engines
        register(one, "a")
        assert list(two.engines) == [0]

    def test_forward_every_call(self, service: ControllerService) -> None:
        """What is asked of one adapter is heard through another."""
        one, two = ControllerAdapterBase(service), ControllerAdapterBase(service)
        came, left, counted = Calls(), Calls(), Calls()
        one.on_register_engine_do(came, True)
        one.on_unregister_engine_do(left, True)
        one.on_n_engines_registered_do(2, counted)
        register(two, "a", "b")
        two.unregister_engine(0)
        assert (came.ids, left.ids, len(counted)) == ([0, 1], [0], 1)
        two.on_register_engine_do_not(came)
        two.on_unregister_engine_do_not(left)
        register(one, "c")
        one.unregister_engine(0)
        assert (came.ids, left.ids) == ([0, 1], [0])

    def test_made_after_the_engines(self, service: ControllerService) -> None:
        """An adapter that follows the engines hears of those that were there before it."""
        register(service, "a", "b", "c")
        service.unregister_engine(1)
        adapter = ControllerAdapterBase(service)
        came, left = Calls(), Calls()
        adapter.follow_engines(came, left)
        assert came.ids == [0, 2]
        register(service, "d", "e")
        service.unregister_engine(0)
        assert (came.ids, left.ids) == ([0, 2, 1, 3], [0])

    def test_made_while_engines_register(self, service: ControllerService) -> None:
        """An adapter made in the middle of announcements hears of each engine once."""
        came, left = Calls(), Calls()

        def make_adapter(id: int) -> None:
            if id == 0:
                register(service, "b")
                ControllerAdapterBase(service).follow_engines(came, left)

        service.on_register_engine_do(make_adapter, True)
        register(service, "a", "c")
        assert (came.ids, left.ids) == ([0, 1, 2], [])

    def test_engines_that_go_while_it_begins_to_follow(self, service: ControllerService) -> None:
        """An engine that is gone before it was told of is not told of."""
        register(service, "a", "b")
        came: list[int] = []

        def drop_the_other(id: int) -> None:
            came.append(id)
            if id == 0:
                service.unregister_engine(1)

        ControllerAdapterBase(service).follow_engines(drop_the_other, Calls())
        assert came == [0]

    def test_a_follower_that_raises_is_logged(
        self, service: ControllerService, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A failure for one engine does not keep it from hearing of the others."""
        register(service, "a", "b")
        came: list[int] = []

        def fail_for_0(id: int) -> None:
            came.append(id)
            if id == 0:
                raise RuntimeError("no luck")

        ControllerAdapterBase(service).follow_engines(fail_for_0, Calls())
        register(service, "c")
        assert came == [0, 1, 2]
        assert "no luck" in caplog.text
