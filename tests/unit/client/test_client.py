"""A client and its views, with a hub of a few lines in the same process."""

from __future__ import annotations

import concurrent.futures
import gc
import os
import threading
import time
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.client import Client
from ctrlhub.client.map_result import AsyncMapResult
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.errors import (
    AuthenticationError,
    CompositeError,
    EngineError,
    HubUnavailable,
    InvalidEngineID,
    LimitExceeded,
    NoEnginesRegistered,
    SerializationError,
    SessionClosed,
    UnknownInterface,
    VersionMismatch,
)
from ctrlhub.wire.ids import number_of, to_ranges
from ctrlhub.wire.limits import MAX_CONTROL_BYTES
from ctrlhub.wire.messages import Call, Command, Goodbye, Refused, Stream, SubmitTasks
from ctrlhub.wire.options import MOST_RANGES
from tests.support.interruption import interrupted_once
from tests.unit.client.support import PATIENCE, HubLink


def double(x: int) -> int:
    """Work."""
    return 2 * x


def len_of(data: bytes) -> int:
    """Answer of a hub."""
    return len(data)


def fail(x: int) -> int:
    """Work, for even numbers."""
    if x % 2:
        raise ValueError(f"odd {x}")
    return x


@pytest.fixture
def hub() -> HubLink:
    """Return a hub with three engines."""
    return HubLink(engines=3)


@pytest.fixture
def client(hub: HubLink) -> Iterator[Client]:
    """Return a client of it."""
    with hub.client() as found:
        yield found


# ---------------------------------------------------------------- engines


def test_ids_are_those_of_this_moment(hub: HubLink, client: Client) -> None:
    """Also while the news is on its way; a callback of results has what is known."""
    assert client.ids == [0, 1, 2]
    del hub.namespaces[1]
    hub._events += 1  # the hub knows, and has told nobody yet

    assert client.ids == [0, 2]
    assert (len(client), [view.targets for view in client]) == (2, [0, 2])

    seen: list[list[int]] = []
    client[0].apply_async(abs, -1).add_done_callback(lambda _: seen.append(client.ids))
    hub.wait_for(lambda: bool(seen))
    assert seen == [[0, 2]]


def test_a_client_is_a_container_of_engines(client: Client) -> None:
    """Length, ids, and views by int, slice, list, tuple and range."""
    assert (len(client), client.ids) == (3, [0, 1, 2])
    assert [view.targets for view in client] == [0, 1, 2]
    assert client[1].targets == 1
    assert client[-1].targets == 2
    assert client[1:].targets == [1, 2]
    assert client[[2, 0]].targets == [2, 0]
    assert client[0, 2].targets == [0, 2]
    assert client[range(2)].targets == [0, 1]
    assert client[np.int64(1)].targets == 1  # type: ignore[index]


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (99, InvalidEngineID),
        (-4, IndexError),
        ([0, 99], InvalidEngineID),
        ("0", TypeError),
        (1.0, TypeError),
        (True, TypeError),
        ([0, "1"], TypeError),
        ([], ValueError),
        (slice(5, 9), ValueError),
    ],
)
def test_a_bad_key_is_a_named_error(client: Client, key: object, error: type[Exception]) -> None:
    """With the engines there are in the message."""
    with pytest.raises(error):
        client[key]  # type: ignore[index]


def test_a_hub_without_queries_names_the_same_errors(hub: HubLink, client: Client) -> None:
    """What the client knows of the engines must do then."""
    hub.has_queries = False

    with pytest.raises(InvalidEngineID, match="no engine 99"):
        client[99]


def test_without_engines_it_says_so() -> None:
    """And how to start some."""
    with HubLink(engines=0).client() as client:
        with pytest.raises(NoEnginesRegistered, match="ctrl-hub engine"):
            client[0]
        with pytest.raises(NoEnginesRegistered):
            client.direct_view().apply_async(double, 1)
        assert client.ids == []


def test_all_is_evaluated_at_each_call_and_a_slice_is_not(hub: HubLink, client: Client) -> None:
    """`client[:]` stays with the engines there were; `'all'` follows."""
    frozen, every = client[:], client.direct_view("all")
    hub.engine_comes(3)
    client.wait_for_engines(4, timeout=PATIENCE)

    assert len(frozen.apply_sync(double, 1)) == 3
    assert len(every.apply_sync(double, 1)) == 4


def test_engines_come_and_go(hub: HubLink, client: Client) -> None:
    """`ids` follows the hub's events."""
    hub.engine_goes(0)
    client._connection.wait_for_engines(lambda ids: 0 not in ids, PATIENCE)
    assert client.ids == [1, 2]


def test_an_engine_that_came_this_instant_is_known(hub: HubLink, client: Client) -> None:
    """Before an engine is said not to be there, the hub is asked."""
    hub.namespaces[7] = {}

    assert client[7].apply_sync(double, 4) == 8


def test_waiting_for_engines_ends_in_time(client: Client) -> None:
    """With how many there are, and what to do."""
    with pytest.raises(TimeoutError, match="3 of 9 engines"):
        client.wait_for_engines(9, timeout=0.05)


def test_waiting_for_engines_ends_with_the_loss_of_one(hub: HubLink, client: Client) -> None:
    """It says which, and how; one that left on purpose, or comes back, is no loss."""
    client._connection.wait_for_engines(lambda ids: 2 in ids, PATIENCE)
    waiting = client.wait_for_engines(5, block=False)
    assert waiting is not None
    hub.engine_goes(0, cause="it left", lost=False)
    hub.engine_comes(3)
    client._connection.wait_for_engines(lambda ids: 3 in ids, PATIENCE)
    assert not waiting.done()
    hub.engine_goes(1, cause="signal SIGSEGV", lost=True)
    with pytest.raises(EngineError, match=r"5 engines.*engine 1 was lost: signal SIGSEGV"):
        waiting.result(PATIENCE)
    # Those that were lost before count no more.
    again = client.wait_for_engines(3, block=False, timeout=PATIENCE)
    assert again is not None
    hub.engine_comes(4)
    again.result(PATIENCE)
    client.wait_for_engines(3, interactive=True, timeout=PATIENCE)


def test_waiting_for_engines_ends_with_the_client(client: Client) -> None:
    """There will be none any more."""
    waiting = client.wait_for_engines(9, block=False)
    assert waiting is not None
    client.close()
    with pytest.raises(SessionClosed):
        waiting.result(PATIENCE)


def test_a_wait_for_engines_can_be_given_up(client: Client) -> None:
    """Its thread ends, too."""
    waiting = client.wait_for_engines(9, block=False)
    assert waiting is not None
    assert waiting.cancel()
    deadline = time.monotonic() + PATIENCE
    while any(each.name == "ctrlhub-wait" for each in threading.enumerate()):
        assert time.monotonic() < deadline, "the thread goes on waiting"
        time.sleep(0.01)


def test_how_many_engines_are_waited_for(client: Client) -> None:
    """As many as the cluster has, else one; a whole number in any case."""
    client.wait_for_engines(timeout=PATIENCE)
    client.cluster = type("AnyCluster", (), {"n": 7})()
    with pytest.raises(TimeoutError, match="3 of 7"):
        client.wait_for_engines(timeout=0.01)
    for number in (True, 1.5, "2", -1):
        with pytest.raises(TypeError, match="whole number"):
            client.wait_for_engines(number)  # type: ignore[arg-type]


def test_waiting_for_engines_needs_no_event(hub: HubLink, client: Client) -> None:
    """An engine that came before we were subscribed is found by asking."""
    hub.namespaces[3] = {}
    hub._events += 1

    client.wait_for_engines(4, timeout=PATIENCE)


# ---------------------------------------------------------------- load balanced


def test_apply(client: Client) -> None:
    """A value, or a result to come, as the flag says."""
    view = client.load_balanced_view()
    result = view.apply(double, 2)

    assert isinstance(result, AsyncResult)
    assert result.get(PATIENCE) == 4
    assert view.apply_sync(double, x=3) == 6
    view.block = True
    assert view.apply(double, 4) == 8


def test_the_name_f_is_free_for_arguments(client: Client) -> None:
    """The function is positional only."""
    assert client[0].apply_sync(dict, f=1) == {"f": 1}
    assert client.load_balanced_view().apply_sync(dict, f=1) == {"f": 1}


def test_flags_travel_with_the_tasks(hub: HubLink, client: Client) -> None:
    """Retries, label: of the moment of the call."""
    view = client.load_balanced_view(retries=2, label="first")
    view.apply_async(double, 1).get(PATIENCE)
    with view.temp_flags(engine_retries=0, label="second"):
        result = view.apply_async(double, 1)
        assert (result.get(PATIENCE), result.metadata.label) == (2, "second")
    view.set_flags(retries=0).apply_sync(double, 1)

    templates = [m.templates[0][1:] for m in hub.sent if isinstance(m, SubmitTasks)]
    assert templates == [(2, 3, "first"), (2, 0, "second"), (0, 3, "first")]


@pytest.mark.parametrize(
    "flags", [{"retries": -1}, {"retries": 1.5}, {"block": 1}, {"label": 3}, {"colour": "red"}]
)
def test_bad_flags_are_refused(client: Client, flags: dict[str, object]) -> None:
    """By name, and they change nothing."""
    view = client.load_balanced_view()
    with pytest.raises(TypeError):
        view.set_flags(**flags)
    assert (view.retries, view.block, view.label) == (0, False, None)


def test_what_a_task_waits_for_lies_in_so_many_ranges(hub: HubLink, client: Client) -> None:
    """More are refused by the client: a hub that cannot read them would have to refuse what stands beside them, too."""
    view = client.load_balanced_view()
    with pytest.raises(ValueError, match=f"{MOST_RANGES} ranges"):
        view.set_flags(after=[f"1-{2 * k}" for k in range(MOST_RANGES + 1)])
    assert view.after is None
    most = [f"1-{2 * k}" for k in range(MOST_RANGES)]
    with view.temp_flags(after=most, follow=most):
        view.apply_async(double, 1)
    assert view.apply_async(double, 2).get(PATIENCE) == 4
    [message] = [m for m in hub.sent if isinstance(m, SubmitTasks) and len(m.templates[0]) > 4]
    assert decode(encode(message)[0])


def test_map(client: Client) -> None:
    """Items in order, from sequences of any kind, up to the end of the shortest."""
    view = client.load_balanced_view()

    assert view.map_sync(double, range(5)) == [0, 2, 4, 6, 8]
    assert view.map_sync(pow, (n for n in range(9)), [2, 3]) == [0, 1]
    assert view.map(double, [], block=True) == []
    assert list(view.map_async(double, range(3), ordered=False)) == [0, 2, 4]
    assert view.map_sync(double, range(5), chunksize=2) == [0, 2, 4, 6, 8]


def test_every_item_of_a_map_is_a_task_of_its_own(hub: HubLink, client: Client) -> None:
    """With an id of its own, in few messages."""
    result = client.load_balanced_view().map_async(double, range(10_000))
    assert isinstance(result, AsyncMapResult)
    assert result.get(PATIENCE) == [2 * n for n in range(10_000)]

    messages = [m for m in hub.sent if isinstance(m, SubmitTasks)]
    numbers = [row[0] for m in messages for row in m.rows]
    assert len(set(numbers)) == 10_000
    assert len(messages) < 200
    assert len(set(result.msg_ids)) == 10_000


def test_errors_of_a_map(client: Client) -> None:
    """All together from `get`, each at its place in the iteration."""
    view = client.load_balanced_view()
    with pytest.raises(CompositeError) as caught:
        view.map_sync(fail, range(4))
    assert [str(e) for e in caught.value.errors] == ["odd 1", "odd 3"]

    items = iter(view.map_async(fail, range(4)))
    assert next(items) == 0
    with pytest.raises(ValueError, match="odd 1"):
        next(items)


def test_a_generator_that_raises_cancels_what_was_sent(hub: HubLink, client: Client) -> None:
    """The error is the generator's, and nothing is left behind in the queue."""
    hub.hold = True

    def items() -> Iterator[int]:
        yield 1
        hub.wait_for(lambda: any(isinstance(m, SubmitTasks) for m in hub.sent))
        raise LookupError("halfway")

    with pytest.raises(LookupError, match="halfway"):
        client.load_balanced_view().map_async(double, items())

    hub.wait_for(lambda: any(isinstance(m, Call) and m.method == "cancel" for m in hub.sent))


@pytest.mark.parametrize("way", ["apply_async", "map_async"])
def test_what_cannot_be_pickled_is_refused_at_the_call(client: Client, way: str) -> None:
    """With the name of the argument; the next call works."""
    view = client.load_balanced_view()
    bad = threading.Lock()
    with pytest.raises(SerializationError, match="argument 0"):
        getattr(view, way)(double, bad if way == "apply_async" else [bad])
    with pytest.raises(SerializationError, match="lock"):
        getattr(view, way)(lambda x: bad, [1])
    with pytest.raises(TypeError, match="function"):
        getattr(view, way)(5, [1])

    assert view.apply_sync(double, 1) == 2


def test_arguments_are_those_of_the_call(hub: HubLink, client: Client) -> None:
    """An array that is changed afterwards was sent as it was."""
    hub.hold = True
    data = np.ones(100_000)
    result = client.load_balanced_view().apply_async(np.sum, data)
    data[:] = 5
    client._connection._in_io_thread(hub.release)

    assert result.get(PATIENCE) == 100_000


def test_a_changed_global_is_seen_by_the_next_call(client: Client) -> None:
    """A function is sent again when what it refers to has changed."""
    scope: dict[str, object] = {"k": 1, "__name__": "__main__"}
    exec("def f(x): return x + k", scope)
    view = client.load_balanced_view()

    first = view.map_sync(scope["f"], [1])
    scope["k"] = 10
    assert (first, view.map_sync(scope["f"], [1])) == ([2], [11])


def test_a_balanced_view_of_some_engines(client: Client) -> None:
    """It is named as anywhere else; without targets the view is of all, also of those to come."""
    assert len(client.load_balanced_view("all")) == 3
    assert client.load_balanced_view("all").targets is None
    assert client.load_balanced_view([0, -1]).targets == (0, 2)
    assert len(client.load_balanced_view(slice(1, None))) == 2
    with pytest.raises(InvalidEngineID):
        client.load_balanced_view(9)


# ---------------------------------------------------------------- direct


def test_one_target_gives_values_and_several_give_lists(client: Client) -> None:
    """Whatever is asked."""
    one, many = client[1], client[:]
    one["a"] = 5
    many.push({"b": [1]}, block=True)

    assert one["a"] == 5
    assert many["b"] == [[1], [1], [1]]
    assert one.pull(["a", "b"], block=True) == [5, [1]]
    assert one.apply_sync(double, 4) == 8
    assert client[[1]].apply_sync(double, 4) == [8]
    assert many.get("b") == [[1]] * 3
    assert many.pull("a", targets=1, block=True) == 5


def test_a_call_is_one_message_whatever_the_number_of_engines(hub: HubLink, client: Client) -> None:
    """Also with a part of its own for each."""
    view = client[:]
    view.apply_sync(double, 1)
    view.scatter("x", range(7), block=True)

    commands = [m for m in hub.sent if isinstance(m, Command)]
    assert [(m.targets, len(m.payloads)) for m in commands] == [((0, 1, 2), 1), ((0, 1, 2), 3)]


def test_execute(client: Client) -> None:
    """Statements run in the namespaces; it gives a result, done if it blocks."""
    view = client[:]
    result = view.execute("a = 3", block=True)

    assert result.ready()
    assert view["a"] == [3, 3, 3]
    with pytest.raises(CompositeError):
        view.execute("1/0", block=True)
    with pytest.raises(ZeroDivisionError):
        client[0].execute("1/0").get(PATIENCE)


@pytest.mark.parametrize("dist", ["b", "r"])
@pytest.mark.parametrize("whole", [list(range(10)), tuple(range(10)), np.arange(10)])
def test_scatter_and_gather(client: Client, whole: object, dist: str) -> None:
    """What was scattered is gathered."""
    view = client[:]
    view.scatter("x", whole, dist, block=True)  # type: ignore[arg-type]
    found = view.gather("x", dist, block=True)

    assert type(found) is type(whole)
    assert list(found) == list(range(10))
    assert list(view.gather("x").get(PATIENCE)) == sorted(
        range(10), key=lambda n: n % 3 if dist == "r" else 0
    )


def test_a_flattened_scatter_leaves_items(client: Client) -> None:
    """One for each engine, as in ``view.scatter('id', client.ids, flatten=True)``."""
    view = client[:]
    view.scatter("id", client.ids, flatten=True, block=True)

    assert view["id"] == [0, 1, 2]
    assert view.gather("id", block=True) == [0, 1, 2]


def test_direct_map_is_one_block_for_each_target(hub: HubLink, client: Client) -> None:
    """Items come back in order; fewer items than engines use fewer engines."""
    view = client[:]

    assert view.map_sync(double, range(10)) == [2 * n for n in range(10)]
    assert view.map_sync(pow, [2, 3], [3, 2, 9]) == [8, 9]
    assert view.map_sync(double, []) == []
    targets = [m.targets for m in hub.sent if isinstance(m, Command)]
    assert targets == [(0, 1, 2), (0, 1), (0,)]
    assert client[0].map_sync(double, np.arange(3)) == [0, 2, 4]


def test_clear(client: Client) -> None:
    """The namespaces are empty afterwards."""
    view = client[:]
    view["a"] = 1
    view.clear(block=True)
    with pytest.raises(CompositeError):
        view.pull("a", block=True)


@pytest.mark.parametrize(
    "call",
    [
        lambda v: v.push({1: 2}),
        lambda v: v.pull([1]),
        lambda v: v.pull(1),
        lambda v: v.scatter(1, []),
        lambda v: v.execute(1),
        lambda v: v.apply(3),
        lambda v: v.map(double),
    ],
)
def test_bad_arguments_are_type_errors(client: Client, call: object) -> None:
    """Before anything is sent."""
    with pytest.raises(TypeError):
        call(client[0])  # type: ignore[operator]


def test_a_push_comes_before_the_map_that_follows(hub: HubLink, client: Client) -> None:
    """The tasks name the command that is not done yet."""
    hub.hold = True
    client[:].push({"a": 1})
    client.load_balanced_view().map_async(double, [1])
    hub.wait_for(lambda: any(isinstance(m, SubmitTasks) for m in hub.sent))

    (command,) = [m for m in hub.sent if isinstance(m, Command)]
    (tasks,) = [m for m in hub.sent if isinstance(m, SubmitTasks)]
    assert tasks.after == command.first


# ---------------------------------------------------------------- waiting and stopping


def test_cancel_of_what_is_queued(hub: HubLink, client: Client) -> None:
    """It is told to the hub, and true at once."""
    hub.hold = True
    result = client.load_balanced_view().apply_async(double, 1)

    assert result.cancel() is True
    assert result.cancelled()
    with pytest.raises(concurrent.futures.CancelledError):
        result.get(PATIENCE)


def test_cancel_of_what_has_not_left(hub: HubLink, client: Client) -> None:
    """From a done callback, while the I/O thread sends nothing: it never reaches the hub."""
    view = client.load_balanced_view()
    later: list[AsyncMapResult] = []
    after: list[AsyncResult] = []
    submitted = threading.Event()

    def submit_and_cancel(_: object) -> None:
        later.append(view.map_async(double, range(5000)))
        after.append(view.apply_async(double, 1))
        later[0].cancel()
        submitted.set()

    first = view.apply_async(double, 1)
    first.add_done_callback(submit_and_cancel)
    assert submitted.wait(PATIENCE)

    assert after[0].get(PATIENCE) == 2
    assert later[0].wait(PATIENCE)
    assert later[0].cancelled()
    sent = {row[0] for m in hub.sent if isinstance(m, SubmitTasks) for row in m.rows}
    assert sent == {first._number, after[0]._number}
    assert not any(isinstance(m, Call) and m.method == "cancel" for m in hub.sent)


def test_cancel_is_repeated_until_the_hub_knows_all(hub: HubLink, client: Client) -> None:
    """A wish that was quicker than its request is not lost, also if nobody waits for it."""
    hub.hold = True
    result = client.load_balanced_view().apply_async(double, 1)
    hub.wait_for(lambda: any(isinstance(m, SubmitTasks) for m in hub.sent))
    hub.ignored_cancels = 3

    client._connection.cancel_later(Stream.TASK, to_ranges(result._numbers()))

    assert result.wait(PATIENCE)
    assert result.cancelled()
    assert sum(isinstance(m, Call) and m.method == "cancel" for m in hub.sent) == 4


def test_wait_for_all_that_is_out(hub: HubLink, client: Client) -> None:
    """Without arguments; or for results, futures and ids."""
    hub.hold = True
    result = client.load_balanced_view().apply_async(double, 1)
    command = client[0].apply_async(double, 1)
    assert client.wait(timeout=0) is False
    (name,) = result.msg_ids
    assert client.wait(name, timeout=0) is False
    client._connection._in_io_thread(hub.release)

    assert client.wait(timeout=PATIENCE)
    assert client.wait([result, command, name], PATIENCE)
    assert number_of(name) == result._number


def test_ctrl_c_reaches_who_waits(hub: HubLink, client: Client) -> None:
    """At once; and the next call works."""
    hub.hold = True
    result = client.load_balanced_view().apply_async(double, 1)
    with interrupted_once(lambda: result._sync is not None), pytest.raises(KeyboardInterrupt):
        result.get(PATIENCE)
    client._connection._in_io_thread(hub.release)

    assert result.get(PATIENCE) == 2


def test_a_callback_may_submit_and_must_not_wait(client: Client, hub: HubLink) -> None:
    """What would wait for itself says so instead."""
    view = client.load_balanced_view()
    done: concurrent.futures.Future[object] = concurrent.futures.Future()

    def callback(future: AsyncResult) -> None:
        try:
            second = view.apply_async(double, 5)
            with pytest.raises(RuntimeError, match="callback"):
                second.get(PATIENCE)
            done.set_result(second)
        except BaseException as error:
            done.set_exception(error)

    hub.hold = True
    client[0].apply_async(double, 1).add_done_callback(callback)
    client._connection._in_io_thread(hub.release)

    second = done.result(PATIENCE)
    assert isinstance(second, AsyncResult)
    assert second.get(PATIENCE) == 10


# ---------------------------------------------------------------- questions


def test_interfaces_by_name() -> None:
    """Keyword arguments go, the value comes; an unknown one is a named error."""
    hub = HubLink(answers={"mine.add": lambda a, b: a + b})
    with hub.client() as client:
        assert client.interface("mine").add(a=2, b=3) == 5
        with pytest.raises(UnknownInterface):
            client.interface("other").add()
        with pytest.raises(SerializationError, match="plain data"):
            client.interface("mine").add(a=object(), b=1)


def test_a_call_that_is_too_large_is_refused_here() -> None:
    """The hub's socket would drop the connection, and no answer would come."""
    hub = HubLink(answers={"mine.length": len_of})
    with hub.client() as client:
        mine = client.interface("mine")
        with pytest.raises(LimitExceeded, match=r"mine\.length.*push"):
            mine.length(data=bytes(MAX_CONTROL_BYTES))
        assert not any(isinstance(m, Call) and m.interface == "mine" for m in hub.sent)
        assert mine.length(data=bytes(MAX_CONTROL_BYTES - 1000)) == MAX_CONTROL_BYTES - 1000


def test_queue_status_has_engines_by_number() -> None:
    """The wire knows only text as keys."""
    status = {"0": {"queue": 1, "tasks": 2}, "1": {"queue": 0, "tasks": 0}, "unassigned": 4}
    with HubLink(answers={"query.queue_status": status}).client() as client:
        assert client.queue_status() == {
            0: {"queue": 1, "tasks": 2},
            1: {"queue": 0, "tasks": 0},
            "unassigned": 4,
        }
        assert set(client.queue_status(1)) == {1, "unassigned"}


def test_a_question_has_a_deadline(hub: HubLink) -> None:
    """A hub that is silent is an error which says what to do."""
    with hub.client(timeout=0.05) as client:
        hub.deaf = True
        with pytest.raises(HubUnavailable, match="ctrl-hub status"):
            client.status()


# ---------------------------------------------------------------- the beginning and the end


def test_a_hub_that_does_not_answer_is_an_error_in_time(hub: HubLink) -> None:
    """Not a hang."""
    hub.deaf = True
    with pytest.raises(HubUnavailable, match="did not let us in"):
        hub.client(timeout=0.05)


def test_a_refused_key_is_an_authentication_error(hub: HubLink) -> None:
    """As the link tells it."""
    hub.deaf = True
    hub.failure = lambda: "the hub's hub stream refused our key; take the hub's current connection file"  # type: ignore[method-assign]
    with pytest.raises(AuthenticationError, match="refused our key"):
        hub.client(timeout=0.05)


def test_a_refusal_is_the_error_it_names(hub: HubLink) -> None:
    """With the hub's own words."""
    hub.refusal = Refused("version_mismatch", "python 3.9 here")
    with pytest.raises(VersionMismatch, match=r"python 3\.9 here"):
        hub.client(timeout=PATIENCE)


def test_closing_ends_everything_once(hub: HubLink) -> None:
    """What is out fails, what is asked later too; closing twice is harmless."""
    client = hub.client()
    view = client.load_balanced_view()
    hub.hold = True
    result = view.apply_async(double, 1)
    client.close()
    client.close()

    assert any(isinstance(m, Goodbye) for m in hub.sent)
    for call in (result.get, client.status, lambda: view.apply(double, 1), lambda: client.ids):
        with pytest.raises(SessionClosed):
            call()
    assert client.closed


def test_submitting_while_it_closes_hangs_nobody(hub: HubLink) -> None:
    """Every result ends, and every later call is refused."""
    client = hub.client()
    view = client.load_balanced_view()
    hub.hold = True
    results: list[AsyncResult] = []

    def submit_for_ever() -> None:
        while True:
            results.append(view.apply_async(double, 1))

    def submit() -> None:
        with pytest.raises(SessionClosed):
            submit_for_ever()

    threads = [threading.Thread(target=submit) for _ in range(3)]
    for thread in threads:
        thread.start()
    hub.wait_for(lambda: any(isinstance(m, SubmitTasks) for m in hub.sent))
    client.close()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()

    assert concurrent.futures.wait(results, PATIENCE).not_done == set()


def test_a_result_keeps_the_connection_and_nothing_else_does(hub: HubLink) -> None:
    """A view of a client that nobody holds works; with the last result the thread ends."""
    hub.hold = True
    result = hub.client().load_balanced_view().apply_async(double, 3)
    connection = weakref.ref(result._home)
    thread = result._home._thread  # type: ignore[attr-defined]
    gc.collect()
    result._home._in_io_thread(hub.release)  # type: ignore[attr-defined]
    assert result.get(PATIENCE) == 6

    del result
    gc.collect()
    thread.join(PATIENCE)
    assert connection() is None
    assert not thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_is_told_to_make_its_own(hub: HubLink, client: Client) -> None:
    """The I/O thread did not come along: using it says so, at once, whatever is used."""
    view = client.load_balanced_view()
    hub.hold = True
    result = view.apply_async(double, 1)
    pid = os.fork()
    if pid == 0:
        refused = 0
        for call in (lambda: view.apply_async(double, 1), result.get, client.status):
            try:
                call()
            except SessionClosed:
                refused += 1
        client.close()
        os._exit(refused)
    _, status = os.waitpid(pid, 0)
    client._connection._in_io_thread(hub.release)

    assert os.waitstatus_to_exitcode(status) == 3
    assert result.get(PATIENCE) == 2


def test_a_failing_thread_is_not_a_hang(
    hub: HubLink, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever breaks the I/O loop ends what is out with an error."""
    client = hub.client()
    hub.hold = True
    result = client.load_balanced_view().apply_async(double, 1)

    def broken(timeout: float | None) -> list[object]:
        raise OSError("no more descriptors")

    monkeypatch.setattr(hub, "receive", broken)
    hub.wake()

    assert "no more descriptors" in str(result.exception(PATIENCE))
    client.close()


def test_streams_are_named_by_the_kind_of_call(hub: HubLink, client: Client) -> None:
    """Tasks are cancelled, commands aborted: each by its own interface."""
    hub.hold = True
    command = client[0].apply_async(double, 1)
    assert command._about.stream is Stream.MULTIENGINE
    hub.wait_for(lambda: any(isinstance(m, Command) for m in hub.sent))
    command.cancel()

    calls = [(m.interface, m.method) for m in hub.sent if isinstance(m, Call)]
    assert ("multiengine", "abort") in calls


# ---------------------------------------------------------------- asking the I/O thread


def test_what_fails_in_the_io_thread_is_raised_here(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked is told, at once; the thread goes on."""

    def broken() -> set[int]:
        raise RuntimeError("changed while it was looked at")

    with monkeypatch.context() as patch:
        patch.setattr(client._connection._session, "outstanding_numbers", broken)
        with pytest.raises(RuntimeError, match="changed while"):
            client.outstanding  # noqa: B018
    assert client.outstanding == set()
    assert client[0].apply_sync(double, 2) == 4


def test_an_io_thread_that_is_busy_is_no_answer(hub: HubLink) -> None:
    """While a callback keeps it, nobody is told that nothing is out."""
    release = threading.Event()
    began = threading.Event()

    def keep(_: object) -> None:
        began.set()
        release.wait(PATIENCE)

    with hub.client(timeout=0.2) as client:
        hub.hold = True
        result = client[0].apply_async(double, 1)
        hub.wait_for(lambda: any(isinstance(m, Command) for m in hub.sent))
        result.add_done_callback(keep)
        hub.release()
        assert began.wait(PATIENCE)
        try:
            with pytest.raises(TimeoutError, match="done callback"):
                client.outstanding  # noqa: B018
        finally:
            release.set()
