"""What requests of all clients put out reaches who watches, of any role: so much, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from ctrlhub.controller.core.output_watch import (
    BYTES,
    BYTES_AT_ONCE,
    GATHER,
    MOST_AT_THE_END,
    MOST_WATCHERS,
    PIECES,
    PIECES_AT_ONCE,
    WINDOW,
)
from ctrlhub.wire import messages as m
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.limits import MAX_CONTROL_BYTES, MAX_ID
from tests.support.exchange import Exchange, Line
from tests.support.multiengine import STREAM, a_peer, client, ends, engines, exchange

__all__ = ["client", "engines", "exchange"]

LINE = (("stdout", 0, "hello\n"),)


@pytest.fixture
def watcher(exchange: Exchange) -> Line:
    """Somebody who may look, and watches."""
    line = a_peer(exchange, "watcher", m.Role.VIEW)
    assert not line.call("output", "watch").code
    return line


def told(watcher: Line) -> list[m.WatchedOutput]:
    """Take what was published to a watcher, once it is due."""
    exchange = watcher.exchange
    exchange.pass_time(GATHER)
    found = [p.message for p in exchange.published if p.connection.address == watcher.address]
    exchange.published = []
    return [each for each in found if isinstance(each, m.WatchedOutput)]


def rows(watcher: Line) -> list[Any]:
    """Take the rows of it."""
    return [row for message in told(watcher) for row in message.rows]


def says(engine: Line, number: int, *items: Any, count: int = 1, attempt: int = 0) -> None:
    """Let an engine say what a command puts out."""
    engine.say(STREAM, m.Output(number, count, items, attempt=attempt))


def test_a_watcher_sees_what_a_command_of_somebody_else_prints(
    client: Line, engines: list[Line], watcher: Line
) -> None:
    """While it runs, with where it runs; its client gets it as ever. What the end brings is not told twice."""
    client.command(1, 0)
    number = client.id(1)
    says(engines[0], number, *LINE)
    published = {p.connection.address: p.message for p in client.exchange.published}
    assert published[client.address] == m.Output(number, 1, LINE, engine=0)
    assert rows(watcher) == [(number, 0, 0, [LINE[0]])]

    ends(engines[0], number, extras={"stdout": "hello\nworld\n"})
    assert rows(watcher) == [(number, 0, 0, [("stdout", 6, "world\n")])]


def test_a_watcher_sees_what_a_task_prints_that_is_over_at_once(
    client: Line, engines: list[Line], watcher: Line
) -> None:
    """Such output comes with the result alone. Displays are told, and not where text stands between them."""
    client.submit(1)
    [engine] = [each for each in engines if each.heard(m.RunTasks)]
    shown = {"output_type": "display_data", "data": {"text/plain": "1"}}
    outputs = [{"output_type": "stream", "name": "stdout", "length": 3}, shown]
    engine.results((client.id(1), 0), extras={"stdout": "hi\n", "outputs": outputs})
    [(number, where, attempt, items)] = rows(watcher)
    assert (number, attempt, list(items)) == (client.id(1), 0, [("stdout", 0, "hi\n"), ("display", 0, shown)])
    assert engines[where] is engine


def test_what_is_said_again_is_told_once(client: Line, engines: list[Line], watcher: Line) -> None:
    """As engines do when a connection is new; of another attempt all is new. Pickled values are not told."""
    client.command(1, 0)
    number = client.id(1)
    says(engines[0], number, *LINE)
    says(engines[0], number, ("stdout", 0, "hello\nyou\n"), ("data", 0, {"x": b"pickle"}), count=2)
    says(engines[0], number, ("stdout", 0, "hello\n"), count=3)
    says(engines[0], number, ("stdout", 0, "hello\n"), count=1, attempt=1)
    assert [(row[2], list(row[3])) for row in rows(watcher)] == [
        (0, [("stdout", 0, "hello\n")]),
        (0, [("stdout", 6, "you\n")]),
        (1, [("stdout", 0, "hello\n")]),
    ]


def test_sessions_may_be_left_out(client: Line, engines: list[Line], watcher: Line) -> None:
    """Their output comes in another way."""
    assert client.registered is not None
    watcher.call("output", "watch", without=[client.registered.session])
    client.command(1, 0)
    says(engines[0], client.id(1), *LINE)
    ends(engines[0], client.id(1), extras={"stdout": "hello\nworld\n"})
    assert rows(watcher) == []


def test_who_stops_or_leaves_is_told_no_more(
    client: Line, engines: list[Line], watcher: Line
) -> None:
    """And nothing is kept then."""
    watch = client.exchange.commands.context.output
    client.command(1, 0)
    client.command(2, 0)
    says(engines[0], client.id(1), *LINE)
    assert told(watcher)
    assert watcher.call("output", "unwatch").value is True
    assert watcher.call("output", "unwatch").value is False
    says(engines[0], client.id(1), ("stdout", 6, "more\n"), count=2)
    assert rows(watcher) == []
    assert not watch.watchers

    watcher.call("output", "watch")
    watcher.say(m.Stream.HUB, m.Goodbye())
    assert not watch.watchers
    watch.check()


def test_a_watcher_that_takes_nothing_in_is_sent_a_window_and_what_is_left_out_is_counted(
    client: Line, engines: list[Line], watcher: Line
) -> None:
    """The engine and its client notice nothing. Once the watcher has taken some in, more comes."""
    client.command(1, 0)
    number = client.id(1)
    for n in range(WINDOW + 5):
        says(engines[0], number, ("stdout", 2 * n, "x\n"), count=n + 1)
        client.exchange.pass_time(GATHER)
    own = [p for p in client.exchange.published if p.connection.address == client.address]
    assert sum(isinstance(p.message, m.Output) for p in own) == WINDOW + 5
    messages = told(watcher)
    assert [each.number for each in messages] == list(range(1, WINDOW + 1))

    watcher.call("output", "received", number=WINDOW)
    says(engines[0], number, ("stdout", 2 * (WINDOW + 5), "y\n"), count=WINDOW + 6)
    [message] = told(watcher)
    assert (message.number, message.missed) == (WINDOW + 1, 5)
    assert [list(row[3]) for row in message.rows] == [[("stdout", 2 * (WINDOW + 5), "y\n")]]


def test_what_is_put_out_soon_after_another_is_told_with_more(
    client: Line, engines: list[Line], watcher: Line
) -> None:
    """The first of it at once; the hub says in time when it wants to be asked for the rest."""
    exchange = client.exchange
    client.command(1, 0)
    for n in range(4):
        says(engines[0], client.id(1), ("stdout", 2 * n, "x\n"), count=n + 1)
    found = [p.message for p in exchange.published if isinstance(p.message, m.WatchedOutput)]
    assert [len(each.rows) for each in found] == [1]
    due = exchange.switchboard.next_deadline()
    assert due is not None
    assert due <= exchange.now + GATHER
    assert [len(each.rows) for each in told(watcher)] == [1, 3]


def test_of_a_flood_so_much_is_told_in_a_second(
    exchange: Exchange, client: Line, engines: list[Line], watcher: Line
) -> None:
    """So many pieces, and so many bytes: the hub's loop pays for no more, however much is put out."""
    client.command(1, 0)
    number, size = client.id(1), MAX_CONTROL_BYTES // 8
    put_out = exchange.commands.context.output.put_out
    for n in range(40):
        says(engines[0], number, ("stdout", size * n, "x" * size), count=n + 1)
    first = told(watcher)
    for each in first:
        watcher.call("output", "received", number=each.number)
    shown = [item for each in first for row in each.rows for item in row[3]]
    assert BYTES_AT_ONCE - size <= size * len(shown) < BYTES_AT_ONCE + size

    for seconds in range(3):
        exchange.pass_time(1.0)
        for n in range(2 * PIECES):
            put_out(m.Output(number, n, (("stderr", n + seconds * 10**6, "x"),), engine=0), exchange.now)
        messages = told(watcher)
        watcher.call("output", "received", number=messages[-1].number)
        assert sum(len(each.rows) for each in messages) == PIECES_AT_ONCE
        first += messages
    exchange.pass_time(1.0)
    says(engines[0], number, ("stderr", 10**7, "y"), count=9)
    first += told(watcher)
    assert sum(each.missed for each in first) == 40 - len(shown) + 3 * (2 * PIECES - PIECES_AT_ONCE)


def test_a_flood_that_goes_on_is_told_at_a_pace(
    exchange: Exchange, client: Line, engines: list[Line], watcher: Line
) -> None:
    """So many bytes in each second, whatever the pieces are; one that is large is not kept back for ever."""
    client.command(1, 0)
    number, size, position = client.id(1), 3 * BYTES_AT_ONCE // 2, 0
    shown = 0
    for _ in range(200):
        says(engines[0], number, ("stdout", position, "x" * size))
        position += size
        for each in told(watcher):
            watcher.call("output", "received", number=each.number)
            shown += sum(len(item[2]) for row in each.rows for item in row[3])
    assert BYTES * 200 * GATHER - size <= shown <= BYTES * 200 * GATHER + BYTES_AT_ONCE + size


def test_a_long_text_at_the_end_is_cut(client: Line, engines: list[Line], watcher: Line) -> None:
    """And says so: the result has all of it."""
    client.command(1, 0)
    ends(engines[0], client.id(1), extras={"stdout": "x" * (MOST_AT_THE_END + 7)})
    [(_, _, _, items)] = rows(watcher)
    assert items[0][2] == "x" * MOST_AT_THE_END + "\n[7 more characters: the result has them]\n"


@pytest.mark.parametrize(
    "extras",
    [
        {"stdout": 7, "outputs": "no", "attempt": "x"},
        {"outputs": [None, 3, ["x"], {}]},
        {"stderr": b"bytes", "outputs": {"a": 1}},
    ],
)
def test_what_an_engine_says_wrongly_of_output_is_harmless(
    client: Line, engines: list[Line], watcher: Line, extras: dict[str, Any]
) -> None:
    """It is left out, and the result goes its way."""
    client.command(1, 0)
    ends(engines[0], client.id(1), extras=extras)
    assert client.heard(m.Completed)
    assert all(item[0] == "display" for row in rows(watcher) for item in row[3])


@pytest.mark.parametrize(
    "extras",
    [{"stdout": "x", "attempt": MAX_ID + 1}, {"stdout": "x", "attempt": -7}, {"outputs": [{b"no text": 1}, {"a": 1}]}],
)
def test_what_an_engine_says_wrongly_spoils_nobody_else_s_output(
    client: Line, engines: list[Line], watcher: Line, extras: dict[str, Any]
) -> None:
    """What is told together with it can be read."""
    client.command(1, 0, 1)
    says(engines[1], client.id(2), *LINE)
    says(engines[1], client.id(2), ("stdout", 6, "more"), count=2)  # soon after the other: told with what comes next
    ends(engines[0], client.id(1), extras=extras)
    _, message = told(watcher)
    assert read(message).rows[0] == (client.id(2), 1, 0, (("stdout", 6, "more"),))


def test_output_that_has_come_as_far_as_nothing_does(client: Line, engines: list[Line], watcher: Line) -> None:
    """It is left out, and what comes behind it can be read."""
    client.command(1, 0)
    says(engines[0], client.id(1), *LINE, ("stderr", MAX_ID, "xyz"), ("stderr", MAX_ID, "xyz, and more"))
    [message] = told(watcher)
    assert read(message).rows == ((client.id(1), 0, 0, LINE),)


def read(message: m.WatchedOutput) -> m.WatchedOutput:
    """Read a message as a client does."""
    header, *frames = encode(message)
    found = decode(bytes(header), frames)
    assert isinstance(found, m.WatchedOutput)
    return found


def test_so_many_may_watch(exchange: Exchange, watcher: Line) -> None:
    """Each costs the hub some of its time."""
    others = [a_peer(exchange, f"other {n}", m.Role.VIEW) for n in range(MOST_WATCHERS)]
    codes = [each.call("output", "watch").code for each in others]
    assert codes == [*[""] * (MOST_WATCHERS - 1), "limit_exceeded"]
    watcher.call("output", "unwatch")
    assert others[-1].call("output", "watch").code == ""


@pytest.mark.parametrize("without", ["x", 7, ["1"], [-1], [True], [1] * 65, [1 << 40], None])
def test_what_is_no_list_of_sessions_is_refused(watcher: Line, without: Any) -> None:
    """Whatever it is."""
    assert watcher.call("output", "watch", without=without).code == "invalid_request"


def test_what_nobody_wants_is_not_counted_as_left_out(
    client: Line, engines: list[Line], watcher: Line
) -> None:
    """However much it is: output of sessions that are left out comes in another way."""
    assert client.registered is not None
    client.command(1, 0)
    size = MAX_CONTROL_BYTES // 8

    def floods(first: int) -> None:
        for n in range(first, first + 10):  # more than may be told at once
            says(engines[0], client.id(1), ("stdout", size * n, "x" * size), count=n + 1)

    floods(0)
    shown = told(watcher)
    watcher.call("output", "received", number=shown[-1].number)
    watcher.call("output", "watch", without=[client.registered.session])
    floods(10)
    floods(20)
    client.exchange.pass_time(1.0)
    other = a_peer(client.exchange, "other client", m.Role.ADMIN)
    other.command(1, 1)
    says(engines[1], other.id(1), *LINE)
    shown += told(watcher)
    assert sum(len(each.rows) + each.missed for each in shown) == 10 + 1
