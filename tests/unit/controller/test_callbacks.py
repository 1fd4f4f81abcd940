"""Who hears of engines: order, failures, waiting, and changes while an event is told."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from ctrlhub.controller.service import IControllerBase
from tests.support.registry import Calls, Engine, register


class TestNotification:
    """Whoever asked hears of each engine."""

    def test_arguments(self, controller: IControllerBase) -> None:
        """With include_id the id comes first; the other arguments are passed on."""
        with_id, without_id = Calls(), Calls()
        controller.on_register_engine_do(with_id, True, "x", k=1)
        controller.on_register_engine_do(without_id, False, "x", k=1)
        controller.register_engine(Engine(), id=5)
        assert list(with_id) == [((5, "x"), {"k": 1})]
        assert list(without_id) == [(("x",), {"k": 1})]

    def test_registered_is_told_when_it_is_so(self, controller: IControllerBase) -> None:
        """A callback finds the engine in the mapping, before register_engine returns."""
        engine, found = Engine(), []
        controller.on_register_engine_do(lambda id: found.append(controller.engines[id]), True)
        controller.register_engine(engine)
        assert found == [engine]

    def test_unregistered_is_told_when_it_is_so(self, controller: IControllerBase) -> None:
        """A callback no longer finds the engine in the mapping."""
        found = []
        controller.on_unregister_engine_do(lambda id: found.append(id in controller.engines), True)
        register(controller, "a")
        controller.unregister_engine(0)
        assert found == [False]

    def test_only_what_was_asked_for(self, controller: IControllerBase) -> None:
        """Registrations are not told to those who asked for unregistrations, nor the reverse."""
        came, left = Calls(), Calls()
        controller.on_register_engine_do(came, True)
        controller.on_unregister_engine_do(left, True)
        register(controller, "a", "b")
        controller.unregister_engine(1)
        assert (came.ids, left.ids) == ([0, 1], [1])

    def test_in_the_order_added(self, controller: IControllerBase) -> None:
        """Callbacks are called in the order in which they were added, each time."""
        order: list[str] = []
        for name in "cab":
            controller.on_register_engine_do(order.append, False, name)
        register(controller, "a", "b")
        assert order == [*"cab", *"cab"]

    @pytest.mark.parametrize("what", ["register", "unregister"])
    def test_do_not(self, controller: IControllerBase, what: str) -> None:
        """A callback that is taken back is not called again."""
        heard = Calls()
        getattr(controller, f"on_{what}_engine_do")(heard, True)
        register(controller, "a")
        controller.unregister_engine(0)
        getattr(controller, f"on_{what}_engine_do_not")(heard)
        register(controller, "a")
        controller.unregister_engine(0)
        assert heard.ids == [0]

    def test_do_not_removes_the_first_only(self, controller: IControllerBase) -> None:
        """Of equal callbacks the first addition goes; equal is enough, as of bound methods."""
        order: list[str] = []
        for name in "abc":
            controller.on_register_engine_do(order.append, False, name)
        controller.on_register_engine_do_not(order.append)
        register(controller, "a")
        assert order == ["b", "c"]

    @pytest.mark.parametrize("what", ["register", "unregister"])
    def test_do_not_of_a_stranger_is_silent(self, controller: IControllerBase, what: str) -> None:
        """Taking back what was never added changes nothing."""
        heard = Calls()
        getattr(controller, f"on_{what}_engine_do")(heard, True)
        getattr(controller, f"on_{what}_engine_do_not")(print)
        register(controller, "a")
        controller.unregister_engine(0)
        assert heard.ids == [0]


class TestFailingCallbacks:
    """One that raises harms nobody."""

    @pytest.mark.parametrize("what", ["register", "unregister"])
    @pytest.mark.parametrize("position", [0, 1, 2])
    @pytest.mark.parametrize("error", [RuntimeError, SystemExit])
    def test_is_logged_kept_and_stops_nothing(
        self,
        controller: IControllerBase,
        caplog: pytest.LogCaptureFixture,
        what: str,
        position: int,
        error: type[BaseException],
    ) -> None:
        """All others are called, also the next time, and so is the one that raises."""
        calls: list[str] = []

        def fail() -> None:
            calls.append("fail")
            raise error("no luck")

        callbacks: list[Callable[[], object]] = [
            lambda: calls.append("one"),
            lambda: calls.append("two"),
        ]
        callbacks.insert(position, fail)
        for f in callbacks:
            getattr(controller, f"on_{what}_engine_do")(f, False)
        for _ in range(2):
            assert register(controller, "a") == [0]
            controller.unregister_engine(0)
            assert dict(controller.engines) == {}
        expected = ["one", "two"]
        expected.insert(position, "fail")
        assert calls == expected * 2
        failures = [r for r in caplog.records if r.levelno == logging.ERROR]
        assert len(failures) == 2
        assert "no luck" in caplog.text

    def test_leaves_no_half_registered_engine(self, controller: IControllerBase) -> None:
        """The engine is whole: in the mapping, with its reply, and its end is announced."""
        left = Calls()
        controller.on_register_engine_do(lambda: 1 / 0, False)
        controller.on_register_engine_do(lambda: 1 / 0, False)
        controller.on_unregister_engine_do(left, True)
        assert register(controller, "a") == [0]
        assert list(controller.engines) == [0]
        controller.unregister_engine(0)
        assert left.ids == [0]
        assert register(controller, "a") == [0]

    def test_an_interrupt_is_not_swallowed(self, controller: IControllerBase) -> None:
        """Ctrl-C in a callback reaches the caller, and the registry goes on afterwards."""
        calls = Calls()

        def interrupted(id: int) -> None:
            if id == 0:
                raise KeyboardInterrupt

        controller.on_register_engine_do(interrupted, True)
        controller.on_register_engine_do(calls, True)
        with pytest.raises(KeyboardInterrupt):
            controller.register_engine(Engine("a"))
        assert register(controller, "b") == [1]
        assert calls.ids == [1]


class TestWaitingForEngines:
    """on_n_engines_registered_do calls once, for every waiter."""

    def test_when_reached(self, controller: IControllerBase) -> None:
        """Nothing happens before n engines are there, and nothing after."""
        heard = Calls()
        controller.on_n_engines_registered_do(2, heard, "x", k=1)
        register(controller, "a")
        assert not heard
        register(controller, "b", "c")
        controller.unregister_engine(2)
        controller.unregister_engine(1)
        register(controller, "d", "e")
        assert list(heard) == [(("x",), {"k": 1})]

    def test_at_once_when_there_already(self, controller: IControllerBase) -> None:
        """With n engines or more it is called before the method returns, and never again."""
        heard = Calls()
        register(controller, "a", "b")
        controller.on_n_engines_registered_do(0, heard, "none")
        controller.on_n_engines_registered_do(1, heard, "fewer")
        controller.on_n_engines_registered_do(2, heard, "equal")
        register(controller, "c")
        assert [args for args, _ in heard] == [("none",), ("fewer",), ("equal",)]

    def test_counts_those_registered_now(self, controller: IControllerBase) -> None:
        """Engines that left do not count."""
        heard = Calls()
        controller.on_n_engines_registered_do(2, heard)
        register(controller, "a")
        controller.unregister_engine(0)
        register(controller, "b")
        assert not heard
        register(controller, "c")
        assert len(heard) == 1

    def test_every_waiter_is_called(self, controller: IControllerBase) -> None:
        """All that wait for the same number are called, in order, and the others not yet."""
        order: list[str] = []
        for n, name in ((2, "a"), (3, "late"), (2, "b"), (1, "early"), (2, "b")):
            controller.on_n_engines_registered_do(n, order.append, name)
        register(controller, "x", "y")
        assert order == ["early", "a", "b", "b"]

    def test_one_that_raises_is_logged(
        self, controller: IControllerBase, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The other waiters and the registration do not notice; it was called, once."""
        heard, failed = Calls(), Calls()

        def fail() -> None:
            failed()
            raise RuntimeError("no luck")

        controller.on_n_engines_registered_do(1, fail)
        controller.on_n_engines_registered_do(1, heard)
        assert register(controller, "a", "b") == [0, 1]
        assert (len(failed), len(heard)) == (1, 1)
        assert "no luck" in caplog.text

    def test_one_that_raises_at_once_is_logged(
        self, controller: IControllerBase, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Whether the engines are there already makes no difference to the caller."""
        controller.on_n_engines_registered_do(0, lambda: 1 / 0)
        assert "ZeroDivisionError" in caplog.text

    def test_after_those_who_hear_of_engines(self, controller: IControllerBase) -> None:
        """When a waiter is called, everyone has heard of the engines it waited for."""
        order: list[str] = []
        controller.on_n_engines_registered_do(1, order.append, "waiter")
        controller.on_register_engine_do(order.append, False, "listener")
        register(controller, "a")
        assert order == ["listener", "waiter"]

    def test_when_passed_over(self, controller: IControllerBase) -> None:
        """A waiter is called also when there are more than n before anyone is told."""
        heard = Calls()
        controller.on_register_engine_do(
            lambda id: register(controller, "b") if id == 0 else None, True
        )
        controller.on_n_engines_registered_do(1, heard)
        register(controller, "a")
        assert len(heard) == 1

    def test_a_waiter_may_wait_again_and_register(self, controller: IControllerBase) -> None:
        """A waiter that adds a waiter and registers an engine finds both done."""
        order: list[str] = []

        def first() -> None:
            order.append("first")
            controller.on_n_engines_registered_do(2, order.append, "second")
            register(controller, "b")

        controller.on_n_engines_registered_do(1, first)
        register(controller, "a")
        assert order == ["first", "second"]
        assert list(controller.engines) == [0, 1]


class TestCallbacksThatChangeThings:
    """A callback may do anything to the controller while events are told."""

    def test_removes_itself(self, controller: IControllerBase) -> None:
        """It is not called again, and no other is skipped."""
        order: list[str] = []

        def once() -> None:
            order.append("once")
            controller.on_register_engine_do_not(once)

        controller.on_register_engine_do(once, False)
        controller.on_register_engine_do(order.append, False, "next")
        controller.on_register_engine_do(order.append, False, "last")
        register(controller, "a", "b")
        assert order == ["once", "next", "last", "next", "last"]

    def test_removes_another(self, controller: IControllerBase) -> None:
        """One that is removed before its turn is not called for this event either."""
        before, after = Calls(), Calls()

        def remove_both() -> None:
            controller.on_register_engine_do_not(before)
            controller.on_register_engine_do_not(after)

        controller.on_register_engine_do(before, True)
        controller.on_register_engine_do(remove_both, False)
        controller.on_register_engine_do(after, True)
        register(controller, "a", "b")
        assert (before.ids, after.ids) == ([0], [])

    def test_adds_another(self, controller: IControllerBase) -> None:
        """One that is added hears of later events, not of the one at hand."""
        added = Calls()
        controller.on_register_engine_do(
            lambda id: id or controller.on_register_engine_do(added, True), True
        )
        register(controller, "a", "b")
        assert added.ids == [1]

    def test_registers_an_engine(self, controller: IControllerBase) -> None:
        """The second engine has its id at once; everyone hears of the first one first."""
        replies, heard = [], Calls()

        def bring_a_friend(id: int) -> None:
            if id == 0:
                replies.append(controller.register_engine(Engine("friend")))

        controller.on_register_engine_do(bring_a_friend, True)
        controller.on_register_engine_do(heard, True)
        assert register(controller, "a") == [0]
        assert replies == [{"id": 1}]
        assert heard.ids == [0, 1]

    def test_events_are_told_in_the_order_they_happened(self, controller: IControllerBase) -> None:
        """An id that is taken again while its end is told does not end for the others."""
        events: list[str] = []

        def replace(id: int) -> None:
            controller.register_engine(Engine("spare"), id=id)

        register(controller, "a")
        controller.on_unregister_engine_do(replace, True)
        controller.on_unregister_engine_do(lambda id: events.append(f"{id} left"), True)
        controller.on_register_engine_do(lambda id: events.append(f"{id} came"), True)
        controller.unregister_engine(0)
        assert events == ["0 left", "0 came"]

    def test_one_added_hears_of_no_older_event(self, controller: IControllerBase) -> None:
        """An event that waits to be told is not told to those who came after it."""
        late = Calls()

        def register_then_listen(id: int) -> None:
            if id == 0:
                register(controller, "b")
                controller.on_register_engine_do(late, True)

        controller.on_register_engine_do(register_then_listen, True)
        register(controller, "a")
        assert late.ids == []
        register(controller, "c")
        assert late.ids == [2]
