"""Clients that submit more than the hub takes: they wait, and are told if that is in vain."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ctrlhub import AsyncClient, Client, Cluster
from ctrlhub.wire.errors import LimitExceeded, SessionClosed
from tests.support.memory_cluster import MemoryCluster
from tests.support.processes import until
from tests.support.work import Work

MOST = 100
WAIT = 60.0


def cluster_of(engines: int) -> Iterator[MemoryCluster]:
    """Yield a cluster whose hub takes few requests."""
    cluster = MemoryCluster(engines, max_outstanding=MOST)
    cluster.start().close()
    yield cluster
    cluster.stop()


@pytest.fixture
def idle() -> Iterator[MemoryCluster]:
    """A cluster without engines."""
    yield from cluster_of(0)


@pytest.fixture
def busy() -> Iterator[MemoryCluster]:
    """A cluster with two engines."""
    yield from cluster_of(2)


@pytest.fixture
def client(idle: MemoryCluster) -> Iterator[Client]:
    """A client of the cluster without engines, that does not wait for long."""
    client = idle.connect_client_sync(timeout=0.3)
    yield client
    client.close()


def test_an_endless_map_is_refused_with_what_to_do_instead(client: Client) -> None:
    """Once more of it is outstanding than the hub takes; what was sent is cancelled."""
    view = client.load_balanced_view()
    before = view.apply_async(abs, -1)
    with pytest.raises(LimitExceeded, match=r"max_outstanding.*imap"):
        view.map_async(abs, count())
    until(lambda: client.queue_status()["unassigned"] == 1, "its tasks are cancelled")
    assert not before.done()


SUBMITS: list[Callable[[Client], Callable[[], Any]]] = [
    lambda client: partial(client.load_balanced_view().apply_async, abs, -1),
    lambda client: partial(client.executor().submit, abs, -1),
]


@pytest.mark.parametrize("submits", SUBMITS)
def test_who_submits_too_much_is_told(
    client: Client, submits: Callable[[Client], Callable[[], Any]]
) -> None:
    """After waiting in vain; nothing is lost of what was accepted, and cancelling makes room."""
    submit = submits(client)
    out = [submit() for _ in range(MOST)]

    for _ in range(2):
        with pytest.raises(LimitExceeded, match=r"100 requests.*max_outstanding.*not sent"):
            submit()

    assert not any(each.done() for each in out)
    assert client.queue_status()["unassigned"] == MOST
    client.abort(out[0])
    assert not submit().done()


def test_commands_wait_as_well(busy: MemoryCluster) -> None:
    """Those of direct views, on all of their engines."""
    client = busy.connect_client_sync(timeout=WAIT)
    results = [client[:].apply_async(abs, -1) for _ in range(4 * MOST)]

    assert all(result.get(WAIT) == [1, 1] for result in results)
    client.close()


@pytest.mark.parametrize("submits", SUBMITS)
def test_who_submits_faster_than_it_is_done_waits(
    busy: MemoryCluster, submits: Callable[[Client], Callable[[], Any]]
) -> None:
    """However much it is, and from several threads: the hub refuses nothing."""
    client = busy.connect_client_sync(timeout=WAIT)
    submit = submits(client)
    results: list[Any] = []

    def many() -> None:
        for _ in range(10 * MOST):
            results.append(submit())

    others = [threading.Thread(target=many) for _ in range(2)]
    for other in others:
        other.start()
    many()
    for other in others:
        other.join()

    assert [result.result(WAIT) for result in results] == [1] * 30 * MOST
    client.close()


def test_two_that_are_too_large_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """The first goes once nothing is out, whoever waits behind it; the hub says what it thinks of it."""
    cluster = MemoryCluster(2, max_outstanding=1)
    cluster.start().close()
    client = cluster.connect_client_sync(timeout=WAIT)
    work, submitted = Work(tmp_path), []
    held = client.load_balanced_view().apply_async(work.held())

    def submit() -> None:
        submitted.append(client[:].apply_async(abs, -1))

    others = [threading.Thread(target=submit) for _ in range(2)]
    for other in others:
        other.start()
    until(lambda: len(client._connection._session.crowd) == 2, "both wait for room")
    work.release()

    for other in others:
        other.join()
    assert (held.get(WAIT), len(submitted)) == ("held", 2)
    client.close()
    cluster.stop()


def test_callbacks_do_not_wait(busy: MemoryCluster) -> None:
    """They run in the thread that makes room."""
    client = busy.connect_client_sync(timeout=WAIT)
    view = client.load_balanced_view()
    second: list[Any] = []
    first = [view.apply_async(abs, -1) for _ in range(3 * MOST)]
    for result in first:
        result.add_done_callback(lambda _: second.append(view.apply_async(abs, -2)))

    until(lambda: len(second) == 3 * MOST, "all are called")
    assert {result.result(WAIT) for result in second} == {2}
    client.close()


def test_who_waits_when_the_client_is_closed_is_told(client: Client) -> None:
    """At once."""
    view = client.load_balanced_view()
    client._connection.intake.room._timeout = WAIT
    for _ in range(MOST):
        view.apply_async(abs, -1)
    began = time.monotonic()
    closer = threading.Timer(0.1, client.close)
    closer.start()

    with pytest.raises(SessionClosed):
        view.apply_async(abs, -1)

    assert time.monotonic() - began < WAIT
    closer.join()


def test_ctrl_c_ends_the_wait_for_room(client: Client) -> None:
    """And what was to be submitted is not."""
    import signal

    view = client.load_balanced_view()
    client._connection.intake.room._timeout = WAIT
    for _ in range(MOST):
        view.apply_async(abs, -1)
    main = threading.main_thread().ident
    assert main is not None
    striker = threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT))
    striker.start()

    with pytest.raises(KeyboardInterrupt):
        view.apply_async(abs, -1)

    striker.join()
    assert client._connection._session.load == MOST
    assert client._connection._session.crowd == []


def test_coroutines_wait_and_let_others_run(busy: MemoryCluster, idle: MemoryCluster) -> None:
    """`apply` waits for room; `apply_async`, which cannot, says so."""

    async def many() -> None:
        client = busy.connect_client_sync(timeout=WAIT)
        async with AsyncClient(client=client) as rc:
            view = rc.load_balanced_view()
            values = await asyncio.gather(*(view.apply(abs, -1) for _ in range(10 * MOST)))
            assert values == [1] * 10 * MOST
            direct = rc.direct_view(0)
            got = await asyncio.gather(*(direct.apply(abs, -1) for _ in range(3 * MOST)))
            assert got == [1] * 3 * MOST
        client.close()
        client = idle.connect_client_sync(timeout=0.3)
        async with AsyncClient(client=client) as rc:
            view = rc.load_balanced_view()
            out: list[Any] = []
            with pytest.raises(LimitExceeded, match="event loop"):
                out.extend(view.apply_async(abs, -1) for _ in range(2 * MOST))
            # What is on its way from one list to the next counts twice for a moment.
            assert MOST - 2 <= len(out) <= MOST
            out += [asyncio.ensure_future(view.apply(abs, -1)) for _ in range(MOST - len(out))]
            await asyncio.to_thread(
                until, lambda: client.queue_status()["unassigned"] == MOST, "all are there"
            )
            with pytest.raises(LimitExceeded, match="has not come"):
                await view.apply(abs, -1)
            assert not any(each.done() for each in out)
        client.close()

    asyncio.run(asyncio.wait_for(many(), WAIT))


def test_a_hub_takes_no_more_than_it_has_memory_for(tmp_path: Path) -> None:
    """What was accepted runs, further requests are refused meanwhile, and taken again afterwards."""
    work = Work(tmp_path)
    held = work.held()
    with Cluster(n=1, max_memory=72 << 20, history_bytes=1 << 20) as client:
        view = client.load_balanced_view()
        first = view.apply_async(held)
        work.begun("held")
        large = [view.apply_async(len, bytes(50_000)) for _ in range(1500)]
        until(lambda: client.status()["hub"]["trouble"], "the hub says so")
        assert "max_memory" in client.status()["hub"]["trouble"][0]
        refused = view.apply_async(abs, -1)
        with pytest.raises(LimitExceeded, match="max_memory"):
            refused.get(WAIT)
        work.release()
        assert first.get(WAIT) == "held"
        assert [task.get(WAIT) for task in large if task.exception(WAIT) is None].count(50_000) > 100
        until(lambda: not client.status()["hub"]["trouble"], "there is room again")
        assert view.apply_async(abs, -1).get(WAIT) == 1
