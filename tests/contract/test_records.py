"""What the hub remembers of requests: results again, also for others; queries; resubmission."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from ctrlhub import (
    AsyncHubResult,
    AsyncResult,
    Client,
    InvalidRequest,
    ResultLost,
    ResultNotCompleted,
    TaskCancelled,
)
from ctrlhub.client.cancellations import Cancellation
from ctrlhub.client.lookups import RequestIds
from ctrlhub.client.metadata import KEYS
from ctrlhub.wire.ids import from_ranges
from tests.support.processes import until
from tests.support.work import Work

WAIT = 60.0


def failing() -> Callable[[], None]:
    """Return a function that raises."""

    def fail() -> None:
        raise ValueError("on purpose")

    return fail


# ---------------------------------------------------------------- results again


def test_a_result_can_be_had_again_and_again(client: Client) -> None:
    """By its id, by its place in the history, from the hub; each time anew."""
    view = client[0]
    first = view.apply_async(str, 42)
    assert first.get(WAIT) == "42"
    [name] = first.msg_ids
    for _ in range(3):
        again = client.get_result(name)
        assert isinstance(again, AsyncHubResult)
        assert again.get(WAIT) == "42"
    assert client.get_result(-1).get(WAIT) == "42"
    assert client.get_result().get(WAIT) == "42"
    assert client.get_result([name, 0]).get(WAIT) == ["42", "42"]
    assert client.get_result(first) is first


def test_what_it_says_of_itself(client: Client) -> None:
    """A single one has its own metadata and a bare value, several have lists."""
    result = client[:].apply_async(abs, -1)
    result.get(WAIT)
    single = client.get_result(result.msg_ids[1], block=True)
    assert single.done()
    assert single.metadata["engine_id"] == 1
    assert (single.status, single.msg_ids) == ("ok", [result.msg_ids[1]])
    several = client.get_result(result.msg_ids)
    assert several.get(WAIT) == [1, 1, 1]
    assert several.engine_id == [0, 1, 2]


def test_a_result_for_another_client(client: Client, other: Client, work: Work) -> None:
    """It comes once it is there, to everybody who waits for it."""
    for call, view in (("command", client[1]), ("task", client.load_balanced_view())):
        held = view.apply_async(work.held(call))
        work.begun(call)
        [name] = held.msg_ids
        waiting = [other.get_result(name) for _ in range(2)]
        assert not any(each.done() for each in waiting)
        work.release(call)
        assert [each.get(WAIT) for each in waiting] == [call, call]
        assert held.get(WAIT) == call
        assert other.get_result([name]).get(WAIT) == [call]


def test_a_failure_for_another_client(client: Client, other: Client) -> None:
    """As its own client sees it."""
    result = client[0].apply_async(failing())
    with pytest.raises(ValueError, match="on purpose"):
        result.get(WAIT)
    with pytest.raises(ValueError, match="on purpose"):
        other.get_result(result.msg_ids[0]).get(WAIT)


def test_a_client_that_has_gone_leaves_its_results(
    client: Client, other: Client, work: Work
) -> None:
    """Those that were there; what waited is cancelled, what ran ends."""
    done = client[0].apply_async(abs, -3)
    assert done.get(WAIT) == 3
    held = client[0].apply_async(work.held())
    work.begun("held")
    waiting = client[0].apply_async(abs, -4)
    names = [each.msg_ids[0] for each in (done, held, waiting)]
    until(lambda: names[2] in other.hub_history(), "the hub has it")
    client.close()
    assert other.get_result(names[0]).get(WAIT) == 3
    assert other.get_result(names[2], block=True).status == "aborted"
    work.release()


def test_what_nobody_knows(client: Client) -> None:
    """The error says why; a name that is none is refused at once."""
    with pytest.raises(ResultLost, match="no request 1-1:"):
        client.get_result("1-1").get(WAIT)
    for named in ("no id", 1.5, [], object()):
        with pytest.raises((ValueError, TypeError)):
            client.get_result(named)  # type: ignore[arg-type]
    with pytest.raises(IndexError, match="history of 0"):
        client.get_result(5)


def test_one_of_several_that_are_out(client: Client, work: Work) -> None:
    """A part of a call on many engines can be waited for by itself."""
    view = client[:]
    result = view.apply_async(abs, -5)
    assert client.get_result(result.msg_ids[2]).get(WAIT) == 5
    held = client[0].apply_async(work.held())
    assert client.get_result(held.msg_ids[0]) is held
    work.begun("held")
    behind = view.apply_async(abs, -6)
    parts = [client.get_result(name) for name in behind.msg_ids]
    assert parts[1].get(WAIT) == 6
    assert not parts[0].done()
    work.release()
    assert parts[0].get(WAIT) == 6
    assert held.get(WAIT) == "held"


def test_closing_while_results_are_awaited(client: Client, other: Client, work: Work) -> None:
    """They fail, and say why."""
    held = client[0].apply_async(work.held())
    work.begun("held")
    waiting = other.get_result(held.msg_ids[0])
    other.close()
    with pytest.raises(Exception, match="closed"):
        waiting.get(WAIT)
    work.release()
    assert held.get(WAIT) == "held"


def test_only_its_own_client_can_stop_a_request(
    client: Client, other: Client, work: Work
) -> None:
    """Another one is told so; the own one can, also by what it got from the hub."""
    held = client[0].apply_async(work.held())
    work.begun("held")
    queued = client[0].apply_async(abs, -1)
    [name] = queued.msg_ids
    until(lambda: name in other.hub_history(), "the hub has it")
    for stop in (other.get_result(name).cancel, lambda: other.abort(name)):
        with pytest.raises(InvalidRequest, match="another client's"):
            stop()
    client.abort(name)
    assert queued.cancelled()
    work.release()
    assert held.get(WAIT) == "held"


# ---------------------------------------------------------------- again


def test_resubmit(client: Client, other: Client) -> None:
    """Tasks and commands, also others', with new ids; their results can be had again, too."""
    task = client.load_balanced_view().apply_async(pow, 2, 5)
    command = client[1].apply_async(pow, 2, 6)
    assert (task.get(WAIT), command.get(WAIT)) == (32, 64)
    names = [*task.msg_ids, *command.msg_ids]

    again = other.resubmit(names)
    assert again.get(WAIT) == [32, 64]
    assert not {*again.msg_ids} & {*names}
    assert again.metadata[1]["engine_id"] == 1
    assert client.resubmit(task).get(WAIT) == [32]
    assert other.get_result(again.msg_ids[0]).get(WAIT) == 32


def test_what_cannot_be_resubmitted(client: Client, work: Work) -> None:
    """It says why, and nothing is done."""
    with pytest.raises(ResultLost, match="1-1"):
        client.resubmit("1-1")
    large = client[1].apply_async(len, bytes(1_000_000))
    assert large.get(WAIT) == 1_000_000
    with pytest.raises(ResultLost, match="too large"):
        client.resubmit(large.msg_ids)


def test_resubmitted_before_it_has_ended(client: Client, other: Client, work: Work) -> None:
    """Both run; it need not have reached the hub yet."""
    held = client[0].apply_async(work.held())
    again = client.resubmit(held.msg_ids)
    work.begun("held")
    third = other.resubmit(held.msg_ids)
    work.release()
    assert (held.get(WAIT), again.get(WAIT), third.get(WAIT)) == ("held", ["held"], ["held"])


@pytest.mark.parametrize("kind", ["command", "task"])
def test_cancelled_before_it_was_sent(client: Client, kind: str) -> None:
    """It is remembered here, as the hub remembers what it has cancelled, and can be resubmitted."""
    view = client[1] if kind == "command" else client.load_balanced_view()

    def made_and_cancelled() -> AsyncResult:
        """In one turn of the I/O thread, at whose end things are sent."""
        with view.temp_flags(label="mine"):
            made = view.apply_async(abs, -7)
        wish = Cancellation(made._about.stream, from_ranges(made._waiting()))
        client._connection._session.cancel(wish, time.monotonic())
        return made

    result = client._connection._in_io_thread(made_and_cancelled)
    with pytest.raises(TaskCancelled, match="before it was sent"):
        result.get(WAIT)

    name = result.msg_ids[0]
    assert client.history[-1] == name
    assert client.result_status(name) == {"pending": [], "completed": [name]}
    assert (client.metadata[name].status, client.metadata[name].label) == ("aborted", "mine")
    assert isinstance(client.results[name], TaskCancelled)
    with pytest.raises(TaskCancelled, match="before it was sent"):
        client.get_result(name).get(WAIT)
    done = view.apply_async(abs, -8)
    assert done.get(WAIT) == 8
    again = client.resubmit([name, *done.msg_ids, name])
    assert again.get(WAIT) == [7, 8, 7]
    assert client.metadata[again.msg_ids[0]].label == "mine"


# ---------------------------------------------------------------- questions


def test_result_status(client: Client, work: Work) -> None:
    """What is out is pending, what has ended has a result."""
    held = client[0].apply_async(work.held())
    work.begun("held")
    done, failed = client[1].apply_async(abs, -1), client[1].apply_async(failing())
    assert failed.wait(WAIT)
    names = [each.msg_ids[0] for each in (held, done, failed)]
    assert client.result_status(names) == {"pending": names[:1], "completed": names[1:]}
    status = client.result_status(names, status_only=False)
    assert status[names[1]] == 1
    assert isinstance(status[names[2]], ValueError)
    work.release()
    assert held.get(WAIT) == "held"
    with pytest.raises(ResultLost):
        client.result_status("1-1")


def test_queue_status(client: Client, work: Work) -> None:
    """What runs, what waits, what is done: by number and by id."""
    before = client.queue_status()[0]["completed"]
    held = client[0].apply_async(work.held())
    work.begun("held")
    queued = client[0].apply_async(abs, -1)
    until(lambda: client.queue_status(0)[0]["queue"] == 2, "both are there")
    status = client.queue_status(verbose=True)
    assert set(status) == {0, 1, 2, "unassigned"}
    assert status[0]["running"] == held.msg_ids[0]
    assert status[0]["queue"] == [*held.msg_ids, *queued.msg_ids]
    assert status[1] == {"running": None, "queue": [], "tasks": [], "completed": status[1]["completed"]}
    work.release()
    assert queued.get(WAIT) == 1
    status = client.queue_status(0, verbose=True)
    assert status[0]["completed"][-2:] == [*held.msg_ids, *queued.msg_ids]
    assert client.queue_status()[0] == {"queue": 0, "tasks": 0, "completed": before + 2}


def test_queries(client: Client, other: Client) -> None:
    """On everybody's requests, by any key, with times as such."""
    before = datetime.now(UTC) - timedelta(seconds=5)
    view = client.direct_view(label="query-me")
    result = view.execute("print('hello'); 1/1")
    assert result.wait(WAIT)
    failed = client[1].apply_async(failing())
    assert failed.wait(WAIT)
    names = result.msg_ids
    records = other.db_query({"label": {"$glob": "query-*"}, "client": client.session})
    assert [record["msg_id"] for record in records] == names
    assert [record["engine_id"] for record in records] == [0, 1, 2]
    for record in records:
        assert (record["status"], record["action"], record["stream"]) == ("ok", "execute", "multiengine")
        assert before < record["submitted"] <= record["completed"] + timedelta(seconds=5)
    mine = {"client": client.session}
    [bad] = other.db_query({**mine, "status": "error"}, keys=["error", "engine_id"])
    assert bad == {"msg_id": failed.msg_ids[0], "error": "ValueError: on purpose", "engine_id": 1}
    assert other.db_query({**mine, "submitted": {"$lt": before}}) == []
    assert len(other.db_query({**mine, "submitted": {"$gt": before}})) == 4
    assert [r["msg_id"] for r in other.db_query({"msg_id": {"$in": names[:2]}})] == names[:2]
    with pytest.raises(InvalidRequest, match="no key 'buffers'; they have"):
        client.db_query({}, keys=["buffers"])


# ---------------------------------------------------------------- what a client knows of itself


def test_the_own_history(client: Client, work: Work) -> None:
    """Ids in order, what is out, results and metadata by id; nothing is kept for it."""
    assert (client.history, client.outstanding, dict(client.results)) == ([], set(), {})
    done = client[:].apply_async(abs, -1)
    assert done.get(WAIT) == [1, 1, 1]
    held = client[0].apply_async(work.held())
    work.begun("held")
    assert isinstance(client.history, RequestIds)
    assert list(client.history) == [*done.msg_ids, *held.msg_ids]
    assert client.history[-1] == held.msg_ids[0]
    assert client.outstanding == set(held.msg_ids)
    assert dict(client.results) == dict.fromkeys(done.msg_ids, 1)
    assert client.metadata[done.msg_ids[2]].engine_id == 2
    assert client.metadata[held.msg_ids[0]].status is None
    with pytest.raises(KeyError):
        client.results[held.msg_ids[0]]
    work.release()
    assert held.get(WAIT) == "held"


def test_results_and_metadata_are_what_there_is(client: Client, work: Work) -> None:
    """Their length, their ids and what they give agree, whatever was purged, or was too large."""
    done = [client[0].apply_async(abs, -n) for n in range(3)]
    assert [each.get(WAIT) for each in done] == [0, 1, 2]
    large = client[0].apply_async(bytes, 9 * 2**20)
    assert len(large.get(WAIT)) == 9 * 2**20
    names = [each.msg_ids[0] for each in done]

    def forgotten() -> bool:
        return len(client.results) == 3

    until(forgotten, "the hub has let go of the large value")
    assert dict(client.results) == dict(zip(names, (0, 1, 2), strict=True))
    assert large.msg_ids[0] not in client.results
    assert list(client.metadata) == [*names, *large.msg_ids]
    client.purge_results(names[0])
    client.purge_local_results(names[1])
    assert dict(client.results) == {names[2]: 2}
    assert list(client.metadata) == [names[2], *large.msg_ids]
    for name in names[:2]:
        assert name not in client.results
        assert name not in client.metadata
        with pytest.raises(KeyError):
            client.results[name]
        with pytest.raises(KeyError):
            client.metadata[name]
    held = client[0].apply_async(work.held())
    assert held.msg_ids[0] in client.metadata
    with pytest.raises(RuntimeError, match="not ended"):
        client.purge_local_results("all")
    work.release()
    assert held.get(WAIT) == "held"
    client.purge_local_results("all")
    assert (len(client.results), len(client.metadata)) == (0, 0)
    assert names[2] in client.hub_history()


def test_the_hubs_history_is_in_order_of_time(client: Client, other: Client) -> None:
    """Of whichever client: the last is the latest."""
    made = []
    for who in (other, client, other, client, client, other):
        made.append(who[0].apply_async(abs, -1))
        assert made[-1].get(WAIT) == 1
    names = [each.msg_ids[0] for each in made]
    assert client.hub_history()[-len(names) :] == names
    found = client.db_query({"msg_id": {"$in": names}}, keys=["status"])
    assert found == [{"msg_id": name, "status": "ok"} for name in names]


def test_times_are_those_that_can_be_asked_for(client: Client) -> None:
    """A record is found by each of its own times, and is neither before nor after them."""
    result = client[:].apply_async(abs, -1)
    assert result.get(WAIT) == [1, 1, 1]
    for name in result.msg_ids:
        [record] = client.db_query({"msg_id": name})
        for key in ("submitted", "started", "completed"):
            moment = record[key]
            assert client.db_query({"msg_id": name, key: moment}) == [record]
            assert client.db_query({"msg_id": name, key: {"$lt": moment}}) == []
            assert client.db_query({"msg_id": name, key: {"$gt": moment}}) == []


def test_the_metadata_has_what_a_result_says(client: Client) -> None:
    """The same items, as far as the hub knows them; a value that a cell ends with as text."""
    done = client[0].execute("print('hello'); 6 * 7", silent=False)
    assert done.wait(WAIT)
    known, said = client.metadata[done.msg_ids[0]], client.get_result(done.msg_ids[0])
    assert said.wait(WAIT)
    assert set(known) >= KEYS == set(said.metadata)
    assert (known.data, known.outputs, known.received, known.stderr) == ({}, [], None, "")
    assert known.stdout == said.metadata.stdout
    shown = said.metadata["execute_result"]["data"]["text/plain"]
    assert known.execute_result["data"]["text/plain"] == shown == "42"
    [record] = client.db_query({"msg_id": done.msg_ids[0]}, keys=["execute_result"])
    assert record["execute_result"] == "42"


def test_purging(client: Client, other: Client, work: Work) -> None:
    """What has ended goes, of one's own and of who is gone; what others have stays."""
    mine, theirs = client[0].apply_async(abs, -1), other[0].apply_async(abs, -2)
    assert (mine.get(WAIT), theirs.get(WAIT)) == (1, 2)
    until(lambda: not other.outstanding, "nothing is out")
    held = client[0].apply_async(work.held())
    work.begun("held")
    with pytest.raises(ResultNotCompleted, match="abort"):
        client.purge_results(held)
    client.purge_results([*mine.msg_ids, *theirs.msg_ids])
    known = client.hub_history()
    assert mine.msg_ids[0] not in known
    assert theirs.msg_ids[0] in known
    assert held.msg_ids[0] in known
    work.release()
    assert held.get(WAIT) == "held"
    client.purge_everything()
    assert client.history == []
    assert not set(held.msg_ids) & set(client.hub_history())
    assert mine.get(WAIT) == 1


def test_purging_by_engine(client: Client) -> None:
    """All that ended there."""
    result = client[:].apply_async(abs, -1)
    assert result.get(WAIT) == [1, 1, 1]
    assert client.result_status(result.msg_ids)["completed"] == result.msg_ids

    def acknowledged() -> bool:
        client.purge_results(targets=1)
        return result.msg_ids[1] not in client.hub_history()

    until(acknowledged, "the hub knows that we have it, and forgets it")
    assert set(result.msg_ids) & set(client.hub_history()) == {result.msg_ids[0], result.msg_ids[2]}
