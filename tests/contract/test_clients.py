"""Clients: several at once, in several threads, and their end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ctrlhub import Client, SessionClosed
from tests.contract.conftest import ENGINES, AnyCluster
from tests.support.processes import until
from tests.support.work import Work

WAIT = 60.0
THREADS, TASKS = 4, 500


def test_two_thousand_tasks_from_four_threads(client: Client) -> None:
    """One client, one view: each thread gets the results of its own calls."""
    view = client.load_balanced_view()

    def submit(thread: int) -> list[tuple[int, int]]:
        results = [view.apply_async(lambda *pair: pair, thread, n) for n in range(TASKS)]
        return [result.get(WAIT) for result in results]

    with ThreadPoolExecutor(THREADS) as pool:
        values = list(pool.map(submit, range(THREADS)))

    assert values == [[(thread, n) for n in range(TASKS)] for thread in range(THREADS)]


def test_threads_that_do_everything_at_once(client: Client) -> None:
    """Commands, maps, cancels and questions do not get in each other's way."""

    def each(thread: int) -> bool:
        view, every = client.load_balanced_view(), client[:]
        for n in range(20):
            every.push({f"x{thread}": n})
            name = f"x{thread}"
            assert view.map_sync(lambda i, name=name: globals()[name] + i, [0, 1]) == [n, n + 1]
            assert every.pull(name, block=True) == [n] * ENGINES
            view.apply_async(abs, 1).cancel()
            assert len(client.status()["engines"]) == ENGINES
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        assert all(pool.map(each, range(THREADS)))


def test_two_clients_do_not_see_each_other_s_results(client: Client, other: Client) -> None:
    """They have the engines in common, and their namespaces."""
    assert client.session != other.session
    client[:].push({"shared": 1}, block=True)
    assert other[:].pull("shared", block=True) == [1] * ENGINES

    def results(of: Client) -> list[Any]:
        view = of.load_balanced_view()
        return [view.apply_async(lambda s, n: (s, n), of.session, n) for n in range(200)]

    for owner, mine in ((client, results(client)), (other, results(other))):
        assert [r.get(WAIT) for r in mine] == [(owner.session, n) for n in range(200)]
        assert all(msg_id.startswith(f"{owner.session}-") for r in mine for msg_id in r.msg_ids)


def test_a_client_waits_for_its_own_requests_and_those_it_names(
    client: Client, other: Client, work: Work
) -> None:
    """Those of another client only if they are named."""
    held = client[0].apply_async(work.held())

    assert other.wait(timeout=0)
    assert not other.wait(held.msg_ids, timeout=0)
    work.release()
    assert other.wait(held.msg_ids, timeout=WAIT)
    assert held.get(WAIT) == "held"


def test_closing_with_results_out(cluster: AnyCluster, client: Client, work: Work) -> None:
    """They fail at once, for all who wait; what runs is stopped, and others go on."""
    leaver = cluster.connect_client_sync()
    running = leaver[0].apply_async(work.endless())
    work.begun("endless")
    queued = leaver[0].apply_async(int)
    tasks = leaver.load_balanced_view().map_async(abs, range(10))
    tasks.get(WAIT)
    raised: list[BaseException | None] = []
    waiter = threading.Thread(target=lambda: raised.append(running.exception(WAIT)))
    waiter.start()

    leaver.close()

    waiter.join(WAIT)
    assert isinstance(raised[0], SessionClosed)
    for result in (running, queued):
        with pytest.raises(SessionClosed, match="closed"):
            result.get(WAIT)
    assert tasks.get(0) == list(range(10))
    until(lambda: client[0].apply_async(int).wait(WAIT), "the engine is free again")


def test_a_closed_client_says_so(cluster: AnyCluster) -> None:
    """Whatever it is asked; closing it again is harmless."""
    client = cluster.connect_client_sync()
    one, view = client[0], client.load_balanced_view()
    client.close()
    client.close()
    asked: list[Callable[[], object]] = [
        lambda: client.ids,
        lambda: client[0],
        lambda: one.apply_async(int),
        lambda: view.apply_async(int),
        lambda: view.map_async(int, [1]),
        lambda: client.status(),
        lambda: client.wait_for_engines(1, timeout=1),
    ]

    assert client.closed
    assert "closed" in repr(client)
    for ask in asked:
        with pytest.raises(SessionClosed, match="this client was closed"):
            ask()


def test_leaving_a_with_block_closes(cluster: AnyCluster) -> None:
    """Also by an error, which is passed on."""

    def fail(client: Client) -> None:
        with client:
            assert client.ids
            raise KeyError(client.session)

    client = cluster.connect_client_sync()
    with pytest.raises(KeyError):
        fail(client)

    assert client.closed


def test_a_client_that_was_dropped_leaves(cluster: AnyCluster, client: Client) -> None:
    """Without `close`: its requests go with it, and nothing is kept."""
    dropped = cluster.connect_client_sync()
    values = dropped.load_balanced_view().map_sync(abs, range(5))
    reference = dropped._connection._thread
    del dropped

    until(lambda: not reference.is_alive(), "its thread ends")
    assert values == list(range(5))


def test_many_clients_one_after_another(cluster: AnyCluster, client: Client) -> None:
    """Each starts afresh, with the engines there are."""
    for n in range(10):
        with cluster.connect_client_sync() as each:
            assert each.ids == client.ids
            assert each.load_balanced_view().apply_sync(abs, -n) == n
