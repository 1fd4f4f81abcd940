"""Results to come: as futures, between threads, and as what ipyparallel's users know."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import pickle
import random
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC
from functools import partial

import pytest

from ctrlhub.client.async_result import AsyncGroup, AsyncResult
from ctrlhub.client.map_result import AsyncMapResult
from ctrlhub.client.requests import About
from ctrlhub.client.rows import TaskCancelled, failed
from ctrlhub.wire.errors import (
    CompositeError,
    RemoteError,
    ResultNotCompleted,
    SessionClosed,
    TaskAborted,
    pack_failure,
)
from ctrlhub.wire.messages import Stream
from ctrlhub.wire.rebuild import failure_from_exception
from ctrlhub.wire.serialize import dumps
from tests.unit.client.support import ABOUT, OPENED, PATIENCE, Counted, Home, ok


def result() -> AsyncResult:
    """Return a result to come."""
    return AsyncResult(Home(), 1, b"args", ABOUT)


def settle(future: AsyncResult, row: tuple) -> None:
    """Do what the session does with a row."""
    waiter = future._settle(row, 5.0)
    if waiter is not None:
        waiter._stir()


def settle_one(group: AsyncGroup, index: int, row: tuple) -> None:
    """Do what the session does with a row of several."""
    waiter = group._take(index, row, 5.0)
    if waiter is not None:
        waiter._stir()


def error_row(error: Exception, number: int = 1, engine: int = 3) -> tuple:
    """Return the row of a request that raised."""
    failure = failure_from_exception(error, engine_id=engine)
    return (number, 1, pack_failure(failure), engine, 1000.0, 0.5, None)


def cancelled_row(number: int = 1) -> tuple:
    """Return the row of a request that was cancelled."""
    return (number, 2, b"", -1, 0.0, 0.0, None)


@pytest.fixture
def _eager_switching() -> Iterator[None]:
    """Let threads take turns as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


# ---------------------------------------------------------------- a Future


def test_it_is_a_future() -> None:
    """Everything that takes a `concurrent.futures.Future` takes it."""
    assert isinstance(result(), concurrent.futures.Future)


def test_nothing_is_made_that_nobody_asked_for() -> None:
    """No lock, no list: that is what it is for."""
    future = result()
    settle(future, ok(1, "value"))

    assert future.get() == "value"
    assert future._sync is None


def test_the_arguments_go_when_the_result_comes() -> None:
    """What was sent is kept for sending it again, and not a moment longer."""
    future = result()
    assert future._payload(1) == b"args"

    settle(future, ok(1))

    assert b"args" not in future._cell


def test_a_value_is_unpickled_once_and_only_when_asked_for() -> None:
    """Neither in the I/O thread, nor for each who asks."""
    OPENED.clear()
    future = result()
    settle(future, ok(1, Counted()))
    before = len(OPENED)
    future.get()
    future.result()

    assert (before, len(OPENED)) == (0, 1)


def test_a_timeout_is_the_builtin_one_and_leaves_it_as_it_was() -> None:
    """Who polls gets `TimeoutError`, and later the value."""
    future = result()
    with pytest.raises(TimeoutError, match="ask again"):
        future.get(timeout=0)
    settle(future, ok(1, 5))

    assert future.get(timeout=0) == 5


def test_an_error_is_raised_as_itself_each_time_anew() -> None:
    """`except ValueError` works, and the traceback does not grow from time to time."""
    future = result()
    settle(future, error_row(ValueError("no")))
    lengths = []
    for _ in range(3):
        with pytest.raises(ValueError, match="no") as caught:
            future.get()
        assert isinstance(caught.value, RemoteError)
        lengths.append(len(list(caught.traceback)))

    assert len(set(lengths)) == 1
    assert future.exception() is future.exception()


def test_what_cannot_be_unpickled_here_can_be_asked_for_again() -> None:
    """A module that is missing may be put in place; the result is still there."""
    future = result()
    blob = b"\x80\x05cnot_there_yet\nvalue\n."
    settle(future, (1, 0, blob, 0, 0.0, 0.0, None))
    with pytest.raises(ModuleNotFoundError):
        future.get()
    module = type(sys)("not_there_yet")
    module.value = 9  # type: ignore[attr-defined]
    sys.modules["not_there_yet"] = module
    try:
        assert future.get() == 9
    finally:
        del sys.modules["not_there_yet"]


def test_cancelled_is_both_errors() -> None:
    """It is what `concurrent.futures` raises, and what ipyparallel's users catch."""
    future = result()
    settle(future, cancelled_row())

    assert future.cancelled()
    with pytest.raises(TaskAborted):
        future.get()
    with pytest.raises(concurrent.futures.CancelledError):
        future.exception()


def test_nobody_but_the_hub_sets_it() -> None:
    """A result that somebody sets would be in the way of the real one."""
    for call in (
        lambda f: f.set_result(1),
        lambda f: f.set_exception(ValueError()),
        lambda f: f.set_running_or_notify_cancel(),
    ):
        with pytest.raises(concurrent.futures.InvalidStateError):
            call(result())


def test_callbacks_run_once_before_and_after() -> None:
    """Those added in time run when it is done, later ones at once; one that raises stops none."""
    future = result()
    called: list[object] = []
    future.add_done_callback(lambda f: 1 / 0)
    future.add_done_callback(lambda f: sys.exit(3))
    future.add_done_callback(called.append)
    settle(future, ok(1))
    future._stir()
    future.add_done_callback(called.append)

    assert called == [future, future]


def test_a_handler_of_logging_that_raises(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a callback raises is logged; a handler that raises then stops no other callback."""

    class Failing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise AttributeError("no engine_id")

    monkeypatch.setattr(logging.getLogger("concurrent.futures"), "handlers", [Failing()])
    future = result()
    called: list[object] = []
    future.add_done_callback(lambda f: 1 / 0)
    future.add_done_callback(called.append)
    settle(future, ok(1))
    future._stir()

    assert called == [future]
    assert "no engine_id" in capsys.readouterr().err


@pytest.mark.parametrize(
    "when", [concurrent.futures.FIRST_COMPLETED, concurrent.futures.ALL_COMPLETED]
)
def test_concurrent_futures_wait(when: str) -> None:
    """`wait` sees results that were there before and those that come."""
    first, second = result(), result()
    settle(first, ok(1))
    done, pending = concurrent.futures.wait([first, second], timeout=0, return_when=when)
    assert (done, pending) == ({first}, {second})

    thread = threading.Thread(target=settle, args=(second, ok(1)))
    thread.start()
    assert concurrent.futures.wait([first, second], PATIENCE).not_done == set()
    thread.join()


def test_concurrent_futures_wait_for_the_first_exception() -> None:
    """The kind of end is known without unpickling anything."""
    first, second = result(), result()
    thread = threading.Thread(target=settle, args=(first, error_row(ValueError())))
    thread.start()
    options = {"return_when": concurrent.futures.FIRST_EXCEPTION}
    done, _ = concurrent.futures.wait([first, second], PATIENCE, **options)
    thread.join()

    assert done == {first}


def test_asyncio_wrap_future() -> None:
    """It can be awaited, with its value, its error, and its cancellation."""

    async def main() -> list[object]:
        futures = [result() for _ in range(3)]
        wrapped = [asyncio.wrap_future(f) for f in futures]
        rows = [ok(1, "v"), error_row(KeyError("k")), cancelled_row()]
        thread = threading.Thread(
            target=lambda: [settle(f, row) for f, row in zip(futures, rows, strict=True)]
        )
        thread.start()
        found = await asyncio.wait_for(asyncio.gather(*wrapped, return_exceptions=True), PATIENCE)
        thread.join()
        return found

    value, error, cancelled = asyncio.run(main())

    assert value == "v"
    assert isinstance(error, KeyError)
    assert isinstance(cancelled, asyncio.CancelledError)


# ---------------------------------------------------------------- threads


def race(ways: list[Callable[[], object]]) -> None:
    """Do several things at once."""
    threads = [threading.Thread(target=way) for way in ways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def ways_to_wait(future: AsyncResult, told: list[str]) -> list[Callable[[], object]]:
    """Return everything that can be done to learn of a result; each tells once."""

    def get() -> None:
        told.append(f"get {future.get(PATIENCE)}")

    def call_back() -> None:
        future.add_done_callback(lambda f: told.append("callback"))

    def wait() -> None:
        told.append(f"wait {len(concurrent.futures.wait([future], PATIENCE).not_done)}")

    def as_completed() -> None:
        told.append(f"as {len(list(concurrent.futures.as_completed([future], PATIENCE)))}")

    return [get, call_back, wait, as_completed]


@pytest.mark.usefixtures("_eager_switching")
def test_waiters_and_callbacks_are_never_forgotten() -> None:
    """Whoever waits at the very moment the result comes, in whatever way, is told, once."""
    rng = random.Random(1)
    for _ in range(300):
        future, told = result(), []
        ways = [*ways_to_wait(future, told), partial(settle, future, ok(1, 7))]
        rng.shuffle(ways)
        race(ways)

        assert sorted(told) == ["as 1", "callback", "get 7", "wait 0"]


@pytest.mark.usefixtures("_eager_switching")
def test_waiting_for_many_that_end_meanwhile_leaves_none_out() -> None:
    """`wait` returns with all of them done, though they end while it looks from one to the next."""
    for _ in range(40):
        futures = [result() for _ in range(50)]
        thread = threading.Thread(target=lambda fs=futures: [settle(f, ok(1)) for f in fs])
        thread.start()
        done, pending = concurrent.futures.wait(futures, PATIENCE)
        thread.join()

        assert (len(done), len(pending)) == (50, 0)


def _append_value(found: list[object], future: AsyncResult) -> None:
    found.append(future.get())


@pytest.mark.usefixtures("_eager_switching")
def test_many_threads_open_a_result_once() -> None:
    """All get the same object, and it is unpickled a single time."""
    for _ in range(100):
        OPENED.clear()
        future = result()
        settle(future, ok(1, [Counted()]))
        found: list[object] = []
        race([partial(_append_value, found, future)] * 4)

        assert len(OPENED) == 1
        assert all(value is found[0] for value in found)


def test_values_that_cannot_be_put_together() -> None:
    """That is an error as any: `exception` returns it, whoever waits is told, `result` raises it."""

    def join(values: list[object]) -> object:
        raise ValueError(f"{len(values)} of different shapes")

    group = AsyncGroup(Home(), ABOUT, 1, 2, join=join)
    settle_one(group, 0, ok(1, "a"))
    settle_one(group, 1, ok(2, "b"))

    assert isinstance(group.exception(), ValueError)
    with pytest.raises(ValueError, match="2 of different shapes"):
        group.result()


@pytest.mark.usefixtures("_eager_switching")
def test_items_of_a_map_are_seen_as_they_come() -> None:
    """A thread that iterates while rows arrive in any order gets each, in order."""
    for _ in range(30):
        group = AsyncMapResult(Home(), ABOUT, 1, 50)
        indexes = list(range(50))
        random.Random(2).shuffle(indexes)
        thread = threading.Thread(
            target=lambda g=group, ix=indexes: [settle_one(g, i, ok(1 + i, i)) for i in ix]
        )
        thread.start()
        found = list(group)
        thread.join()

        assert found == list(range(50))


def test_what_has_come_is_opened_while_the_rest_is_on_its_way() -> None:
    """Whoever waits for all items unpickles the first ones meanwhile."""
    group = AsyncMapResult(Home(), ABOUT, 1, 2)
    OPENED.clear()
    settle_one(group, 0, ok(1, Counted()))
    with pytest.raises(TimeoutError, match=r"after 0\.01 s"):
        group.get(timeout=0.01)
    assert len(OPENED) == 1
    settle_one(group, 1, ok(2, Counted()))
    assert len(group.get(timeout=PATIENCE)) == 2
    assert len(OPENED) == 2


def test_an_interrupted_opening_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while a value is unpickled loses nothing: the next call gets it."""
    future = result()
    settle(future, ok(1, "value"))

    def interrupted(row: object) -> object:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ctrlhub.client.single_result.opened", interrupted)
        with pytest.raises(KeyboardInterrupt):
            future.get()

    assert future.get() == "value"


# ---------------------------------------------------------------- several requests


def test_a_group_gives_values_in_the_order_of_its_targets() -> None:
    """Whoever answers first."""
    group = AsyncGroup(Home(), ABOUT, 1, 2)
    settle_one(group, 1, ok(2, "b", engine=9))
    assert (group.progress, group.done()) == (1, False)
    settle_one(group, 0, ok(1, "a", engine=4))

    assert group.get() == ["a", "b"]
    assert group.get_dict() == {4: "a", 9: "b"}
    assert (group[0], group[-1], group[:]) == ("a", "b", ["a", "b"])


def test_errors_of_several_engines_come_together() -> None:
    """Once all have answered: each with its engine, and as the exception it was."""
    group = AsyncGroup(Home(), ABOUT, 1, 3)
    settle_one(group, 0, error_row(ValueError("v"), 1, engine=0))
    settle_one(group, 1, ok(2))
    settle_one(group, 2, error_row(KeyError("k"), 3, engine=2))

    with pytest.raises(CompositeError) as caught:
        group.get()
    assert [type(e).__mro__[1] for e in caught.value.errors] == [ValueError, KeyError]
    assert [info["engine_id"] for *_, info in caught.value.elist] == [0, 2]


def test_an_error_of_a_single_target_is_itself() -> None:
    """A list of one engine raises what that engine raised."""
    group = AsyncGroup(Home(), ABOUT, 1, 1)
    settle_one(group, 0, error_row(ValueError("v")))

    with pytest.raises(ValueError, match="v"):
        group.get()


def test_a_cancelled_map_is_cancelled() -> None:
    """What was done before is done; the whole is cancelled, and says so as a future does."""
    group = AsyncMapResult(Home(), ABOUT, 1, 2)
    settle_one(group, 0, ok(1, "done"))
    settle_one(group, 1, cancelled_row(2))

    assert group.cancelled()
    with pytest.raises(TaskCancelled):
        group.get()


def test_what_ends_all_items_is_of_none() -> None:
    """It is raised as it is, and no item is named; what one item raised names that, however seen."""
    group, error = AsyncMapResult(Home(), ABOUT, 1, 3), SessionClosed("this client was closed")
    for index in range(3):
        settle_one(group, index, failed(1 + index, error))
    with pytest.raises(SessionClosed) as caught:
        group.get()
    assert caught.value is error
    assert not getattr(error, "__notes__", ())

    group = AsyncMapResult(Home(), ABOUT, 1, 2, return_exceptions=True)
    settle_one(group, 0, ok(1))
    settle_one(group, 1, error_row(ValueError("v")))
    assert group.get()[1].__notes__ == ["item 1 of the map"]


def test_exceptions_may_be_values() -> None:
    """With `return_exceptions` a map gives them in their places."""
    group = AsyncMapResult(Home(), ABOUT, 1, 2, return_exceptions=True)
    settle_one(group, 0, error_row(ValueError("v")))
    settle_one(group, 1, ok(2, "b"))

    error, value = group.get()
    assert isinstance(error, ValueError)
    assert value == "b"
    assert [type(v) for v in group] == [type(error), str]


def test_an_unordered_map_yields_as_results_come() -> None:
    """In the order of arrival; `get` keeps the order of the items."""
    group = AsyncMapResult(Home(), ABOUT, 1, 3, ordered=False)
    for index in (2, 0, 1):
        settle_one(group, index, ok(1 + index, index))

    assert list(group) == [2, 0, 1]
    assert group.get() == [0, 1, 2]


def test_chunks_are_taken_apart() -> None:
    """Length, progress, iteration and values count items, however they travelled."""
    group = AsyncMapResult(Home(), ABOUT, 1, 2, sizes=[2, 1])
    settle_one(group, 0, ok(1, ["a", "b"]))
    assert (len(group), group.progress) == (3, 2)
    settle_one(group, 1, ok(2, ["c"]))

    assert group.get() == list(group) == ["a", "b", "c"]
    assert (group[2], group[0:2]) == ("c", ["a", "b"])


def test_an_empty_map_is_done() -> None:
    """Nothing to do is done at once, and a result is true even if it is empty."""
    group = AsyncMapResult(Home(), ABOUT)

    assert group.done()
    assert group.get(0) == []
    assert bool(group)


# ---------------------------------------------------------------- what is known


def test_metadata_names_times_with_a_zone() -> None:
    """What an ipyparallel program looks at is there, as items and as attributes."""
    future = AsyncResult(Home(), (7 << 40) + 3, b"", About("f", Stream.TASK, "mine"))
    assert (future.metadata.status, future.metadata["started"]) == (None, None)
    row = ok((7 << 40) + 3, engine=2)
    settle(future, (*row[:6], {"stdout": "hello\n", "execute_result": {"data": {"text/plain": "5"}}}))

    known = future.metadata
    assert (known.msg_id, known.engine_id, known.status, known.label) == ("7-3", 2, "ok", "mine")
    assert (known.stdout, future.stdout) == ("hello\n", "hello\n")
    assert (known.completed - known.started).total_seconds() == 0.5
    for name in ("submitted", "started", "completed", "received"):
        assert known[name].utcoffset() is not None
    assert known.started.astimezone(UTC).year == 1970
    assert future.msg_ids == ["7-3"]


@pytest.mark.parametrize(
    ("row", "status"),
    [(ok(1), "ok"), (error_row(ValueError()), "error"), (cancelled_row(), "aborted")],
)
def test_status_tells_how_it_ended(row: tuple, status: str) -> None:
    """Three words, as in ipyparallel."""
    future = result()
    settle(future, row)

    assert future.status == status
    assert future.successful() is (status == "ok")


def test_no_such_metadata() -> None:
    """Asked for by name it is a `KeyError` at once, whatever is there; the value has no part in it."""
    for future in (result(), AsyncGroup(Home(), ABOUT, 1, 2)):
        with pytest.raises(KeyError):
            future["nonsense"]
    future = result()
    settle(future, ok(1, {"nonsense": 1}))
    with pytest.raises(KeyError):
        future["nonsense"]
    assert future.get()["nonsense"] == 1


def test_success_is_not_guessed() -> None:
    """Asked too early, it says so."""
    with pytest.raises(ResultNotCompleted):
        result().successful()


def test_times_of_a_group() -> None:
    """The engines' time adds up; the wall's is from the submission to the last arrival."""
    group = AsyncGroup(Home(), ABOUT, 1, 2)
    group._submitted = 1.0
    settle_one(group, 0, ok(1))
    for ask in (lambda: group.wall_time, lambda: group.serial_time):
        with pytest.raises(ResultNotCompleted):
            ask()
        with pytest.raises(TimeoutError):
            ask()
    settle_one(group, 1, ok(2))

    assert (group.serial_time, group.wall_time, group.elapsed) == (1.0, 4.0, 4.0)


def test_the_result_of_one_call_is_not_iterated_over() -> None:
    """As in ipyparallel, and so that nobody waits for the wrong thing."""
    with pytest.raises(TypeError):
        iter(result())


def test_a_local_end_has_its_reason() -> None:
    """What ends without an engine, such as by closing, raises that."""
    future = result()
    settle(future, failed(1, SessionClosed("closed")))

    assert future.status == "error"
    with pytest.raises(SessionClosed):
        future.get()


def test_the_bar_shows_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    """`wait_interactive` writes a bar with the name of what runs."""
    group = AsyncMapResult(Home(), About("work", Stream.TASK, None), 1, 2)
    for index in range(2):
        settle_one(group, index, ok(1 + index))

    assert group.wait_interactive()
    assert "work: 2 of 2" in capsys.readouterr().err


def test_it_does_not_travel() -> None:
    """A result belongs to its client: pickling one is an error that says what it is."""
    with pytest.raises(TypeError, match="AsyncResult"):
        pickle.dumps(result())


def test_cancel_of_what_is_done_is_false() -> None:
    """As a future's."""
    future = result()
    settle(future, ok(1))

    assert future.cancel() is False
    with pytest.raises(RuntimeError, match="done already"):
        future.abort()


def test_dumps_of_none_is_what_engines_send() -> None:
    """The smallest value there is opens to None."""
    future = result()
    settle(future, (1, 0, dumps(None), 0, 0.0, 0.0, None))

    assert future.get() is None
