"""What nanny and warm process say to each other."""

from __future__ import annotations

import pytest

from ctrlhub.engine.channel import Channel, EngineEnded, Note, SignalEngine, StartEngine


@pytest.mark.parametrize(
    "notes",
    [[StartEngine(0, "{}")], [SignalEngine(1, 9, "group"), EngineEnded(1, 5, 9)]],
)
def test_notes_arrive_as_they_were_sent(notes: list[Note]) -> None:
    """One or several."""
    one, other = Channel.pair()
    for note in notes:
        one.send(note)

    assert other.receive() == notes
    one.close()
    other.close()


def test_a_long_note_arrives_in_pieces_and_whole() -> None:
    """Whatever the sizes of reads are."""
    one, other = Channel.pair()
    sent = StartEngine(0, "x" * 100_000)
    one.send(sent)
    got: list[Note] = []
    while not got:
        got += other.receive() or []

    assert got == [sent]
    one.close()
    other.close()


def test_a_closed_end_is_noticed() -> None:
    """By the reader; the writer does not care."""
    one, other = Channel.pair()
    one.close()

    other.send(StartEngine(0, ""))
    assert other.receive() is None
    other.close()


def test_an_end_that_only_posts_never_waits() -> None:
    """However much it has to say to one that does not read; it leaves in order once there is room."""
    one, other = Channel.pair()
    count = 5000
    for slot in range(count):
        one.post(EngineEnded(slot, 4711, 0))
    assert one.unsent
    heard: list[Note] = []
    while len(heard) < count:
        heard += other.receive() or []
        one.flush()
    assert [each.slot for each in heard] == list(range(count))
    assert not one.unsent
    other.close()
    one.post(EngineEnded(0, 4711, 0))
    assert not one.unsent
    one.close()
