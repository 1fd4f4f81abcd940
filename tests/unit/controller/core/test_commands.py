"""Commands: first in, first out, one in flight."""

from __future__ import annotations

from ctrlhub.controller.core.commands import CommandQueue, CommandRecord, CommandState
from tests.support.records import a_session, an_engine


def a_queue(count: int) -> tuple[CommandQueue, list[CommandRecord]]:
    """Return a queue that holds commands 1 … count."""
    queue, session = CommandQueue(an_engine()), a_session()
    commands = [CommandRecord(n, session, "push", b"", None) for n in range(1, count + 1)]
    for command in commands:
        queue.put(command)
        queue.check()
    return queue, commands


def test_commands_begin_in_order_one_at_a_time() -> None:
    """The next begins when the one before has ended, whatever its end was."""
    queue, commands = a_queue(3)
    for command in commands:
        assert queue.next() is command
        assert command.state is CommandState.RUNNING
        assert queue.next() is None
        assert queue.finish(command.id) is command
        assert command.state is CommandState.ENDED
        queue.check()
    assert queue.next() is None
    assert len(queue) == 0


def test_only_the_command_in_flight_can_finish() -> None:
    """An end of another, or a second end, is nobody's."""
    queue, _ = a_queue(2)
    assert queue.finish(1) is None
    queue.next()
    assert queue.finish(2) is None
    assert queue.finish(1) is not None
    assert queue.finish(1) is None
    queue.check()


def test_the_engine_counts_its_commands() -> None:
    """It is available for tasks when it has none, and says so at that moment."""
    queue, _ = a_queue(2)
    freed: list[int] = []
    queue.engine.on_available(lambda engine: freed.append(engine.id))
    assert not queue.engine.available
    queue.next()
    queue.finish(1)
    assert freed == []
    queue.next()
    queue.finish(2)
    assert queue.engine.available
    assert freed == [0]


def test_withdrawing_spares_what_runs() -> None:
    """Queued ones among the ids end, in order; the others stay in order."""
    queue, commands = a_queue(4)
    queue.next()
    assert queue.withdraw({1, 2, 4, 77}) == [commands[1], commands[3]]
    assert queue.waiting() == [commands[2]]
    assert queue.running is commands[0]
    assert len(queue) == 2
    queue.check()


def test_clearing_ends_all() -> None:
    """The one in flight comes first."""
    queue, commands = a_queue(3)
    queue.next()
    assert queue.clear() == commands
    assert all(command.state is CommandState.ENDED for command in commands)
    assert queue.engine.commands == 0
    queue.check()
