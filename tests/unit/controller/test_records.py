"""Requests on record: who follows them, what stays of them, what a failure clears."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import pytest

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core import deliveries, followers, id_order
from ctrlhub.controller.interfaces.history import ON_ITS_WAY, SCAN
from ctrlhub.wire import messages as m
from ctrlhub.wire.failure import unpack_failure
from ctrlhub.wire.ids import text_of
from tests.support.exchange import Exchange, Line, ends_of
from tests.support.multiengine import a_peer, begun, ends

HUB, COMMANDS, TASKS = m.Stream.HUB, m.Stream.MULTIENGINE, m.Stream.TASK


@pytest.fixture
def exchange() -> Exchange:
    """A hub that is old enough not to wait for engines of a life before."""
    return made(HubConfig())


def made(config: HubConfig) -> Exchange:
    """Return a hub that is old enough."""
    exchange = Exchange(config)
    exchange.turn()
    exchange.pass_time(60.0)
    return exchange


@pytest.fixture
def client(exchange: Exchange) -> Line:
    """The client that makes requests."""
    return a_peer(exchange, "client", m.Role.ADMIN)


@pytest.fixture
def other(exchange: Exchange) -> Line:
    """A client that wants to know."""
    return a_peer(exchange, "other", m.Role.ADMIN)


@pytest.fixture
def engine(exchange: Exchange) -> Line:
    """An engine."""
    return a_peer(exchange, "engine", m.Role.ENGINE)


def follow(line: Line, *numbers: int) -> Any:
    """Follow requests; return those that are found."""
    answer = line.call("history", "follow", requests=[[n, n] for n in numbers])
    return answer.value["found"] if not answer.code else answer.code


def have(line: Line, *numbers: int, stream: m.Stream = COMMANDS) -> None:
    """Acknowledge results."""
    line.say(stream, m.Received(tuple((n, n) for n in numbers)))


def over(client: Line, engine: Line, counter: int, payload: bytes = b"value") -> int:
    """Have a command run, and its client have the result; return its id."""
    number = client.id(counter)
    client.command(counter, 0)
    ends(engine, number, payload=payload)
    have(client, number)
    client.heard()
    return number


def known(line: Line) -> list[int]:
    """Return the ids of all requests on record."""
    ranges = line.call("history", "requests").value["requests"]
    return [n for first, last in ranges for n in range(first, last + 1)]


# ---------------------------------------------------------------- following


def test_who_follows_gets_the_result_when_it_comes(
    client: Line, other: Line, engine: Line
) -> None:
    """As its own client does; each acknowledges for itself."""
    number = client.id(1)
    client.command(1, 0)
    assert follow(other, number) == ((number, number),)
    ends(engine, number)
    assert ends_of(other.heard()) == ends_of(client.heard()) == {number: (0, b"value")}
    have(other, number)
    assert client.exchange.commands._records
    have(client, number)
    assert not client.exchange.commands._records


def test_who_follows_what_has_ended_gets_it_at_once(
    client: Line, other: Line, engine: Line
) -> None:
    """Before and after its client has it, and as often as it asks."""
    number = client.id(1)
    client.command(1, 0)
    ends(engine, number)
    for _ in range(3):
        follow(other, number)
        assert ends_of(other.heard()) == {number: (0, b"value")}
        have(other, number)
    have(client, number)
    for line in (other, client):
        follow(line, number)
        assert ends_of(line.heard(m.Completed)) == {number: (0, b"value")}


def test_what_was_not_acknowledged_comes_again(client: Line, other: Line, engine: Line) -> None:
    """After another hello, and when it is asked for once more."""
    number = over(client, engine, 1)
    follow(other, number)
    other.heard()
    assert other.registered is not None
    other.say(COMMANDS, m.Hello(other.registered.token))
    assert ends_of(other.heard()) == {number: (0, b"value")}
    follow(other, number)
    assert ends_of(other.heard()) == {number: (0, b"value")}


def test_tasks_are_followed_too(client: Line, other: Line, engine: Line) -> None:
    """On the stream of tasks."""
    number = client.id(1)
    client.submit(1)
    follow(other, number)
    engine.results((number, 0))
    assert ends_of(other.heard()) == {number: (0, b"value")}
    have(client, number, stream=TASKS)
    have(other, number, stream=TASKS)
    follow(other, number)
    assert ends_of(other.heard()) == {number: (0, b"value")}


def test_a_follower_that_goes_is_forgotten(client: Line, other: Line, engine: Line) -> None:
    """And what was on its way to it."""
    number, later = over(client, engine, 1), client.id(2)
    client.command(2, 0)
    follow(other, number, later)
    other.say(HUB, m.Goodbye())
    ends(engine, later)
    assert ends_of(client.heard()) == {later: (0, b"value")}


def test_what_nobody_has_made_is_not_found(client: Line, other: Line, engine: Line) -> None:
    """However many are asked for; too many at once are refused."""
    number = over(client, engine, 1)
    assert follow(other, 5, number, 7) == ((number, number),)
    answer = other.call("history", "follow", requests=[[0, 2**62]])
    assert answer.code == "limit_exceeded"


@pytest.mark.parametrize("make", ["command", "task"])
def test_who_asks_may_be_quicker_than_who_makes(
    exchange: Exchange, client: Line, other: Line, engine: Line, make: str
) -> None:
    """The result comes when there is one, however long that takes."""
    number = client.id(1)
    assert follow(other, number) == ((number, number),)
    if make == "command":
        client.command(1, 0)
    else:
        client.submit(1)
    exchange.pass_time(1.2 * ON_ITS_WAY)
    assert ends_of(other.heard(m.Completed)) == {}

    if make == "command":
        ends(engine, number)
    else:
        engine.results((number, 0))

    assert ends_of(other.heard(m.Completed)) == {number: (0, b"value")}


def test_what_does_not_come_is_lost(exchange: Exchange, client: Line, other: Line) -> None:
    """Its client lives, but has not made it; who asked is told so, once."""
    number = client.id(1)
    assert follow(other, number) == ((number, number),)
    exchange.pass_time(0.9 * ON_ITS_WAY)
    assert ends_of(other.heard(m.Completed)) == {}
    exchange.pass_time(ON_ITS_WAY)
    ((status, failure),) = ends_of(other.heard(m.Completed)).values()
    assert (status, unpack_failure(failure).code) == (m.Status.ERROR, "result_lost")
    assert not exchange.commands._followers.of
    assert not exchange.tasks._followers.of


def test_what_has_ended_is_not_waited_for(client: Line, other: Line) -> None:
    """Nor one's own: it is on its way no more; nor that of a client that is gone."""
    assert follow(client, client.id(1)) == ()
    client.say(HUB, m.Goodbye())
    assert follow(other, client.id(1)) == ()


def test_no_client_follows_without_end(
    monkeypatch: pytest.MonkeyPatch, client: Line, other: Line, engine: Line
) -> None:
    """It is told to fetch some."""
    monkeypatch.setattr(followers, "MOST_FOLLOWED", 2)
    for counter in range(1, 5):
        client.command(counter, 0)
    assert follow(other, client.id(1), client.id(2), client.id(2))
    assert follow(other, client.id(3)) == "limit_exceeded"


@pytest.mark.parametrize(("limit", "value"), [("MOST_FOLLOWED", 2), ("MOST_BYTES", 20)])
def test_who_does_not_read_follows_no_more(
    monkeypatch: pytest.MonkeyPatch, client: Line, other: Line, engine: Line, limit: str, value: int
) -> None:
    """Results would be kept for it alone; what it acknowledges makes room."""
    monkeypatch.setattr(followers, limit, value)
    numbers = [over(client, engine, counter, payload=b"x" * 10) for counter in range(1, 5)]
    assert follow(other, numbers[0], numbers[1]) == ((numbers[0], numbers[1]),)
    assert follow(other, numbers[2]) == "limit_exceeded"
    have(other, numbers[0])
    assert follow(other, numbers[2]) == ((numbers[2], numbers[2]),)
    assert follow(other, numbers[3]) == "limit_exceeded"


def test_a_value_that_was_too_large(engine: Line, client: Line) -> None:
    """Its end says so; its record stays."""
    exchange = made(HubConfig(history_bytes=16_000))
    client = a_peer(exchange, "client", m.Role.ADMIN)
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    number = over(client, engine, 1, payload=bytes(2000))
    follow(client, number)
    [(status, payload)] = ends_of(client.heard()).values()
    assert (status, unpack_failure(payload).code) == (m.Status.ERROR, "result_lost")
    assert known(client) == [number]


# ---------------------------------------------------------------- what stays


def test_what_a_client_leaves_behind(
    exchange: Exchange, client: Line, other: Line, engine: Line
) -> None:
    """Results that were there stay; what waits is cancelled; what runs ends."""
    done, running, queued = (client.id(n) for n in (1, 2, 3))
    client.command(1, 0)
    ends(engine, done)
    for counter in (2, 3):
        client.command(counter, 0)
    client.submit(4)
    client.say(HUB, m.Goodbye())
    ends(engine, running)
    follow(other, done, running, queued, client.id(4))
    assert ends_of(other.heard()) == {
        done: (0, b"value"), running: (0, b"value"), queued: (2, b""), client.id(4): (2, b""),
    }  # fmt: skip
    assert not exchange.commands._records
    assert not exchange.tasks._records


def test_history_is_bounded(engine: Line) -> None:
    """By number and by age."""
    exchange = made(HubConfig(history_records=8, history_age=1000.0))
    client = a_peer(exchange, "client", m.Role.ADMIN)
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    for counter in range(1, 21):
        over(client, engine, counter)
    assert known(client) == [client.id(n) for n in range(13, 21)]
    exchange.now += 1000.0
    exchange.switchboard.tick(exchange.now)
    engine.exchange.turn()
    assert len(exchange.commands._history) == 0


def test_purging_is_for_ones_own(client: Line, other: Line, engine: Line) -> None:
    """And for what nobody owns any more."""
    mine, theirs = over(client, engine, 1), over(other, engine, 1)
    everything = [[0, 2**62]]
    assert client.call("history", "purge", requests=everything).value == 1
    assert known(client) == [theirs]
    assert mine not in known(other)
    other.say(HUB, m.Goodbye())
    assert client.call("history", "purge", rest=True).value == 1
    assert known(client) == []


def test_what_a_client_purges_it_has(client: Line, engine: Line) -> None:
    """Its acknowledgement may be on its way still."""
    number = client.id(1)
    client.command(1, 0)
    ends(engine, number)
    client.heard()
    assert client.call("history", "purge", requests=[[number, number]]).value == 1
    have(client, number)
    assert known(client) == []


def test_pages(monkeypatch: pytest.MonkeyPatch, client: Line, engine: Line) -> None:
    """A long answer comes in parts, each of which says where the next begins."""
    from ctrlhub.controller.interfaces import history

    monkeypatch.setattr(history, "SCAN", 3)
    numbers = [over(client, engine, counter) for counter in range(1, 8)]
    found: list[str] = []
    after, pages = 0, 0
    while after is not None:
        page = client.call("history", "select", query={}, keys=["msg_id"], after=after).value
        found += [record["msg_id"] for record in page["records"]]
        after, pages = page["after"], pages + 1
    assert found == [text_of(number) for number in numbers]
    assert pages >= 3
    monkeypatch.setattr(history, "ANSWER_BYTES", 1)
    page = client.call("history", "records", requests=[[numbers[0], numbers[-1]]]).value
    assert (len(page["records"]), page["after"]) == (1, numbers[0])


def test_many_pages_are_put_in_order_once(
    monkeypatch: pytest.MonkeyPatch, client: Line, engine: Line
) -> None:
    """Not for each; what came and went in between is no harm, and whoever begins gets all."""
    from ctrlhub.controller.interfaces import history

    monkeypatch.setattr(history, "SCAN", 10)
    numbers = [over(client, engine, counter) for counter in range(1, 31)]
    asked: list[int] = []

    def counted(ids: Any) -> list[int]:
        asked.append(1)
        return sorted(ids)

    monkeypatch.setattr(id_order, "sorted", counted, raising=False)
    found: list[int] = []
    after: int | None = 0
    while after is not None:
        page = client.call("history", "requests", after=after).value
        found += [n for first, last in page["requests"] for n in range(first, last + 1)]
        if after == 0:
            client.call("history", "purge", requests=[[numbers[-1], numbers[-1]]])
            over(client, engine, 31)
        after = page["after"]
    assert found == numbers[:-1]
    assert len(asked) == 2  # by each interface
    exchange = client.exchange
    exchange.now += id_order.ORDER_SECONDS
    page = client.call("history", "requests", after=numbers[20]).value
    assert page["requests"] == ((numbers[21], numbers[28]), (client.id(31), client.id(31)))


def test_questions_about_many_results_that_wait(
    monkeypatch: pytest.MonkeyPatch, client: Line, other: Line
) -> None:
    """Are answered and followed without a walk through them for each."""

    class Walked(deque[Any]):
        """Counts how often it is gone through: by the checks of the test, once in a turn."""

        times = 0

        def __iter__(self) -> Iterator[Any]:
            Walked.times += 1
            return super().__iter__()

    many, window = 10_000, 100
    monkeypatch.setattr(deliveries, "WINDOW_ROWS", window)
    for first in range(1, many, 500):
        client.submit(*range(first, first + 500))
    everything = [client.id(1), client.id(many)]
    client.call("tasks", "cancel", requests=[everything])
    [waiting] = client.exchange.tasks._deliveries._clients.values()
    assert len(waiting.unsent) > many // 2
    waiting.unsent = Walked(tuple(waiting.unsent))
    query = {"status": "aborted", "msg_id": {"$glob": "*-*"}}
    assert sum(texts(other, query=query, keys=["msg_id"])) == many
    assert other.call("history", "follow", requests=[everything]).value["found"] == (
        tuple(everything),
    )
    assert len(known(other)) == min(many, SCAN)
    assert Walked.times < window


def test_what_each_engine_has_done_is_found_in_one_go(client: Line, engine: Line) -> None:
    """However many engines there are: what has ended is gone through once."""
    exchange = client.exchange
    for number in range(1, 5):
        a_peer(exchange, f"engine {number}", m.Role.ENGINE)
    done = over(client, engine, 1)
    walks: list[int] = []
    outcomes = exchange.commands._deliveries.outcomes

    def walked() -> Any:
        walks.append(1)
        return outcomes()

    exchange.commands._deliveries.outcomes = walked  # type: ignore[method-assign]
    status = client.call("query", "queue_status", verbose=True).value
    assert [status[str(n)]["completed"] for n in range(5)] == [((done, done),), (), (), (), ()]
    assert walks == [1]


def test_what_runs_is_named_only_where_that_is_known(client: Line, engine: Line) -> None:
    """A task, or a command; with both the engine may be doing either, and what waits runs not."""

    def running() -> Any:
        return client.call("query", "queue_status", verbose=True).value["0"]["running"]

    assert running() is None
    client.submit(1)
    assert running() == client.id(1)
    client.command(2, 0)
    client.command(3, 0)
    assert running() is None
    engine.results((client.id(1), 0))
    assert running() == client.id(2)


def texts(line: Line, **how: Any) -> list[int]:
    """Return how many records each page of a query has."""
    found: list[int] = []
    after: int | None = 0
    while after is not None:
        page = line.call("history", "select", after=after, **how).value
        found.append(len(page["records"]))
        after = page["after"]
    return found


def printed(client: Line, engine: Line, counter: int, text: str) -> int:
    """Have a command run that prints; return its id."""
    number = client.id(counter)
    client.command(counter, 0)
    ends(engine, number, extras={"stdout": text})
    have(client, number)
    return number


def test_an_answer_is_bounded_in_bytes(
    monkeypatch: pytest.MonkeyPatch, client: Line, engine: Line
) -> None:
    """Not in characters, of which some take three bytes and more."""
    from ctrlhub.controller.interfaces import history

    monkeypatch.setattr(history, "ANSWER_BYTES", 5000)
    for counter in range(1, 5):
        printed(client, engine, counter, "\N{EURO SIGN}" * 1000)
    assert texts(client, query={}) == [2, 2]


def test_an_engine_cannot_spoil_the_records(client: Line, engine: Line) -> None:
    """With an end that is for tasks: the command's client is told, and questions are answered."""
    client.command(1, 0)
    ends(engine, client.id(1), status=m.Status.UNMET)
    [(status, payload)] = ends_of(client.heard()).values()
    assert (status, unpack_failure(payload).code) == (m.Status.ERROR, "invalid_reply")
    page = client.call("history", "select", query={}).value
    assert [record["status"] for record in page["records"]] == ["error"]


def test_patterns_are_held_against_so_much_for_one_answer(
    monkeypatch: pytest.MonkeyPatch, client: Line, engine: Line
) -> None:
    """The rest comes with the next page; other questions do not read the texts."""
    from ctrlhub.controller.interfaces import history

    monkeypatch.setattr(history, "SCAN_TEXT", 1500)
    for counter in range(1, 5):
        printed(client, engine, counter, "x" * 1000)
    assert texts(client, query={"stdout": {"$glob": "x*"}}) == [2, 2]
    assert texts(client, query={"status": "ok"}) == [4]


def test_resubmitting(client: Line, other: Line, engine: Line) -> None:
    """A command on its engine, a task anywhere: with the arguments that it had."""
    command = over(client, engine, 1)
    engine.heard()
    client.submit(2)
    engine.results((client.id(2), 0))
    have(client, client.id(2), stream=TASKS)
    engine.heard()
    other.call("history", "resubmit", requests=[command, client.id(2)], first=other.id(10))
    [run] = engine.heard(m.RunCommand)
    assert isinstance(run, m.RunCommand)
    assert (run.id, run.payload) == (other.id(10), b"data")
    ends(engine, run.id)
    [run_tasks] = engine.heard(m.RunTasks)
    assert isinstance(run_tasks, m.RunTasks)
    assert [row[0] for row in run_tasks.rows] == [other.id(11)]
    engine.results((other.id(11), 0))
    assert set(ends_of(other.heard())) == {other.id(10), other.id(11)}


def test_resubmitting_is_done_once_though_it_is_said_again(client: Line, engine: Line) -> None:
    """The answer was lost; what is new may run, or have ended and been fetched."""
    said = {"requests": [over(client, engine, 1)], "first": client.id(10)}
    engine.heard()
    assert client.call("history", "resubmit", **said).code == ""
    assert begun(engine) == [client.id(10)]
    assert client.call("history", "resubmit", **said).code == ""
    ends(engine, client.id(10))
    have(client, client.id(10))
    client.heard()
    assert client.call("history", "resubmit", **said).code == ""
    assert begun(engine) == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"requests": [3]}, "result_lost"),
        ({"requests": "x"}, "invalid_request"),
        ({"first": -1}, "invalid_request"),
        ({"first": 5}, "invalid_request"),
    ],
)
def test_what_cannot_be_resubmitted(
    client: Line, engine: Line, fields: dict[str, Any], code: str
) -> None:
    """The error says why, and nothing runs."""
    number = over(client, engine, 1)
    engine.heard()
    said = {"requests": [number], "first": client.id(50), **fields}
    assert client.call("history", "resubmit", **said).code == code
    assert begun(engine) == []


def test_all_are_resubmitted_or_none() -> None:
    """Where the limit lies between them, or one of the new ids is in use."""
    exchange = made(HubConfig(max_outstanding=2))
    client = a_peer(exchange, "client", m.Role.ADMIN)
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    former = [over(client, engine, counter) for counter in (1, 2, 3)]
    engine.heard()
    said = {"requests": former, "first": client.id(10)}
    assert client.call("history", "resubmit", **said).code == "limit_exceeded"
    said = {"requests": former[:2], "first": client.id(3)}
    assert client.call("history", "resubmit", **said).code == "invalid_request"
    assert begun(engine) == []
    assert not exchange.commands._records
    said = {"requests": former[:2], "first": client.id(10)}
    assert client.call("history", "resubmit", **said).code == ""
    assert begun(engine) == [client.id(10)]


# ---------------------------------------------------------------- failures that stop


def stopping(client: Line, engine: Line) -> int:
    """Have a command fail that stops what is behind it; return its id."""
    number = client.id(1)
    client.command(1, 0, stop_on_error=True)
    engine.heard()
    ends(engine, number, status=m.Status.ERROR, payload=b"")
    return number


def test_what_comes_before_the_failure_is_known_is_cleared(client: Line, engine: Line) -> None:
    """From its acknowledgement on commands run again."""
    number = stopping(client, engine)
    client.command(2, 0)
    assert begun(engine) == []
    [(status, payload)] = [end for n, end in ends_of(client.heard()).items() if n != number]
    failure = unpack_failure(payload)
    assert (status, failure.code) == (m.Status.ERROR, "queue_cleared")
    assert text_of(number) in failure.evalue
    have(client, number)
    client.command(3, 0)
    assert begun(engine) == [client.id(3)]


def test_what_is_queued_is_cleared_and_others_commands_run(
    client: Line, other: Line, engine: Line
) -> None:
    """In their order."""
    client.command(1, 0, stop_on_error=True)
    for counter in (2, 3):
        client.command(counter, 0)
        other.command(counter, 0)
    ends(engine, client.id(1), status=m.Status.ERROR, payload=b"")
    assert begun(engine) == [client.id(1), other.id(2)]
    assert set(ends_of(client.heard())) == {client.id(1), client.id(2), client.id(3)}


def test_a_halt_ends_with_its_client_and_its_engine(
    exchange: Exchange, client: Line, engine: Line
) -> None:
    """Nothing is kept of it."""
    stopping(client, engine)
    assert exchange.commands._halts
    client.say(HUB, m.Goodbye())
    assert not exchange.commands._halts
    again = a_peer(exchange, "again", m.Role.ADMIN)
    stopping(again, engine)
    engine.say(HUB, m.Goodbye())
    assert not exchange.commands._halts


def latest(line: Line, **how: Any) -> tuple[dict[str, int], list[dict[str, Any]], int]:
    """Return the counts and records of all pages of `history.latest`, and how many pages these were."""
    counts: Counter[str] = Counter()
    found: list[dict[str, Any]] = []
    after: int | None = 0
    pages = 0
    while after is not None:
        page = line.call("history", "latest", after=after, **how).value
        counts.update(page["counts"])
        found += page["records"]
        after, pages = page["after"], pages + 1
    return dict(counts), found, pages


def test_the_last_records_and_how_many_there_are(
    exchange: Exchange, client: Line, other: Line, engine: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the time of their submission, whatever their ids; only these are sent, and all are counted, page by page."""
    from ctrlhub.controller.interfaces import history

    for counter in range(1, 4):
        over(other, engine, counter)  # the other's ids are higher
        exchange.pass_time(1.0)
        over(client, engine, counter)
        exchange.pass_time(1.0)
    client.submit(4)
    client.submit(5)

    every = client.call("history", "select", query={}).value["records"]
    by_time = sorted(every, key=lambda each: (each["submitted"], each["msg_id"]))
    counts, found, pages = latest(client, query={}, limit=4)
    assert (counts["ok"], sum(counts.values()), pages) == (6, 8, 1)
    assert found == by_time[-4:]
    counts, found, _ = latest(client, query={"status": "ok"}, limit=2, keys=["msg_id"])
    assert (counts, [list(each) for each in found]) == ({"ok": 6}, [["msg_id"]] * 2)
    assert latest(client, query={"status": "aborted"})[:2] == ({}, [])

    monkeypatch.setattr(history, "SCAN", 3)
    counts, found, pages = latest(client, query={}, limit=1)
    assert (sum(counts.values()), len(found), pages) == (8, 3, 3)
    assert by_time[-1] in found
    monkeypatch.setattr(history, "SCAN", 100)
    monkeypatch.setattr(history, "SCAN_TEXT", 1)
    counts, found, pages = latest(client, query={"action": {"$glob": "*"}}, limit=50)
    assert (sum(counts.values()), pages) == (8, 8)
    assert [each["msg_id"] for each in found] == [each["msg_id"] for each in every]


def test_the_last_records_with_all_they_have_put_out_fit_an_answer(
    exchange: Exchange, client: Line, engine: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a thousand of them made one that nobody can read: they come in more pages, and are counted once."""
    from ctrlhub.controller.interfaces import history

    monkeypatch.setattr(history, "ANSWER_BYTES", 2500)
    for counter in range(1, 7):
        client.command(counter, 0)
        ends(engine, client.id(counter), extras={"stdout": "x" * 1000})
    counts, found, pages = latest(client, query={}, limit=100)
    assert (counts, len(found), pages) == ({"ok": 6}, 6, 2)
    counts, found, pages = latest(client, query={}, limit=100, keys=["msg_id"])
    assert (counts, len(found), pages) == ({"ok": 6}, 6, 1)


@pytest.mark.parametrize("how", [{"limit": 0}, {"limit": 1001}, {"limit": True}, {"keys": ["none"]}, {"keys": "x"}])
def test_how_many_last_records_are_no_number(client: Line, how: dict[str, Any]) -> None:
    """They are refused."""
    assert client.call("history", "latest", query={}, **how).code == "invalid_request"
