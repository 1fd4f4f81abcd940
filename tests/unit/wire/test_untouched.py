"""Arrays that are what was received go out as the segment that they came in; others are copied."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from typing import Any

import pytest

np = pytest.importorskip("numpy")

from ctrlhub.wire import untouched  # noqa: E402
from ctrlhub.wire.messages import Payload  # noqa: E402
from ctrlhub.wire.segments import AVAILABLE, Segment, count_held, share  # noqa: E402
from ctrlhub.wire.serialize import detached, dumps, loads  # noqa: E402
from ctrlhub.wire.untouched import REMEMBERED, WORTH_BYTES, address_of, remembered  # noqa: E402
from ctrlhub.wire.warm import discard  # noqa: E402
from tests.support.memory_files import memory_files  # noqa: E402

pytestmark = pytest.mark.skipif(
    not AVAILABLE or not untouched._can_be_told(), reason="this system does not tell"
)

SIZE = WORTH_BYTES + 3000


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Nothing is remembered longer than the array lives."""
    discard()
    gc.collect()
    before = count_held(), len(remembered()), memory_files()
    yield
    discard()
    gc.collect()
    assert (count_held(), len(remembered())) == before[:2]
    assert memory_files() <= before[2]


def sent(value: Any) -> Payload:
    """Return what is sent of a value."""
    return detached(dumps(value))


def received(size: int = SIZE) -> tuple[Any, Segment]:
    """Return an array that came in a segment, and the segment."""
    payload = sent(np.arange(size, dtype=np.uint8))
    return loads(payload), payload[1]


def test_it_goes_out_as_it_came() -> None:
    """Untouched, or only read: there is no second segment."""
    array, segment = received()
    assert array.sum() > 0
    assert sent(array)[1] is segment
    assert sent({"a": [array]})[1] is segment
    assert np.array_equal(loads(sent(array)), np.arange(SIZE, dtype=np.uint8))


@pytest.mark.parametrize("where", [0, 1, SIZE // 2, SIZE - 1])
def test_one_byte_that_was_written_makes_it_another(where: int) -> None:
    """Wherever that is; even where the same is written that was there."""
    array, segment = received()
    array[where] = 77
    payload = sent(array)
    assert payload[1] is not segment
    again = loads(payload)
    assert again[where] == 77
    assert np.array_equal(again, array)


def test_what_is_sent_does_not_change() -> None:
    """What is written after that is written into pages of our own."""
    array, _ = received()
    payload = sent(array)
    array[:] = 1
    assert np.array_equal(loads(payload), np.arange(SIZE, dtype=np.uint8))


def test_a_part_of_it_is_copied() -> None:
    """It is all of a segment, or none."""
    array, segment = received(2 * SIZE)
    assert sent(array[10 : SIZE + 10])[1] is not segment
    assert sent(array[:SIZE])[1] is not segment
    assert np.array_equal(loads(sent(array[:SIZE])), array[:SIZE])


def test_another_shape_of_the_same_memory() -> None:
    """What the array is travels in the pickle, beside its memory."""
    array, segment = received(2 * WORTH_BYTES)
    turned = array.reshape(2, -1).T
    payload = sent(turned)
    assert payload[1] is segment
    assert np.array_equal(loads(payload), turned)


def test_a_read_only_array_that_is_untouched() -> None:
    """It stays read-only, and is not copied either."""
    array, segment = received()
    array.flags.writeable = False
    assert sent(array)[1] is segment


def test_another_array_in_the_same_place() -> None:
    """An address is remembered no longer than what stands there."""
    array, _ = received()
    address = address_of(array)
    assert address in untouched._origins
    del array
    gc.collect()
    assert address not in untouched._origins


def test_a_child_process_sees_its_own_pages() -> None:
    """After a fork, what the child writes is the child's."""
    array, segment = received()
    child = os.fork()
    if child == 0:
        try:
            array[0] = 99
            payload = sent(array)
            os._exit(0 if payload[1] is not segment and loads(payload)[0] == 99 else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert sent(array)[1] is segment


def test_it_remembers_so_many() -> None:
    """Each takes a descriptor; further ones are copied."""
    arrays = [received(WORTH_BYTES)[0] for _ in range(REMEMBERED + 3)]
    assert len(remembered()) == REMEMBERED
    assert np.array_equal(loads(sent(arrays[-1])), arrays[-1])


def test_what_is_remembered_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not count as kept for others."""
    most = count_held() + 1
    arrays = [received(WORTH_BYTES)[0] for _ in range(10)]
    gc.collect()
    assert len(remembered()) == 10
    first = share(memoryview(bytes(WORTH_BYTES)), most)
    assert first is not None
    assert share(memoryview(bytes(WORTH_BYTES)), most) is None
    assert len(arrays) == 10


def test_a_system_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it says instead, everything is copied."""
    array, segment = received()
    monkeypatch.setattr(untouched, "_parts", lambda file, wanted: [])
    assert sent(array)[1] is not segment
    monkeypatch.undo()
    monkeypatch.setattr(untouched, "_can_be_told", lambda: False)
    assert sent(array)[1] is not segment


def test_a_system_that_lies_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all pages look alike, nothing it says is believed."""
    monkeypatch.setattr(untouched, "_parts", lambda file, wanted: [bytes(wanted)])
    assert not untouched._can_be_told.__wrapped__()
