"""Commands queue per engine: in order, one at a time; what a failure does to those behind it."""

from __future__ import annotations

import pytest

from ctrlhub import Client, CompositeError, QueueCleared, RemoteError
from tests.support.processes import until
from tests.support.work import Work

WAIT = 60.0


def test_a_failure_lets_later_commands_run(client: Client) -> None:
    """Those that were sent behind it, and those that come afterwards."""
    view = client[0]
    failing, behind = view.execute("1/0"), view.execute("after = 1")
    with pytest.raises(ZeroDivisionError):
        failing.get(WAIT)
    behind.get(WAIT)
    assert view["after"] == 1


def test_a_failure_that_stops_what_is_behind_it(client: Client, work: Work) -> None:
    """Of the same client and engine alone; the error names what failed."""
    held = client[0].apply_async(work.held())
    work.begun("held")
    view = client.direct_view([0, 1], stop_on_error=True, label="first")
    failing = view.execute("assert 0, 'on purpose'")
    behind = [view.execute(f"n = {n}") for n in range(3)]
    other_engine = client[2].execute("n = 9")
    work.release()
    assert held.get(WAIT) == "held"
    with pytest.raises(CompositeError, match="on purpose"):
        failing.get(WAIT)
    for result in behind:
        with pytest.raises(CompositeError, match="QueueCleared"):
            result.get(WAIT)
    single = client.get_result(behind[1].msg_ids[0])
    with pytest.raises(QueueCleared, match=rf"{failing.msg_ids[0]} \(first\).*on purpose"):
        single.get(WAIT)
    other_engine.get(WAIT)
    view.execute("n = 7").get(WAIT)
    assert view["n"] == [7, 7]


def test_what_was_sent_before_the_failure_is_known_does_not_run(client: Client) -> None:
    """However late it comes: of many sent in a row, only what says so has run."""
    view = client[1]
    view["ran"] = 0
    for _ in range(10):
        results = [
            view.execute("ran += 1; assert ran % 10 != 4", stop_on_error=True) for _ in range(50)
        ]
        view.wait(results, WAIT)
        statuses = [result.status for result in results]
        failed = statuses.index("error")
        assert statuses[:failed] == ["ok"] * failed
        # What came after the client had learnt of it runs: it was sent in full knowledge.
        with pytest.raises(AssertionError):
            results[failed].get(0)
        later = [r for r in results[failed + 1 :] if r.status == "error"]
        assert all(isinstance(r.exception(), QueueCleared | AssertionError) for r in later)
        ran = [r for r in results if not isinstance(r.exception(), QueueCleared)]
        assert view["ran"] == len(ran)
        view["ran"] = 0


def test_nothing_runs_behind_a_failure_that_nobody_could_know_of(
    client: Client, work: Work
) -> None:
    """All is sent before the failing one has begun: none of those behind it is run."""
    view = client[1]
    view["ran"] = 0
    held = view.apply_async(work.held())
    work.begun("held")
    results = [view.execute("ran += 1; assert ran < 4", stop_on_error=True) for _ in range(50)]
    work.release()
    assert held.get(WAIT) == "held"
    assert view.wait(results, WAIT)
    assert [result.status for result in results] == ["ok"] * 3 + ["error"] * 47
    assert isinstance(results[3].exception(), AssertionError)
    assert all(isinstance(result.exception(), QueueCleared) for result in results[4:])
    assert view["ran"] == 4


def test_others_commands_are_not_cleared(client: Client, other: Client, work: Work) -> None:
    """They have not failed."""
    held = client[0].apply_async(work.held())
    work.begun("held")
    failing = client[0].execute("1/0", stop_on_error=True)
    theirs, mine = other[0].execute("theirs = 1"), client[0].execute("mine = 1")
    until(lambda: client.queue_status(0)[0]["queue"] == 4, "all are queued")
    work.release()
    assert held.get(WAIT) == "held"
    theirs.get(WAIT)
    with pytest.raises(ZeroDivisionError):
        failing.get(WAIT)
    with pytest.raises(QueueCleared):
        mine.get(WAIT)


def test_the_flag(client: Client) -> None:
    """It is off by default, and a bool."""
    view = client[0]
    assert view.stop_on_error is False
    with pytest.raises(TypeError, match="stop_on_error"):
        view.stop_on_error = 1  # type: ignore[assignment]


def test_the_end_of_a_cell_is_not_the_end_of_the_engine(client: Client) -> None:
    """`SystemExit` and the like are errors of the code that raises them."""
    view = client[0]
    for code in ("raise SystemExit(3)", "import sys; sys.exit()", "raise GeneratorExit"):
        for silent in (True, False):
            with pytest.raises(RemoteError):
                view.execute(code, silent=silent).get(WAIT)
    assert view.apply_sync(int, "1") == 1
    assert client.ids == [0, 1, 2]


def test_a_statement_that_raises_ends_the_execution(client: Client) -> None:
    """What stands behind it does not run."""
    view = client[0]
    for silent in (True, False):
        with pytest.raises(ZeroDivisionError):
            view.execute("a = 1\n1/0\na = 2", silent=silent).get(WAIT)
        assert view["a"] == 1


def test_abort(client: Client, work: Work) -> None:
    """By result, id, engine or all of it: what is queued ends at once."""
    held = client[0].apply_async(work.held())
    work.begun("held")
    queued = [client[0].apply_async(abs, n) for n in range(6)]
    elsewhere = client[:].execute("pass")
    until(lambda: elsewhere.progress == len(client) - 1, "what is queued elsewhere has ended")
    client.abort(queued[0])
    client.abort([queued[1], queued[2].msg_ids[0]])
    assert all(result.cancelled() for result in queued[:3])
    client[0].abort(queued[3])
    assert queued[3].cancelled()
    client[1].abort()
    assert not queued[4].done()
    client.abort(queued[4:], targets=0, block=False)
    assert all(result.wait(WAIT) for result in queued)
    assert all(result.cancelled() for result in queued)
    work.release()
    assert held.get(WAIT) == "held"
    elsewhere.get(WAIT)


def test_abort_all_tasks(client: Client, work: Work) -> None:
    """A load-balanced view stops tasks, and no commands."""
    held = [client[n].apply_async(work.held(str(n))) for n in range(3)]
    for n in range(3):
        work.begun(str(n))
    view = client.load_balanced_view()
    tasks, command = view.map_async(abs, range(100)), client[0].apply_async(abs, -1)
    view.abort()
    assert tasks.wait(WAIT)
    assert tasks.cancelled()
    for n in range(3):
        work.release(str(n))
    assert client.wait([*held, command], WAIT)
    assert command.get(WAIT) == 1


def test_waiting_for_what_is_out(client: Client, other: Client, work: Work) -> None:
    """By result, id, place in the history; also for another client's."""
    assert client.wait()
    held = client[0].apply_async(work.held())
    work.begun("held")
    [name] = held.msg_ids
    assert not client.wait(timeout=0.01)
    assert not client.wait([name, -1, held], timeout=0.01)
    assert not other.wait(name, timeout=0.01)
    assert other.wait(timeout=0.01)
    work.release()
    assert other.wait(name, WAIT)
    assert client.wait(timeout=WAIT)
    assert client.wait_interactive([name, held], timeout=WAIT)
    with pytest.raises(ValueError, match="no id"):
        client.wait("no id")


def test_views_pass_it_on(client: Client) -> None:
    """With their own targets."""
    view = client[1]
    result = view.apply_async(abs, -1)
    assert view.wait(timeout=WAIT)
    assert list(view.history) == result.msg_ids
    assert view.get_result(-1).get(WAIT) == 1
    assert view.results[result.msg_ids[0]] == 1
    assert view.outstanding == set()
    assert set(view.queue_status()) == {1, "unassigned"}
    view.purge_results("all")
    assert not set(result.msg_ids) & set(client.hub_history())
    client.clear(block=True)
