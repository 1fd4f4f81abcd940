"""What every store promises; a new store is one more way to make one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ctrlhub.controller.core.effects import (
    Drop,
    Expire,
    Fetched,
    Forget,
    Keep,
    Operation,
    SaveRequests,
    SaveResults,
)
from ctrlhub.controller.core.functions import Function
from ctrlhub.controller.core.history import GONE
from ctrlhub.controller.core.saved import Saved
from ctrlhub.controller.core.tasks import Template
from ctrlhub.controller.stores.base import Store
from ctrlhub.controller.stores.durable import DurableStore
from ctrlhub.controller.stores.memory import MemoryStore
from ctrlhub.controller.stores.postgres import PostgresDatabase
from ctrlhub.controller.stores.sqlite import SqliteStore
from ctrlhub.wire.codec import size_of
from ctrlhub.wire.messages import Role
from ctrlhub.wire.options import TaskOptions
from tests.support.processes import until
from tests.support.stores import Disk, DiskStore, a_command, a_result, a_task

HIGHEST = (1 << 63) - 1
MILLION = 1024 * 1024


class Life:
    """A store in one place, and the hubs that come and go."""

    def __init__(self, open_store: Callable[[Callable[[Callable[[], None]], None]], Store]) -> None:
        self._open = open_store
        self._calls: deque[Callable[[], None]] = deque()
        self.done: list[int] = []
        self.count = 0
        self.store = self._open(self._calls.append)
        self.saved = self.store.load()

    def write(self, *operations: Operation) -> int:
        """Write; return the number of the write."""
        self.count += 1
        number = self.count
        self.store.write(operations, lambda: self.done.append(number))
        return number

    def wait(self) -> None:
        """Wait until every write is done."""

        def all_done() -> bool:
            while self._calls:
                self._calls.popleft()()
            return len(self.done) == self.count

        until(all_done, "every write is done")

    def again(self) -> Saved:
        """Close the store and open it again; return what it has."""
        self.wait()
        self.store.close()
        self.store = self._open(self._calls.append)
        self.saved = self.store.load()
        return self.saved


def _memory(place: Path, request: pytest.FixtureRequest) -> Life:
    return Life(lambda call: MemoryStore())


def _sqlite(place: Path, request: pytest.FixtureRequest) -> Life:
    return Life(lambda call: SqliteStore(place / "store", 0.0, call))


def _postgresql(place: Path, request: pytest.FixtureRequest) -> Life:
    url = request.getfixturevalue("postgres_server").new_database()
    return Life(lambda call: DurableStore(PostgresDatabase(url, place), 0.0, call))


def _journal(place: Path, request: pytest.FixtureRequest) -> Life:
    disk = Disk()
    return Life(lambda call: DiskStore(disk))


DURABLE = (_sqlite, _postgresql, _journal)
EVERY = (_memory, *DURABLE)


@pytest.fixture(params=EVERY, ids=lambda way: way.__name__[1:])
def any_life(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Life]:
    """A store of any kind, with nothing in it."""
    made: Life = request.param(tmp_path, request)
    yield made
    made.store.close()


@pytest.fixture(params=DURABLE, ids=lambda way: way.__name__[1:])
def life(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Life]:
    """A store that outlives a hub, with nothing in it."""
    made: Life = request.param(tmp_path, request)
    yield made
    made.store.close()


def test_a_new_store_is_empty(any_life: Life) -> None:
    """Nothing is kept that nobody wrote."""
    assert not any_life.saved
    assert any_life.store.state().trouble == ""


def test_every_write_is_done_once_in_order(any_life: Life) -> None:
    """`done` is called for each, also for one with nothing in it."""
    any_life.write(SaveRequests([a_task(1)]))
    any_life.write()
    any_life.write(SaveResults([]), SaveRequests(()), Forget(()), Fetched(()), Expire(()))
    any_life.write(Forget(((1, 1),)))
    any_life.wait()
    assert any_life.done == [1, 2, 3, 4]


def test_what_is_saved_is_kept(life: Life) -> None:
    """Tasks, commands, results and functions, from the lowest id to the highest there can be."""
    life.write(SaveRequests([a_task(0), a_command(5), a_task(HIGHEST)]))
    life.write(SaveResults([a_result(HIGHEST)]))
    saved = life.again()
    assert saved.tasks.keys() == {0, HIGHEST}
    assert saved.tasks[0].payload == b"arguments"
    assert saved.tasks[0].template == (b"f", 0, 3, "label", 5.0, None)
    assert saved.commands == {5: (5, "apply", b"g", 7, "label", 5.0, True, b"arguments")}
    assert saved.results == dict([a_result(HIGHEST)])
    assert saved.functions == {b"f": b"code of f", b"g": b"code of g"}
    assert not saved.fetched


def test_options_are_kept(life: Life) -> None:
    """What a task asks for is asked for again."""
    options = TaskOptions(priority=3, targets=(1, 2), resources=(("gpu", 1.0),))
    template = Template(Function(b"f", b"code"), 1, 2, "", 0.0, options)
    life.write(SaveRequests([a_task(1, template=template)]))
    kept = life.again().tasks[1].template.options
    assert kept is not None
    assert TaskOptions.from_wire(kept) == options


def test_clients_are_kept(life: Life) -> None:
    """Those of the requests that there are, as they said who they are, and what they may."""
    request = a_task(3 << 40 | 1)
    request[1].session.role = Role.SUBMIT
    life.write(SaveRequests([request, a_task(4 << 40 | 1)]), Forget(((4 << 40, 4 << 40 | 9),)))
    session = request[1].session
    kept = (session.number, session.key, session.incarnation, session.pid, session.host, "submit")
    assert life.again().sessions == {3: kept}


def test_the_operations_of_a_write_are_applied_in_order(life: Life) -> None:
    """Saved and forgotten is gone; forgotten and saved is there."""
    life.write(SaveRequests([a_task(1), a_task(2)]), Forget(((1, 1),)))
    life.write(Forget(((2, 2),)), SaveRequests([a_task(2, b"anew")]))
    [task] = life.again().tasks.values()
    assert (task.id, task.payload) == (2, b"anew")


def test_forgetting_removes_request_and_result(life: Life) -> None:
    """All of each range, and nothing else; ids that are not there do not matter."""
    life.write(SaveRequests([a_task(n) for n in range(10)]))
    life.write(SaveResults([a_result(n) for n in range(10)]))
    life.write(Forget(((0, 2), (5, 5), (8, 20))))
    saved = life.again()
    assert sorted(saved.tasks) == sorted(saved.results) == [3, 4, 6, 7]


def test_what_was_fetched_is_kept_until_it_expires(life: Life) -> None:
    """History has it, and says when it has it no more."""
    life.write(SaveRequests([a_task(n) for n in range(4)]))
    life.write(SaveResults([a_result(n) for n in range(3)]))
    life.write(Fetched(((0, 1), (3, 3))))
    assert life.again().fetched == {0, 1}
    life.write(Expire([a_task(0)[1], a_task(77)[1]]))
    saved = life.again()
    assert (saved.fetched, sorted(saved.tasks)) == ({1}, [1, 2, 3])


def test_saving_again_changes_nothing_that_matters(life: Life) -> None:
    """A request that was sent twice is one request; of results the last one counts."""
    life.write(SaveRequests([a_task(1)]))
    life.write(SaveRequests([a_task(1, b"other")]), SaveResults([a_result(1, b"one")]))
    life.write(SaveResults([a_result(1, b"two")]))
    saved = life.again()
    assert saved.tasks[1].payload == b"arguments"
    assert saved.results[1][2] == b"two"


PAYLOADS = [
    b"", b"x" * 100_000, (b"one", b"two"), (memoryview(b"view"),), GONE, b"x" * 2 * MILLION,
    (b"head", memoryview(bytearray(3 * MILLION)), b"", b"tail"),
]  # fmt: skip


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_payloads_are_kept_whole(life: Life, payload: Any) -> None:
    """Inline or in buffers, small or so large that they have files of their own."""
    life.write(SaveRequests([a_task(1, payload), a_command(2, payload)]))
    life.write(SaveRequests([a_task(3)]), SaveResults([a_result(3, payload)]))
    saved = life.again()
    for kept in (saved.tasks[1].payload, saved.commands[2].payload, saved.results[3][2]):
        assert size_of(kept) == size_of(payload)
        assert _whole(kept) == _whole(payload)
        assert (kept == GONE) == (payload == GONE)


def _files(place: Path) -> Callable[[], int]:
    return lambda: len(list((place / "store" / "payloads").iterdir()))


def _rows(place: Path, life: Life) -> Callable[[], int]:
    database = life.store.state().where
    query = "SELECT count(DISTINCT name) FROM ctrlhub_payloads"

    def count() -> int:
        with psycopg.connect(database) as connection:
            row = connection.execute(query).fetchone()
            assert row is not None
            return int(row[0])

    return count


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_large_payloads_go_with_their_request(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    """Arguments once it has ended, a value once it is forgotten; and what nobody knows of."""
    if kind == "sqlite":
        life = _sqlite(tmp_path, request)
        count = _files(tmp_path)
    else:
        life = _postgresql(tmp_path, request)
        count = _rows(tmp_path, life)
    large = b"x" * 2 * MILLION
    life.write(SaveRequests([a_task(n, large) for n in range(3)]))
    life.wait()
    assert count() == 3
    life.write(SaveResults([a_result(0, large), a_result(1)]))
    life.wait()
    until(lambda: count() == 2, "arguments go when a request has ended")
    if kind == "sqlite":
        (tmp_path / "store" / "payloads" / "left.unfinished").write_bytes(b"by one that was killed")
    assert life.again().tasks[2].payload != GONE
    assert life.saved.tasks[0].payload == GONE
    life.write(Forget(((0, 9),)))
    life.wait()
    until(lambda: not count(), "nothing is left")
    life.store.close()


def _whole(payload: Any) -> bytes:
    return bytes(payload) if isinstance(payload, bytes) else b"".join(map(bytes, payload))


def test_extras_are_kept(life: Life) -> None:
    """Output of any kind, also text that is no text."""
    extras = {"stdout": "half a pair: \ud800", "outputs": ({"data": {"text/plain": "1"}},), "n": 1}
    life.write(SaveRequests([a_task(1)]), SaveResults([a_result(1, extras=extras)]))
    assert life.again().results[1][6] == extras


def test_names_have_one_value(life: Life) -> None:
    """The last one; until it is dropped."""
    life.write(Keep("a", {"x": (1, b"2")}), Keep("b", 1), Keep("c", 1), Drop("c"))
    life.write(Keep("b", 2), Drop("nothing"))
    life.write(Drop("a"), Keep("a", 3))
    assert life.again().kept == {"b": 2, "a": 3}
    life.write(Drop("a"))
    assert life.again().kept == {"b": 2}


def test_functions_stay_as_long_as_something_calls_them(life: Life) -> None:
    """Also when what was written with them is written again."""
    life.write(SaveRequests([a_task(1), a_command(2)]))
    life.write(Forget(((1, 1),)))
    assert b"g" in life.again().functions
    life.write(Forget(((2, 2),)))
    assert life.again().functions == {}
    life.write(SaveRequests([a_task(3)]))
    assert life.again().functions == {b"f": b"code of f"}


def test_many_at_once(life: Life) -> None:
    """A batch is the normal case."""
    count = 10_000
    life.write(SaveRequests([a_task(n) for n in range(count)]))
    life.write(SaveResults([a_result(n) for n in range(count)]))
    life.write(Forget(((0, count - 2),)))
    saved = life.again()
    assert (list(saved.tasks), list(saved.results)) == ([count - 1], [count - 1])


def test_an_old_request_is_kept_among_many_new_ones(life: Life) -> None:
    """What is stored stays small, and has the old one, through many lives."""
    life.write(SaveRequests([a_task(0, b"old"), a_task(1, b"x" * 2 * MILLION)]))
    life.write(SaveResults([a_result(1, (b"y" * 2 * MILLION,))]), Fetched(((1, 1),)))
    number, template = 10, a_task(0)[1].template
    for _ in range(3):
        for _ in range(20):
            ids = range(number, number + 500)
            life.write(SaveRequests([a_task(n, template=template) for n in ids]))
            life.write(SaveResults([a_result(n) for n in ids]))
            life.write(Fetched(((ids[0], ids[-1]),)), Forget(((ids[0], ids[-1]),)))
            number += 500
        saved = life.again()
        assert {n: task.payload for n, task in saved.tasks.items()} == {0: b"old", 1: GONE}
        assert saved.results.keys() == saved.fetched == {1}
        assert size_of(saved.results[1][2]) == 2 * MILLION
        assert life.store.state().bytes < 16 * MILLION
