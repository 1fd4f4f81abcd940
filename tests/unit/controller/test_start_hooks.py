"""Start hooks at the hub, message by message."""

from __future__ import annotations

from typing import Any

import pytest

from ctrlhub.controller.core import start_hooks
from ctrlhub.wire import messages as m
from ctrlhub.wire.errors import (
    EngineError,
    FailedBefore,
    Failure,
    ResultLost,
    pack_failure,
    unpack_failure,
)
from tests.support.exchange import Exchange, Line, ends_of, rows_of
from tests.support.multiengine import HUB, STREAM, a_peer, begun, client, engines, exchange, hello

__all__ = ["client", "engines", "exchange"]

NONE = b"N."
RAISED = pack_failure(Failure("remote", "ValueError", "no good", engine_id=0))


def hook(client: Line, counter: int, name: str = "one", **fields: Any) -> int:
    """Make a hook; return its id."""
    action, payload = fields.pop("action", "push"), fields.pop("payload", b"data")
    client.say(STREAM, m.StartHook(client.id(counter), name, action, payload, **fields))
    return client.id(counter)


def runs(engine: Line, number: int, failure: bytes = b"") -> None:
    """Let an engine end a run of a hook."""
    status = m.Status.ERROR if failure else m.Status.OK
    engine.results((number, 0), stream=STREAM, status=status, payload=failure or b"value")


def kept(client: Line, engines: list[Line], counter: int = 1, name: str = "one") -> int:
    """Make a hook that all engines have run well."""
    number = hook(client, counter, name)
    for engine in engines:
        runs(engine, number)
        engine.heard()
    client.heard()
    return number


def names(client: Line) -> list[str]:
    """The hooks that there are."""
    return [each["name"] for each in client.call("start_hooks", "list").value]


def states(client: Line) -> list[tuple[str, tuple[str, ...]]]:
    """What is said of each engine: its state, and the hooks that failed on it."""
    found = client.call("query", "engines_now").value["engines"]
    return [(each["state"], each["failed_hooks"]) for each in found]


# ---------------------------------------------------------------- making one


def test_it_is_kept_once_all_engines_have_run_it(client: Line, engines: list[Line]) -> None:
    """Then its client is told, and not before; what it is can be seen."""
    number = hook(client, 1, payload=b"four")
    assert [begun(engine) for engine in engines] == [[number], [number]]
    (seen,) = client.call("start_hooks", "list").value
    assert seen == {"name": "one", "action": "push", "bytes": 4, "state": "trying", "failed": {}}

    runs(engines[0], number)
    assert ends_of(client.heard(m.Completed)) == {}
    runs(engines[1], number)

    assert ends_of(client.heard(m.Completed)) == {number: (m.Status.OK, NONE)}
    assert client.call("start_hooks", "list").value[0]["state"] == "kept"
    assert client.call("query", "status").value["start_hooks"][0]["name"] == "one"


def test_its_data_is_no_part_of_the_history(exchange: Exchange, client: Line) -> None:
    """The hub has it as long as the hook is kept; then nothing of it is left."""
    data = memoryview(bytes(300_000))
    number = hook(client, 1, payload=(0, 1), frames=(data,))
    client.say(STREAM, m.Received(((number, number),)))

    engine = Line(exchange, "engine 0")
    engine.register(m.Role.ENGINE)
    (run,) = engine.heard(m.RunCommand)
    assert isinstance(run, m.RunCommand)
    assert [bytes(frame) for frame in run.frames] == [bytes(data)]
    assert exchange.commands._history.size < len(data)


def test_without_engines_it_is_kept_at_once(client: Line) -> None:
    """For those that come."""
    number = hook(client, 1)

    assert ends_of(client.heard(m.Completed)) == {number: (m.Status.OK, NONE)}
    assert names(client) == ["one"]


def test_one_that_fails_is_not_kept(client: Line, engines: list[Line]) -> None:
    """Its client gets the first failure; where it still waits it does not run any more."""
    client.command(1, 1)
    number = hook(client, 2)

    runs(engines[0], number, RAISED)

    assert ends_of(client.heard(m.Completed)) == {number: (m.Status.ERROR, RAISED)}
    assert names(client) == []
    engines[1].results((client.id(1), 0), stream=STREAM)
    assert begun(engines[1]) == [client.id(1)]
    assert states(client) == [("idle", ()), ("idle", ())]


def test_one_that_fails_while_others_run_it(client: Line, engines: list[Line]) -> None:
    """These are told to stop; how they end is nobody's business any more."""
    number = hook(client, 1)
    runs(engines[0], number, RAISED)

    assert engines[1].heard(m.Interrupt) == [m.Interrupt(((number, number),))]
    runs(engines[1], number, RAISED)
    assert states(client) == [("idle", ()), ("idle", ())]


def test_an_engine_that_dies_of_it(exchange: Exchange, client: Line, engines: list[Line]) -> None:
    """Is a failure; one that goes for another reason is none."""
    nanny = a_peer(exchange, "nanny", m.Role.NANNY)
    number = hook(client, 1)
    engines[0].say(HUB, m.Goodbye("enough"))
    said = engines[1].said
    nanny.say(HUB, m.EngineDied(said.key, said.incarnation, "exit code 3", "", True, number))

    ((status, payload),) = ends_of(client.heard(m.Completed)).values()
    assert status == m.Status.ERROR
    assert unpack_failure(payload).code == EngineError.code
    assert "exit code 3" in unpack_failure(payload).evalue
    assert names(client) == []


def test_the_last_engine_goes_meanwhile(client: Line, engines: list[Line]) -> None:
    """Then it has been run everywhere."""
    number = hook(client, 1)
    runs(engines[0], number)

    engines[1].say(HUB, m.Goodbye("enough"))

    assert ends_of(client.heard(m.Completed)) == {number: (m.Status.OK, NONE)}


def test_it_can_be_taken_back_while_it_is_tried(client: Line, engines: list[Line]) -> None:
    """As any request."""
    number = hook(client, 1)

    answer = client.call("multiengine", "abort", requests=[[number, number]]).value

    assert answer["cancelled"] == ((number, number),)
    assert ends_of(client.heard(m.Completed)) == {number: (m.Status.CANCELLED, b"")}
    assert names(client) == []
    assert engines[0].heard(m.Interrupt) == [m.Interrupt(((number, number),))]


def test_it_is_given_up_when_its_client_goes_before_it_is_kept(
    client: Line, engines: list[Line]
) -> None:
    """As all that the client had queued; one that is kept stays."""
    kept(client, engines)
    hook(client, 2, "two")
    client.say(HUB, m.Goodbye())

    other = a_peer(client.exchange, "other", m.Role.ADMIN)
    assert names(other) == ["one"]


def test_one_that_comes_twice_is_made_once(client: Line, engines: list[Line]) -> None:
    """It was sent again, for want of an answer."""
    number = hook(client, 1)
    hook(client, 1)
    assert begun(engines[0]) == [number]
    for engine in engines:
        runs(engine, number)
    hook(client, 1)

    assert names(client) == ["one"]
    assert ends_of(client.heard(m.Completed)) == {number: (m.Status.OK, NONE)}


def test_a_function_comes_along(client: Line, engines: list[Line]) -> None:
    """And goes to each engine; without it there is no hook."""
    hook(client, 1, action="apply", function=b"f", functions=((b"f", b"code"),))
    (run,) = engines[0].heard(m.RunCommand)
    assert isinstance(run, m.RunCommand)
    assert (run.action, run.function, run.functions) == ("apply", b"f", ((b"f", b"code"),))

    hook(client, 2, action="apply", function=b"g")
    assert client.one(m.Refused).code == "invalid_request"


@pytest.mark.parametrize(
    "fields", [{"name": ""}, {"name": "n" * 257}, {"action": "pull"}, {"action": "odd"}]
)
def test_what_is_no_hook(client: Line, engines: list[Line], fields: dict[str, Any]) -> None:
    """It is refused, and nobody runs it."""
    number = hook(client, 1, **fields)

    refused = client.one(m.Refused)
    assert (refused.code, refused.requests) == ("invalid_request", ((number, number),))
    assert begun(engines[0]) == []


def test_another_clients_number(client: Line, engines: list[Line]) -> None:
    """It is refused."""
    client.say(STREAM, m.StartHook(5, "one", "push", b""))
    assert client.one(m.Refused).code == "invalid_request"


@pytest.mark.parametrize(("limit", "value"), [("MOST_HOOKS", 1), ("MOST_BYTES", 7)])
def test_there_are_limits(client: Line, monkeypatch: Any, limit: str, value: int) -> None:
    """Of number and of bytes; one that replaces another may take its room."""
    monkeypatch.setattr(start_hooks, limit, value)
    hook(client, 1)
    hook(client, 2, "two")
    assert client.one(m.Refused).code == "limit_exceeded"

    hook(client, 3)
    assert client.heard(m.Refused) == []
    assert names(client) == ["one"]


# ---------------------------------------------------------------- engines that come


def test_an_engine_that_comes_runs_all_in_order_before_anything_else(
    exchange: Exchange, client: Line, engines: list[Line]
) -> None:
    """Also before tasks that wait for an engine."""
    first, second = kept(client, engines, 1, "one"), kept(client, engines, 2, "two")
    for engine in engines:
        engine.say(HUB, m.Goodbye("enough"))
    client.submit(3)

    fresh = a_peer(exchange, "fresh", m.Role.ENGINE)
    client.command(4, 0)
    fresh_got = []
    for number in (first, second, client.id(4)):
        fresh_got += begun(fresh) or fresh_got[-1:]
        assert rows_of(fresh.heard(m.RunTasks)) == []
        runs(fresh, number)

    assert begun(fresh) == []
    assert rows_of(fresh.heard(m.RunTasks)) == [(client.id(3), 0)]


@pytest.mark.parametrize(
    ("action", "order"), [("push", ["two", "one"]), ("execute", ["two", "one"]), ("upload", ["one", "two"])]
)
def test_one_that_replaces_another_is_run_last(
    exchange: Exchange, client: Line, action: str, order: list[str]
) -> None:
    """As on the engines that are there; but a module stays before what imports it."""
    numbers = {"one": hook(client, 1, "one", action=action), "two": hook(client, 2, "two")}
    numbers["one"] = hook(client, 3, "one", action=action)

    assert names(client) == order
    engine, ran = fresh_engine(exchange), []
    for _ in order:
        ran += begun(engine)
        runs(engine, ran[-1])
    assert ran == [numbers[name] for name in order]


def fresh_engine(exchange: Exchange, name: str = "fresh") -> Line:
    """Let an engine join, and keep what it was sent."""
    made = Line(exchange, name)
    made.register(m.Role.ENGINE)
    return made


def test_the_order_of_the_runs(exchange: Exchange, client: Line) -> None:
    """One at a time; a hook that replaces another is the last."""
    hook(client, 1, "one")
    second = hook(client, 2, "two")
    third = hook(client, 3, "one")

    engine = fresh_engine(exchange)
    order = []
    for _ in range(2):
        (number,) = begun(engine)
        order.append(number)
        runs(engine, number)

    assert order == [second, third]
    assert begun(engine) == []


def test_a_hook_on_trial_is_run_by_who_comes(
    exchange: Exchange, client: Line, engines: list[Line]
) -> None:
    """Nobody is left out between its trial and its being kept."""
    number = hook(client, 1)

    assert begun(fresh_engine(exchange)) == [number]


def test_an_engine_on_which_a_hook_fails_gets_no_tasks(
    exchange: Exchange, client: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is announced, with the reason, and shown; commands run there, so that one can look."""
    number = hook(client, 1)
    engine = fresh_engine(exchange)
    exchange.events()
    runs(engine, number, RAISED)

    published = [e.message for e in exchange.published]
    (event,) = [e for e in published if isinstance(e, m.EngineEvent)]
    assert event.event == "unprepared"
    assert event.engine["cause"] == "start hook 'one' failed: ValueError: no good"
    assert states(client) == [("idle", ("one",))]
    (seen,) = client.call("start_hooks", "list").value
    assert seen["failed"] == {"0": "ValueError: no good"}
    monkeypatch.setattr("ctrlhub.controller.interfaces.start_hooks.MOST_TOLD", 10)
    [seen] = client.call("start_hooks", "list").value
    assert seen["failed"] == {"0": "ValueError"}
    client.submit(2)
    assert rows_of(engine.heard(m.RunTasks)) == []
    client.command(3, 0)
    assert begun(engine) == [number, client.id(3)]


def test_removing_it_makes_the_engine_whole(exchange: Exchange, client: Line) -> None:
    """The tasks that waited run."""
    number = hook(client, 1)
    engine = fresh_engine(exchange)
    runs(engine, number, RAISED)
    client.submit(2)
    exchange.events()

    assert client.call("start_hooks", "remove", name="one").value is True

    assert exchange.events() == [("prepared", 0)]
    assert states(client) == [("busy", ())]
    assert rows_of(engine.heard(m.RunTasks)) == [(client.id(2), 0)]


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_the_maker_hears_that_somebody_else_has_taken_its_place(
    client: Line, exchange: Exchange, how: str
) -> None:
    """Also when it was away; it would bring it back with the next hub."""
    other = a_peer(exchange, "other", m.Role.ADMIN)
    number = hook(client, 1)
    if how == "removed":
        assert other.call("start_hooks", "remove", name="one").value is True
    else:
        hook(other, 1)
    assert client.heard(m.HooksGone) == [m.HooksGone(((number, number),))]

    hello(client)

    assert client.heard(m.HooksGone) == [m.HooksGone(((number, number),))]
    assert other.heard(m.HooksGone) == []


def test_a_hook_that_was_removed_does_not_run(exchange: Exchange, client: Line) -> None:
    """On nobody that comes; where it waits still it is taken back, where it runs it is stopped."""
    first, second = hook(client, 1, "one"), hook(client, 2, "two")
    engine = fresh_engine(exchange)
    client.call("start_hooks", "remove", name="two")
    client.call("start_hooks", "remove", name="one")

    assert engine.heard(m.Interrupt) == [m.Interrupt(((first, first),))]
    runs(engine, first, RAISED)
    assert begun(engine) == [first]
    assert second not in begun(fresh_engine(exchange, "another"))
    assert states(client)[0] == ("idle", ())


def test_a_hook_on_trial_is_removed(client: Line, engines: list[Line]) -> None:
    """Its maker is told that it was cancelled."""
    number = hook(client, 1)
    other = a_peer(client.exchange, "other", m.Role.ADMIN)

    assert other.call("start_hooks", "remove", name="one").value is True

    assert ends_of(client.heard(m.Completed)) == {number: (m.Status.CANCELLED, b"")}
    assert names(client) == []


def test_there_is_none_to_remove(client: Line) -> None:
    """It is said; a name is text."""
    assert client.call("start_hooks", "remove", name="one").value is False
    assert client.call("start_hooks", "remove", name=5).code == "invalid_request"


def test_abort_does_not_touch_the_runs_of_a_hook_that_is_kept(
    exchange: Exchange, client: Line
) -> None:
    """They have the number of a request that has ended."""
    number = hook(client, 1)
    engine = fresh_engine(exchange)

    answer = client.call("multiengine", "abort", requests=[[number, number]]).value

    assert answer["finished"] == ((number, number),)
    assert engine.heard(m.Interrupt) == []
    assert begun(engine) == [number]


def test_the_end_of_its_client_does_not_touch_the_runs(exchange: Exchange, client: Line) -> None:
    """Also those that wait behind another."""
    first, second = hook(client, 1, "one"), hook(client, 2, "two")
    engine = fresh_engine(exchange)
    client.say(HUB, m.Goodbye())

    runs(engine, first)

    assert begun(engine) == [first, second]


# ---------------------------------------------------------------- hooks that kill


def killed(exchange: Exchange, nanny: Line, engine: Line, running: int) -> Line:
    """Let an engine die, and another process take its place."""
    said = engine.said
    nanny.say(HUB, m.EngineDied(said.key, said.incarnation, "exit code 3", "", True, running))
    again = Line(exchange, f"{engine.address.decode()} again")
    again.register(m.Role.ENGINE, key=said.key)
    return again


def test_a_hook_that_has_killed_three_processes_of_an_engine_is_not_tried_there_again(
    exchange: Exchange, client: Line
) -> None:
    """Or it would kill for ever: the next process is unprepared, until somebody restarts it."""
    number = hook(client, 1)
    nanny = a_peer(exchange, "nanny", m.Role.NANNY)
    engine = fresh_engine(exchange)
    nanny.say(HUB, m.Beat((engine.said.key,)))

    for _ in range(start_hooks.MOST_DEATHS):
        assert begun(engine) == [number]
        engine = killed(exchange, nanny, engine, number)
    assert begun(engine) == []
    assert states(client) == [("idle", ("one",))]
    assert "exit code 3" in client.call("start_hooks", "list").value[0]["failed"]["0"]

    client.call("control", "restart", targets=[0])
    again = killed(exchange, nanny, engine, -1)
    assert begun(again) == [number]


def test_who_kills_engines_now_and_then_while_they_run_a_hook_leaves_them_prepared(
    exchange: Exchange, client: Line
) -> None:
    """The hook is not to blame: engines live through it in between."""
    number = hook(client, 1)
    nanny = a_peer(exchange, "nanny", m.Role.NANNY)
    engine = fresh_engine(exchange)
    nanny.say(HUB, m.Beat((engine.said.key,)))

    for _ in range(start_hooks.MOST_DEATHS + 1):
        engine = killed(exchange, nanny, engine, number)
        runs(engine, number)
        assert states(client) == [("idle", ())]
        engine = killed(exchange, nanny, engine, -1)

    assert begun(engine) == [number]


# ---------------------------------------------------------------- another hub


def test_an_engine_that_has_run_it_before_is_prepared(client: Line, engines: list[Line]) -> None:
    """It has outlived the hub that had the hook, and does not run a command twice."""
    number = hook(client, 1)
    lost = pack_failure(Failure.from_error(ResultLost("it was run before")))

    for engine in engines:
        runs(engine, number, lost)

    assert ends_of(client.heard(m.Completed)) == {number: (m.Status.OK, NONE)}
    assert states(client) == [("idle", ()), ("idle", ())]


def test_an_engine_on_which_it_failed_before_is_unprepared_still(
    client: Line, engines: list[Line]
) -> None:
    """The hook is kept: the hub that this engine has outlived had kept it, too."""
    number = hook(client, 1)
    before = pack_failure(Failure.from_error(FailedBefore("ValueError: no good")))

    runs(engines[0], number, before)
    runs(engines[1], number)

    assert ends_of(client.heard(m.Completed)) == {number: (m.Status.OK, NONE)}
    assert states(client) == [("idle", ("one",)), ("idle", ())]
    (found,) = client.call("start_hooks", "list").value
    assert found["failed"] == {"0": "ValueError: no good"}
