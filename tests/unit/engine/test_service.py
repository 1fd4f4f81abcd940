"""An engine on a link, in threads of this process."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from ctrlhub.engine.lease import Ending
from ctrlhub.engine.service import EngineService
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.functions import encode as encode_function
from ctrlhub.wire.messages import (
    Action,
    Beat,
    Buffer,
    Goodbye,
    Message,
    Register,
    Registered,
    Results,
    RunCommand,
    RunTasks,
    Shutdown,
    Stored,
    Stream,
)
from ctrlhub.wire.serialize import dumps
from tests.support.engine_bench import Bench, value
from tests.support.processes import until

PATIENCE = 60.0


class QueueLink:
    """A link whose other end is two queues."""

    enrolling = False
    sleeping = sleeps_in_system = False
    bulk = None

    def __init__(self) -> None:
        self.lock = threading.RLock()  # never let go of: everything is posted
        self.sent: queue.Queue[tuple[Stream, Message]] = queue.Queue()
        self.arriving: queue.Queue[tuple[Stream, list[Buffer]] | None] = queue.Queue()
        self.closed = threading.Event()

    def send(self, stream: Stream, frames: Sequence[Buffer]) -> None:
        """Send."""
        self.sent.put((stream, decode(frames[0], frames[1:])))

    def receive(self, timeout: float | None) -> list[tuple[Stream, bytes, list[Buffer]]]:
        """Wait for one message or `wake`."""
        try:
            arrival = self.arriving.get(timeout=timeout)
        except queue.Empty:
            return []
        return [] if arrival is None else [(arrival[0], arrival[1][0], arrival[1][1:])]

    def missed(self) -> bool:
        """Nothing is missed."""
        return False

    def reopen(self) -> None:
        """There is nothing to open."""

    def wake(self) -> None:
        """Wake."""
        self.arriving.put(None)

    def enrolled(self) -> None:
        """Do nothing."""

    def enrol_again(self) -> None:
        """Do nothing."""

    def failure(self) -> str | None:
        """Nothing fails."""
        return None

    def close(self) -> None:
        """Close."""
        self.closed.set()


class Hub:
    """An engine in a thread, and the hub's side of its link."""

    def __init__(self) -> None:
        self.link = QueueLink()
        self.bench = Bench()
        self.abandoned: list[Ending] = []
        self.service = EngineService(
            self.link,
            Register("engine", "key", b"life", 1, "host", {}),
            self.bench.executor,
            drain=0.0,
            abandon=self.abandoned.append,
        )
        self.endings: list[Ending] = []
        self.thread = threading.Thread(target=lambda: self.endings.append(self.service.run()))
        self.thread.start()
        self.wait_for(Register)
        self.say(Stream.HUB, Registered(1, b"t", 5, "e", False, 600.0, 900.0, 900.0))

    def say(self, stream: Stream, message: Message) -> None:
        """Send the engine a message."""
        self.link.arriving.put((stream, encode(message)))

    def wait_for(self, kind: type[Message]) -> Any:
        """Return the next message of a kind."""
        while True:
            stream, message = self.link.sent.get(timeout=PATIENCE)
            if isinstance(message, Results):
                self.say(stream, Stored(tuple((row[0], row[0]) for row in message.rows)))
            if isinstance(message, kind):
                return message

    def rows(self, count: int) -> list[Any]:
        """Return the next so many results."""
        found: list[Any] = []
        while len(found) < count:
            found += self.wait_for(Results).rows
        return found

    def map(self, first: int, call: Callable[[Any], Any], *values: Any) -> None:
        """Send a task for each value."""
        digest, blob = encode_function(call)
        rows = [(first + n, 0, 0, dumps(((each,), {}))) for n, each in enumerate(values)]
        self.say(Stream.TASK, RunTasks([(digest, 0, 0, "")], rows, [(digest, blob)]))  # type: ignore[arg-type]

    def end(self) -> None:
        """Shut the engine down."""
        self.say(Stream.HUB, Shutdown("the test is over"))
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


@pytest.fixture
def hub() -> Iterator[Hub]:
    """An engine that has joined."""
    made = Hub()
    yield made
    if made.thread.is_alive():
        made.end()


def test_tasks_are_run_and_answered(hub: Hub) -> None:
    """Each once, with its value."""
    hub.map(1, lambda x: x * 2, *range(100))

    rows = hub.rows(100)

    assert [row[0] for row in rows] == list(range(1, 101))
    assert [value(row) for row in rows] == [2 * n for n in range(100)]


def test_a_command_goes_before_tasks_that_have_not_begun(hub: Hub) -> None:
    """And after the one that runs."""
    order: list[str] = []
    begun, go_on = threading.Event(), threading.Event()
    hub.bench.names.update(order=order, begun=begun, go_on=go_on)
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec("def f(x):\n    begun.set(); go_on.wait(); order.append(f'task {x}')", scope)
    hub.map(1, scope["f"], 1, 2)
    assert begun.wait(PATIENCE)

    code = dumps({"code": "order.append('command')", "silent": True})
    hub.say(Stream.MULTIENGINE, RunCommand(9, Action.EXECUTE.value, code))  # type: ignore[arg-type]
    while not hub.service._queue.urgent:
        assert hub.thread.is_alive()
    go_on.set()
    hub.rows(3)

    assert order == ["task 1", "command", "task 2"]


def test_nothing_is_on_the_board_once_all_is_handed_over(hub: Hub) -> None:
    """Neither after tasks nor after a command: an idle engine that dies has nobody to blame."""
    hub.map(1, str, 1, 2)
    hub.rows(2)
    until(lambda: hub.bench.board[0] == 0, "an empty board")

    code = dumps({"code": "1", "silent": True})
    hub.say(Stream.MULTIENGINE, RunCommand(9, Action.EXECUTE.value, code))  # type: ignore[arg-type]
    hub.rows(1)
    until(lambda: hub.bench.board[0] == 0, "an empty board")


def test_the_engine_knows_its_id(hub: Hub) -> None:
    """So that its failures name it."""
    hub.map(1, lambda x: x, 1)
    hub.rows(1)

    assert hub.bench.executor.engine_id == 5


def test_shutdown_ends_it(hub: Hub) -> None:
    """With a goodbye, and a closed link."""
    hub.end()

    assert hub.wait_for(Goodbye).reason == "the test is over"
    assert hub.link.closed.is_set()
    assert hub.endings == [Ending.LEFT]
    assert hub.abandoned == []


def test_user_code_that_does_not_end_is_abandoned(hub: Hub) -> None:
    """The engine says goodbye all the same, and its process is told to go."""
    release = threading.Event()
    hub.bench.names["release"] = release
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec("def f(x): release.wait()", scope)
    hub.map(1, scope["f"], 1)
    while not hub.bench.board[0]:
        assert hub.thread.is_alive()

    hub.say(Stream.HUB, Shutdown("enough"))
    hub.wait_for(Goodbye)
    hub.link.closed.wait(PATIENCE)
    while not hub.abandoned:
        assert hub.thread.is_alive()
    release.set()
    hub.thread.join(PATIENCE)

    assert hub.abandoned == [Ending.LEFT]


def test_messages_that_mean_nothing_are_ignored(hub: Hub) -> None:
    """A hub of a later version may say more."""
    hub.say(Stream.HUB, Beat())
    hub.say(Stream.TASK, Shutdown("on the wrong stream, but clear"))
    hub.thread.join(PATIENCE)

    assert hub.endings == [Ending.LEFT]
