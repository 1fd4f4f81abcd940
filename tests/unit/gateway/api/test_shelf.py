from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from ctrlhub.client.rows import RAISED
from ctrlhub.gateway.api import shelf as module
from ctrlhub.gateway.api import shelf_file as file_module
from ctrlhub.gateway.api.outcomes import NotKept
from ctrlhub.gateway.api.shelf import Limits, Shelf
from ctrlhub.gateway.api.shelf_file import (
    DATABASE,
    FILE_BYTES,
    ROW_BYTES,
    VALUES,
    ShelfFile,
    name_of,
)
from ctrlhub.wire.encoded import OCTETS, Encoded, open_plainly
from ctrlhub.wire.errors import LimitExceeded, StoreError
from ctrlhub.wire.ids import request_id
from ctrlhub.wire.messages import Stream
from ctrlhub.wire.serialize import dumps

DEADLINE = 30.0


def row(number: int, payload: Any = b"value", extras: Any = None) -> tuple[Any, ...]:
    """Return a row of a request of session 7."""
    return (request_id(7, number), 0, payload, 3, 1.5, 0.25, extras)


def value(size: int) -> Any:
    """Return the payload of bytes of a size."""
    return dumps(Encoded(OCTETS, os.urandom(size)))


class Here:
    """A shelf, whose clock is set."""

    def __init__(self, directory: Path, size: int = 10**9) -> None:
        self.directory = directory / "results"
        self.now = 1000.0
        self.limits = Limits(size, 100.0)
        self.kept: Queue[int] = Queue()
        self.open()

    def open(self) -> None:
        """Begin, with what the process before has left."""
        self.shelf = Shelf(self.directory, self.limits, lambda: self.now)

    def again(self) -> None:
        """Open it as the next process does."""
        self.shelf.close()
        self.open()

    def put(self, *rows: tuple[Any, ...]) -> None:
        """Put rows, and wait until all are safe."""
        for each in rows:
            self.shelf.put(each, Stream.TASK, self._safe)
        assert {self.kept.get(timeout=DEADLINE) for _ in rows} == {each[0] for each in rows}

    def _safe(self, stream: Stream, numbers: Collection[int]) -> None:
        for number in numbers:
            self.kept.put(number)

    def known(self, *numbers: int) -> list[int]:
        """Return those that are there."""
        asked = [request_id(7, number) for number in numbers]
        found = asyncio.run(self.shelf.known(asked))
        return [number for number, each in zip(numbers, asked, strict=True) if each in found]

    def some(self, *numbers: int) -> list[Any]:
        """Return the first rows of some."""
        return asyncio.run(self.shelf.some([request_id(7, number) for number in numbers]))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    """A shelf with much room."""
    here = Here(tmp_path)
    yield here
    here.shelf.close()


def test_rows_come_back_as_they_were_also_to_the_next_process(here: Here) -> None:
    """Small ones, such with output, and such in several parts; one that comes twice stays as it was."""
    rows = [
        row(1), row(2, b"", {"stdout": "half a pair: \ud83d", "outputs": [{"data": {"a": b"\x00"}}]}),
        row(3, value(100_000)), (request_id(7, 4), 1, b"failure", -1, 0.0, 0.0, None),
    ]  # fmt: skip
    here.put(*rows)
    here.put(row(1, b"another"))
    for _ in range(2):
        assert here.known(*range(7)) == [1, 2, 3, 4]
        one, two, three, four, five = here.some(1, 2, 3, 4, 5)
        assert [one, two, four, five] == [rows[0], rows[1], rows[3], None]
        assert [bytes(part) for part in three[2]] == [bytes(part) for part in rows[2][2]]
        here.again()


def test_a_broken_clock_of_an_engine_keeps_nobody_from_his_results(here: Here) -> None:
    """Times that are none are 0; others are as they were, however odd."""
    times = [(float("nan"), 0.5), (1.5, float("nan")), (float("inf"), -1e300)]
    here.put(*((*row(number)[:4], *pair, None) for number, pair in enumerate(times)), row(9))
    assert [each[4:6] for each in here.some(0, 1, 2, 9)] == [(0.0, 0.5), (1.5, 0.0), times[2], (1.5, 0.25)]


def test_a_large_value_is_read_in_parts_from_its_file(here: Here) -> None:
    """As it was; where its file is gone, or not whole, that is told, and what came of the request."""
    payload = value(FILE_BYTES)
    here.put(row(1, payload), row(2, bytes(FILE_BYTES)))
    one, two = here.some(1, 2)
    opened = open_plainly(one[2])
    assert opened.nbytes == FILE_BYTES
    assert opened.part(FILE_BYTES - 5, 99) == bytes(payload[1])[-5:]
    assert two[2][0].read(0, FILE_BYTES) == bytes(FILE_BYTES)

    os.truncate(here.directory / VALUES / name_of(request_id(7, 1)), 1000)
    os.unlink(here.directory / VALUES / name_of(request_id(7, 2)))
    for each in here.some(1, 2):
        assert (each[1], type(each[2]), each[3:6]) == (RAISED, NotKept, (3, 1.5, 0.25))


def test_only_so_much_is_read_at_once(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first rows in any case; large values count nothing, since they stay where they are."""
    monkeypatch.setattr(module, "AT_ONCE", 50_000)
    here.put(*(row(n, bytes(20_000)) for n in range(1, 6)), row(6, value(FILE_BYTES)), row(7, value(FILE_BYTES)))
    assert len(here.some(1, 2, 3, 4, 5)) == 2
    assert len(here.some(6, 7, 1, 2, 3)) == 4
    assert len(here.some(5)) == 1


def test_only_so_many_files_are_open_at_once(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """For one who reads: others need descriptors as well."""
    monkeypatch.setattr(module, "MOST_OPEN", 2)
    here.put(row(1), *(row(n, value(FILE_BYTES)) for n in range(2, 6)), row(6))
    assert len(here.some(1, 2, 3, 4, 5, 6)) == 3
    assert len(here.some(4, 5)) == 2
    assert len(here.some(5, 6)) == 2


def test_a_value_that_cannot_be_opened_just_now_is_not_lost(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no descriptor for it; that it were lost would let it make room for others."""
    here.put(row(1, value(FILE_BYTES)))

    def fail(path: Path) -> Any:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(file_module, "OpenFile", fail)
        with pytest.raises(StoreError, match="too many open files"):
            here.some(1)
    assert here.some(1)[0][1] == 0


def test_what_was_fetched_makes_room_and_what_was_not_stops_what_comes(tmp_path: Path) -> None:
    """Nothing goes that nobody has; who asks for more is told so, until somebody has fetched some."""
    here = Here(tmp_path, 4 * (ROW_BYTES + 1000))
    here.put(*(row(n, bytes(1000)) for n in range(1, 4)))
    here.shelf.check_room()
    here.put(row(4, bytes(1000)), row(5, bytes(1000)))
    with pytest.raises(LimitExceeded, match="results_bytes"):
        here.shelf.check_room()
    assert here.known(1, 2, 3, 4, 5) == [1, 2, 3, 4, 5]
    here.shelf.fetched([request_id(7, 2), request_id(7, 3)])
    assert here.known(1, 2, 3, 4, 5) == [1, 4, 5]
    here.shelf.check_room()
    here.shelf.close()


def test_what_is_too_old_goes(here: Here) -> None:
    """With its file, whether anybody has it or not; what is younger stays."""
    here.put(row(1), row(2, value(FILE_BYTES)))
    here.now += 60
    here.put(row(3))
    here.now += 50
    here.again()
    assert here.known(1, 2, 3) == [3]
    assert list((here.directory / VALUES).iterdir()) == []


def test_what_was_fetched_is_known_to_the_next_process(tmp_path: Path) -> None:
    """So it makes room there."""
    here = Here(tmp_path, 2 * (ROW_BYTES + 1000))
    here.put(row(1, bytes(1000)))
    here.shelf.fetched([request_id(7, 1)])
    here.again()
    here.put(row(2, bytes(1000)))
    assert here.known(1, 2) == [2]
    here.shelf.close()


def test_a_session_is_forgotten(here: Here) -> None:
    """Its number is another's; others stay."""
    other = (request_id(8, 1), *row(1)[1:])
    here.put(row(1), other)
    asyncio.run(here.shelf.forget(7))
    assert here.known(1) == []
    assert asyncio.run(here.shelf.find(other[0])) == other


def test_what_cannot_be_written_is_not_acknowledged_until_it_is(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again, can be read meanwhile, and nothing more is run."""
    monkeypatch.setattr(module, "AGAIN", 0.01)
    failures: Queue[OSError] = Queue()
    add = ShelfFile.add

    def fail(file: ShelfFile, rows: Any, now: float) -> int:
        failures.put(OSError("no space left"))
        raise failures.queue[-1]

    monkeypatch.setattr(ShelfFile, "add", fail)
    here.shelf.put(row(1), Stream.TASK, here._safe)
    for _ in range(3):
        failures.get(timeout=DEADLINE)
    assert here.kept.empty()
    assert asyncio.run(here.shelf.find(row(1)[0])) == row(1)
    with pytest.raises(StoreError, match="no space left"):
        here.shelf.check_room()
    monkeypatch.setattr(ShelfFile, "add", add)
    assert here.kept.get(timeout=DEADLINE) == row(1)[0]
    assert here.known(1) == [1]
    here.shelf.check_room()


def test_what_cannot_be_forgotten_stops_nothing_else(here: Here) -> None:
    """As where a page of the database is damaged: others come and are found."""
    here.put(row(1))
    here.shelf.close()
    with closing(sqlite3.connect(here.directory / DATABASE)) as database:
        database.execute("CREATE TRIGGER odd BEFORE DELETE ON results BEGIN SELECT RAISE(ABORT, 'a bad page'); END")
    here.open()
    here.now += 1000
    with pytest.raises(StoreError, match="a bad page"):
        here.known(1)
    here.put(row(2))
    assert here.known(1, 2) == [1, 2]


def test_what_was_fetched_makes_room_also_where_that_has_failed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the disk has failed before anything was done, or behind it."""
    for name in ("mark_fetched", "_vacuum"):
        here = Here(tmp_path / name, 2 * (ROW_BYTES + 1000))
        here.put(row(1, bytes(1000)), row(2, bytes(1000)))
        with monkeypatch.context() as patch:
            patch.setattr(ShelfFile, name, _fail)
            here.shelf.fetched([request_id(7, 1)])
            assert here.known(2) == [2]
        here.shelf.fetched([])
        assert here.known(1, 2) == [2]
        here.shelf.check_room()
        here.shelf.close()


def test_what_was_fetched_makes_room_where_the_disk_has_none(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """However little it is, of what there may be; what was not fetched stays."""
    monkeypatch.setattr(module, "AGAIN", 0.01)
    add = ShelfFile.add

    def fail(file: ShelfFile, rows: Any, now: float) -> int:
        if request_id(7, 1) in file.known([request_id(7, 1)]):
            raise OSError(errno.ENOSPC, "no space left")
        return add(file, rows, now)

    here.put(row(1), row(2))
    monkeypatch.setattr(ShelfFile, "add", fail)
    here.shelf.fetched([request_id(7, 1)])
    here.put(row(3))
    assert here.known(1, 2, 3) == [2, 3]
    here.shelf.check_room()


def _fail(*args: Any) -> None:
    raise OSError("no space left")


def test_a_session_that_is_forgotten_makes_room(tmp_path: Path) -> None:
    """For others."""
    here = Here(tmp_path, ROW_BYTES)
    here.put(row(1))
    with pytest.raises(LimitExceeded):
        here.shelf.check_room()
    asyncio.run(here.shelf.forget(7))
    here.shelf.check_room()
    here.shelf.close()


def test_what_is_damaged_is_set_aside(here: Here) -> None:
    """Another one is begun, and the old one is there for who wants to look at it."""
    here.put(row(1))
    here.shelf.close()
    (here.directory / DATABASE).write_bytes(b"no database" * 1000)
    here.open()
    here.put(row(2))
    assert here.known(1, 2) == [2]
    [aside] = here.directory.parent.glob("results.damaged-*")
    assert (aside / DATABASE).read_bytes().startswith(b"no database")


def test_it_is_private_and_no_other_process_has_it(here: Here) -> None:
    """Its files are the user's alone, and so are the rows of a gateway that lives."""
    here.put(row(1), row(2, value(FILE_BYTES)))
    for path in (here.directory, here.directory / VALUES):
        assert path.stat().st_mode & 0o077 == 0
    for path in (here.directory / DATABASE, *(here.directory / VALUES).iterdir()):
        assert path.stat().st_mode & 0o077 == 0
    other = sqlite3.connect(here.directory / DATABASE, timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("SELECT * FROM results").fetchall()
    other.close()
