"""Live output of an engine's session: on the stream of its request, within the client's credit."""

from __future__ import annotations

from ctrlhub.engine.capture import Capture
from ctrlhub.wire.limits import OUTPUT_MESSAGE_BYTES, OUTPUT_WINDOW
from ctrlhub.wire.messages import Output, OutputReceived, Stream
from tests.unit.engine.test_session import Engine, engine

__all__ = ["engine"]

WHOLE_WINDOW = OUTPUT_WINDOW // OUTPUT_MESSAGE_BYTES


def printed(request: int, text: str) -> Capture:
    """The output of a request."""
    capture = Capture(request)
    capture.add_text("stdout", text)
    return capture


def shown(engine: Engine) -> list[tuple[Stream, Output]]:
    """Take what is to be shown."""
    engine.session.tick(engine.now)
    return [(s, m) for s, m in engine.session.drain() if isinstance(m, Output)]


def test_output_leaves_on_the_stream_of_its_request(engine: Engine) -> None:
    """Of commands and of tasks, and nothing when nothing was printed."""
    engine.command(1)
    engine.tasks(2)
    assert shown(engine) == []

    engine.worker.source = printed(1, "a\n")
    engine.session.written(engine.now)
    assert shown(engine) == [(Stream.MULTIENGINE, Output(1, 1, [("stdout", 0, "a\n")]))]

    engine.worker.source = printed(2, "b\n")
    engine.session.written(engine.now)
    engine.wait(0.1)
    assert shown(engine) == [(Stream.TASK, Output(2, 1, [("stdout", 0, "b\n")]))]


def test_output_tells_its_attempt(engine: Engine) -> None:
    """Its numbers begin anew with each."""
    engine.tasks(2, attempt=3)
    engine.worker.source = printed(2, "b\n")
    engine.session.written(engine.now)
    assert shown(engine) == [(Stream.TASK, Output(2, 1, [("stdout", 0, "b\n")], attempt=3))]

    engine.tasks(2, attempt=4)
    engine.worker.source = printed(2, "c\n")
    engine.session.written(engine.now)
    engine.wait(0.1)
    assert shown(engine) == [(Stream.TASK, Output(2, 1, [("stdout", 0, "c\n")], attempt=4))]


def test_a_client_that_does_not_follow_stops_it_until_it_does(engine: Engine) -> None:
    """The worker need not tell of more meanwhile."""
    engine.command(1)
    engine.worker.source = printed(1, "x" * (OUTPUT_WINDOW + 10))
    engine.session.written(engine.now)

    assert len(shown(engine)) == WHOLE_WINDOW
    assert engine.worker.on_hold == 1
    engine.wait(0.1)
    assert shown(engine) == []

    engine.hear(Stream.MULTIENGINE, OutputReceived(1, WHOLE_WINDOW, 3))
    engine.wait(0.1)
    assert len(shown(engine)) == 1


def test_without_a_hub_nothing_is_shown_and_afterwards_it_is(engine: Engine) -> None:
    """From the beginning: what was under way when the connection broke may be lost."""
    engine.command(1)
    engine.worker.source = printed(1, "x" * 10)
    engine.session.written(engine.now)
    shown(engine)

    engine.wait(20.0)
    engine.worker.source.add_text("stdout", "y\n")
    engine.session.written(engine.now)
    assert shown(engine) == []
    engine.join(resumed=True)

    engine.session.tick(engine.now)
    said = [m for _, m in engine.session.drain() if isinstance(m, Output)]
    assert said == [Output(1, 2, [("stdout", 0, "x" * 10 + "y\n")])]
    engine.hear(Stream.MULTIENGINE, OutputReceived(1, 0, 3, missed=True))
    [(_, again)] = shown(engine)
    assert (again.after, again.items) == (0, said[0].items)
