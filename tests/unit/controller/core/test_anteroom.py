"""The anteroom: few enter at once, all in their turn, and nobody waits for one who does not come."""

from __future__ import annotations

import itertools

from ctrlhub.controller.core.anteroom import ENTRY, MOST_ENTERING, MOST_WAITING, Anteroom

NOW = 100.0


def filled(waiting: int) -> Anteroom[int]:
    """Return one where as many enter as may, and so many wait, by the names "0", "1", ..."""
    room: Anteroom[int] = Anteroom()
    told = [room.come(str(number), number, NOW) for number in range(MOST_ENTERING + waiting)]
    assert told[:MOST_ENTERING] == [[(str(number), number)] for number in range(MOST_ENTERING)]
    assert told[MOST_ENTERING:] == [[]] * waiting
    return room


def test_the_next_enters_when_one_is_in() -> None:
    """In the order in which they came, each once."""
    room, names = filled(3), itertools.count(MOST_ENTERING)
    for entered, waits in zip("012", names, strict=False):
        room.entered(entered)
        assert room.look(NOW) == [(str(waits), waits)]
    room.entered("3")
    assert room.look(NOW) == []


def test_who_asks_again_is_told_again_and_keeps_its_turn() -> None:
    """Where it asked last; who may enter is told at once, as the answer was lost."""
    room = filled(2)
    assert room.come("0", -1, NOW) == [("0", -1)]
    assert room.come(str(MOST_ENTERING), -2, NOW) == []
    room.entered("0")
    assert room.look(NOW) == [(str(MOST_ENTERING), -2)]


def test_nobody_waits_for_one_who_does_not_come() -> None:
    """Places of those who take longer are given to others, and they may still enter."""
    room = filled(2 * MOST_ENTERING)
    assert room.look(NOW + ENTRY / 2) == []
    assert len(room.look(NOW + ENTRY)) == MOST_ENTERING
    assert room.look(NOW + ENTRY) == []
    room.entered("0")
    assert room.look(NOW + ENTRY) == []


def test_who_leaves_has_no_turn() -> None:
    """It is passed over."""
    room = filled(2)
    room.entered(str(MOST_ENTERING))
    room.entered("0")
    assert room.look(NOW) == [(str(MOST_ENTERING + 1), MOST_ENTERING + 1)]


def test_no_more_wait_than_fit() -> None:
    """The first enters then, however many are at it."""
    room = filled(MOST_WAITING)
    assert room.come("x", -1, NOW) == [(str(MOST_ENTERING), MOST_ENTERING)]


def test_who_is_gone_keeps_nobody_waiting() -> None:
    """When it is to be told; one that is told twice may be gone from its place because it enters."""
    room = filled(3)
    assert room.due == NOW + ENTRY
    room.gone(0)
    assert room.due == 0.0
    assert room.look(NOW) == [(str(MOST_ENTERING), MOST_ENTERING)]
    assert room.due == NOW + ENTRY
    assert room.come("1", 1, NOW) == [("1", 1)]
    room.gone(1)
    assert room.look(NOW) == []
    for told in range(2, 4):
        room.gone(told)
    assert room.look(NOW) == [(str(n), n) for n in (MOST_ENTERING + 1, MOST_ENTERING + 2)]
    assert room.due is None
