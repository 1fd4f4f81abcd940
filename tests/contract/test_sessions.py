"""Clients that leave their session, and others that attach to it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ctrlhub import AsyncClient, Client, NoSuchSession, SessionAttached, SessionClosed
from tests.contract.conftest import AnyCluster
from tests.support.processes import until
from tests.support.work import Work

WAIT = 60.0


# By value: engines cannot import this module.
divided = lambda number: 12 / number  # noqa: E731


def test_flush_waits_until_all_is_accepted(client: Client, work: Work) -> None:
    """Not until it has ended; and where nothing is out there is nothing to wait for."""
    client.flush()
    view = client.load_balanced_view()
    held = [view.apply_async(work.held()) for _ in range(4)]
    many = view.map_async(divided, range(1, 3000))
    client[:].push({"flushed": 1}, block=False)
    client.flush(WAIT)
    assert client._connection._session._outgoing.is_accepted
    assert not held[-1].done()
    work.release()
    assert client.wait(timeout=WAIT)
    assert len(many.get()) == 2999
    client.flush(WAIT)


def test_detach_and_attach(cluster: AnyCluster, client: Client, work: Work) -> None:
    """What is queued, running, ended and not fetched is another client's; each result is itself."""
    leaver = cluster.connect_client_sync()
    view = leaver.load_balanced_view()
    held = view.apply_async(work.held())
    tasks = [view.apply_async(divided, n) for n in (1, 0, 3)]
    command = leaver[0].push({"left": 7}, block=False)
    many = view.map_async(divided, range(1, 200), chunksize=10)
    work.begun("held")
    session = leaver.detach()
    assert session == leaver.session
    assert leaver.closed
    with pytest.raises(SessionClosed, match=rf"session={session}"):
        held.get(WAIT)
    [info] = [each for each in client.sessions() if each.session == session]
    assert info.state == "detached"
    assert info.expires is not None
    with cluster.connect_client_sync(session=session) as other:
        assert other.session == session
        ids = [*held.msg_ids, *(i for each in tasks for i in each.msg_ids)]
        assert set(ids[:1]) <= set(other.unfetched())
        work.release()
        got = other.get_result(ids[0])
        assert got.get(WAIT) == "held"
        left = [i for i in ids[1:] if i in other.unfetched()]
        for number, name in zip((1, 0, 3), ids[1:], strict=True):
            result = other.get_result(name)
            if number:
                assert result.get(WAIT) == 12 / number
            else:
                with pytest.raises(ZeroDivisionError):
                    result.get(WAIT)
        assert other.get_result(many.msg_ids).get(WAIT)
        until(lambda: not set(left) & set(other.unfetched()), "they are fetched")
        assert other.load_balanced_view().apply_sync(divided, 4) == 3.0
        other.get_result(command.msg_ids[0]).get(WAIT)
        for name in other.unfetched():
            other.get_result(name).wait(WAIT)
        until(lambda: not other.unfetched(), "nothing is left")
    assert session not in [each.session for each in client.sessions()]


def test_results_for_who_is_not_attached(cluster: AnyCluster, client: Client, work: Work) -> None:
    """Any client reads them by id, and takes nothing away."""
    leaver = cluster.connect_client_sync()
    result = leaver.load_balanced_view().apply_async(work.held())
    work.begun("held")
    session = leaver.detach(keep=3600)
    reading = client.get_result(result.msg_ids[0])
    work.release()
    assert reading.get(WAIT) == "held"
    with cluster.connect_client_sync(session=session) as other:
        assert other.unfetched() == result.msg_ids
        assert other.get_result(other.unfetched()).get(WAIT) == ["held"]
        until(lambda: not other.unfetched(), "it is fetched")


def test_attached_elsewhere(cluster: AnyCluster, client: Client, work: Work) -> None:
    """It is refused; a take-over closes the other client."""
    running = client.load_balanced_view().apply_async(work.held())
    work.begun("held")
    with pytest.raises(SessionAttached, match="takeover=True"):
        cluster.connect_client_sync(session=client.session)
    assert not client.closed
    with cluster.connect_client_sync(session=client.session, takeover=True) as other:
        with pytest.raises(SessionClosed, match="taken over"):
            running.get(WAIT)
        until(lambda: client.closed, "the other one is closed")
        work.release()
        assert other.get_result(other.unfetched()).get(WAIT) == ["held"]


def test_cancelling_what_was_left(cluster: AnyCluster, client: Client, work: Work) -> None:
    """By who is attached; or the whole session, by anybody when nobody is."""
    leaver = cluster.connect_client_sync()
    held = [leaver[0].apply_async(work.held(f"held {n}")) for n in range(2)]
    work.begun("held 0")
    with cluster.connect_client_sync(session=leaver.detach()) as other:
        other.abort(held[1].msg_ids)
        assert other.get_result(held[1].msg_ids[0]).wait(WAIT)
        with pytest.raises(SessionAttached):
            client.end_session(other.session)
        session = other.detach()
    client.end_session(session)
    work.release("held 0")
    assert session not in [each.session for each in client.sessions()]
    with pytest.raises(NoSuchSession):
        client.end_session(session)
    with pytest.raises(NoSuchSession):
        cluster.connect_client_sync(session=session)


@pytest.mark.parametrize("session", [0, -1, 1 << 30, "7", True])
def test_what_is_no_session(cluster: AnyCluster, session: Any) -> None:
    """It is said at once."""
    with pytest.raises((TypeError, ValueError), match="session"):
        cluster.connect_client_sync(session=session)
    with pytest.raises(TypeError, match="name it"):
        cluster.connect_client_sync(takeover=True)


def test_in_asyncio(cluster: AnyCluster, client: Client, work: Work) -> None:
    """The same, awaited."""

    async def leave() -> int:
        leaver = AsyncClient(client=cluster.connect_client_sync())
        async with leaver:
            leaver.client.load_balanced_view().apply_async(work.held())
            await asyncio.to_thread(work.begun, "held")
            return await leaver.detach()

    async def attach(session: int) -> Any:
        inner = await asyncio.to_thread(cluster.connect_client_sync, session=session)
        with inner:
            other = AsyncClient(client=inner)
            assert session in [each.session for each in await other.sessions()]
            result = await other.get_result(await other.unfetched())
            return await result

    session = asyncio.run(leave())
    work.release()
    assert asyncio.run(attach(session)) == ["held"]
