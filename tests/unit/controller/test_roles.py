"""The roles of clients: what each may call, and what it may do to what others have."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import pytest

from ctrlhub.controller.client_sessions import READERS
from ctrlhub.controller.core.effects import Connection
from ctrlhub.controller.core.saved import SavedSession
from ctrlhub.controller.interfaces.base import Interface, exposed
from ctrlhub.controller.interfaces.finding import BUILT_IN, find_interfaces
from ctrlhub.wire import messages as m
from ctrlhub.wire.errors import PermissionDenied
from tests.support.exchange import Exchange, Line
from tests.support.peerage import ENGINE, HUB, MULTIENGINE, Listening, a_peer, every_message
from tests.support.peers import registration

ADMIN, SUBMIT, VIEW = m.CLIENT_ROLES

NEEDS = {
    "control": {
        "interrupt": SUBMIT, "signal": ADMIN, "restart": ADMIN, "start_engines": ADMIN, "shutdown": ADMIN,
        "drain": ADMIN, "gateway": SUBMIT,
    },
    "history": {
        "follow": VIEW, "records": VIEW, "select": VIEW, "latest": VIEW, "requests": VIEW, "purge": SUBMIT,
        "resubmit": SUBMIT, "stop": SUBMIT,
    },
    "logs": {"forward": SUBMIT, "received": SUBMIT, "unforward": SUBMIT},
    "multiengine": {"abort": SUBMIT},
    "output": {"watch": VIEW, "received": VIEW, "unwatch": VIEW},
    "query": {
        "status": VIEW, "engines_now": VIEW, "stillborn": VIEW, "engine_events": VIEW, "queue_status": VIEW,
        "interfaces": VIEW, "revoke": ADMIN, "shutdown_hub": ADMIN,
    },
    "sessions": {
        "list": VIEW, "unfetched": VIEW, "window": VIEW, "detach": SUBMIT, "hurry": SUBMIT, "end": ADMIN,
    },
    "start_hooks": {"list": VIEW, "remove": SUBMIT},
    "tasks": {"cancel": SUBMIT, "withdraw": SUBMIT, "counts": VIEW, "explain": VIEW},
    "telemetry": {"read": VIEW, "engines_after": VIEW},
}  # fmt: skip
"""Every call that there is, and the lowest role that may make it. Not made from the code: it is what
the code is held to."""

CALLS = [(name, method) for name, methods in NEEDS.items() for method in methods]
DENIED = PermissionDenied.code


def exposed_calls() -> set[tuple[str, str]]:
    """Return every call of the built-in interfaces."""
    found = set()
    for cls in find_interfaces(list(BUILT_IN)):
        for name, method in inspect.getmembers(cls):
            if getattr(method, "__ctrlhub_exposed__", None) is not None:
                found.add((cls.name, name))
    return found


def test_every_call_has_its_line_in_the_table() -> None:
    """A new method enters the table above."""
    assert exposed_calls() == set(CALLS)


@pytest.mark.parametrize("role", m.CLIENT_ROLES)
@pytest.mark.parametrize(("interface", "method"), CALLS)
def test_who_may_call_what(interface: str, method: str, role: m.Role) -> None:
    """Every call, by every role of clients: allowed or denied as the table says."""
    line = a_peer(Exchange(), "peer", role)
    answer = line.call(interface, method)
    needed = NEEDS[interface][method]
    if m.CLIENT_ROLES.index(role) <= m.CLIENT_ROLES.index(needed):
        assert answer.code != DENIED
    else:
        assert answer.code == DENIED
        assert f"this client has role {role.value}" in answer.message
        assert f"{interface}.{method} needs {needed.value}" in answer.message


class Bare(Interface):
    """An interface of somebody else's, which does not say what its method needs."""

    name = "bare"

    @exposed
    def ask(self, caller: object) -> str:
        """Answer."""
        return "answer"


@pytest.mark.parametrize("role", m.CLIENT_ROLES)
def test_a_method_that_does_not_say_what_it_needs_is_for_admins(role: m.Role) -> None:
    """It may do anything, so it is for those who may."""
    exchange = Exchange()
    line = a_peer(exchange, "peer", role)
    session = exchange.switchboard.sessions.of_connection(Connection(0, HUB, line.address))
    assert session is not None
    query = exchange.switchboard.interfaces["query"]
    bare = Bare(exchange.switchboard.controller, query.context)
    if role is ADMIN:
        assert bare.call(session, "ask", {}) == "answer"
    else:
        with pytest.raises(PermissionDenied, match=r"bare\.ask needs admin"):
            bare.call(session, "ask", {})


def test_a_method_is_not_exposed_to_engines() -> None:
    """They call nothing: what names their role is a mistake."""
    with pytest.raises(ValueError, match="none of their roles"):
        exposed(m.Role.ENGINE)


# ---------------------------------------------------------------- a viewer changes nothing


class Scene:
    """A hub at work for an admin: a task runs, others and a command wait, one has ended; a hook is kept."""

    def __init__(self) -> None:
        self.exchange = Exchange()
        self.admin = a_peer(self.exchange, "owner", ADMIN)
        self.engine = a_peer(self.exchange, "engine", ENGINE)
        self.admin.say(MULTIENGINE, m.StartHook(self.admin.id(1), "prepared", "push", b"names"))
        self.engine.results((self.admin.id(1), 0), stream=MULTIENGINE)
        self.admin.submit(2, 3, 4)
        self.engine.results((self.admin.id(2), 0))
        self.admin.command(5, 0)
        self.admin.heard()
        self.engine.heard()

    def state(self) -> dict[str, Any]:
        """Return what the admin can see of the hub, and of its own."""
        shown = {
            f"{name}.{method}": self.admin.call(name, method, **arguments).value
            for name, method, arguments in (
                ("query", "status", {}), ("query", "queue_status", {"verbose": True}), ("query", "engines_now", {}),
                ("history", "requests", {}), ("history", "select", {"query": {}}), ("start_hooks", "list", {}),
                ("tasks", "counts", {}), ("sessions", "unfetched", {}),
            )
        }  # fmt: skip
        sessions = self.admin.call("sessions", "list").value
        mine = self.admin.registered
        assert mine is not None
        shown["own session"] = [each for each in sessions if each["session"] == mine.session]
        shown["query.status"]["hub"].pop("refused")  # what was refused is counted
        return shown

    def arguments(self, which: str) -> dict[str, Any]:
        """Return arguments with which a call would change something, if it were allowed."""
        every = [(self.admin.id(1), self.admin.id(9))]
        mine = self.admin.registered
        assert mine is not None
        return {
            "control.signal": {"targets": [0], "name": "SIGTERM"},
            "control.start_engines": {"count": 1},
            "history.follow": {"requests": every}, "history.records": {"requests": every},
            "history.select": {"query": {}}, "history.latest": {"query": {}}, "history.purge": {"requests": every, "rest": True},
            "history.resubmit": {"requests": [self.admin.id(2)], "first": 1}, "history.stop": {"requests": every},
            "logs.forward": {"logger": "", "level": 10}, "logs.received": {"number": 1},
            "logs.unforward": {"logger": ""}, "multiengine.abort": {"requests": every},
            "query.revoke": {"key": "engine"}, "sessions.end": {"session": mine.session},
            "start_hooks.remove": {"name": "prepared"}, "tasks.cancel": {"requests": every},
            "tasks.withdraw": {"requests": every}, "tasks.explain": {"request": self.admin.id(3)},
        }.get(which, {"targets": [0]} if which.startswith("control.") else {})  # fmt: skip


def test_what_a_viewer_says_changes_nothing() -> None:
    """Neither any message, on any stream, nor any call: all is as it was, and no engine has heard of it."""
    scene = Scene()
    before = scene.state()
    viewer = a_peer(scene.exchange, "viewer", VIEW)
    examples = every_message(viewer)
    kept_for_itself = (m.Register, m.Hello, m.Enrol, m.Goodbye)
    for kind in m.KINDS.values():
        if kind not in kept_for_itself:
            for stream in m.Stream:
                viewer.say(stream, examples[kind])
    viewer.heard()
    for interface, method in CALLS:
        answer = viewer.call(interface, method, **scene.arguments(f"{interface}.{method}"))
        assert (answer.code == DENIED) is (NEEDS[interface][method] is not VIEW), (interface, method, answer)
    assert scene.exchange.stopped == []
    assert scene.engine.heard() == []
    assert scene.state() == before
    # And what it says of others' is not taken for theirs: the task that ran still has its result.
    viewer.say(m.Stream.TASK, m.Received(((scene.admin.id(1), scene.admin.id(9)),)))
    scene.engine.results((scene.admin.id(3), 0), payload=b"kept")
    [completed] = scene.admin.heard(m.Completed)
    assert isinstance(completed, m.Completed)
    assert completed.rows[0][2] == b"kept"
    assert scene.state()["sessions.unfetched"] == before["sessions.unfetched"]


def test_a_viewer_reads_the_result_of_another_client() -> None:
    """It follows a request like its own, and takes in what comes; the one that made it still has its result."""
    scene = Scene()
    viewer = a_peer(scene.exchange, "viewer", VIEW)
    number = scene.admin.id(2)
    assert viewer.call("history", "follow", requests=[(number, number)]).value == {"found": ((number, number),)}
    completed = viewer.one(m.Completed)
    assert completed.rows[0][0] == number
    assert viewer.say(m.Stream.TASK, m.Received(((number, number),))) == []
    owned = scene.admin.call("sessions", "unfetched").value["requests"]
    assert any(first <= number <= last for first, last in owned)


def test_a_denied_submission_names_what_it_denies() -> None:
    """The refusal names the requests, so that whoever made them knows that they will not be done."""
    exchange = Exchange()
    viewer = a_peer(exchange, "viewer", VIEW)
    for answers, numbers in (
        (viewer.submit(1, 2), [1, 2]),
        (viewer.command(3, 0), [3]),
        (viewer.say(MULTIENGINE, m.StartHook(viewer.id(4), "name", "push", b"")), [4]),
    ):
        [refused] = answers
        assert isinstance(refused, m.Refused)
        assert refused.code == DENIED
        assert [(viewer.id(numbers[0]), viewer.id(numbers[-1]))] == [tuple(each) for each in refused.requests]
        assert "needs submit" in refused.message


# ---------------------------------------------------------------- a submitter, and what others have


def test_a_submitter_does_with_its_own_what_it_likes() -> None:
    """It runs tasks and commands, stops them, interrupts engines, and forgets what has ended."""
    exchange = Exchange()
    mine = a_peer(exchange, "mine", SUBMIT)
    engine = a_peer(exchange, "engine", ENGINE)
    mine.submit(1, 2)
    engine.results((mine.id(1), 0))
    assert mine.call("history", "stop", requests=[(mine.id(2), mine.id(2))]).code == ""
    assert mine.call("control", "interrupt", targets=[0]).value == (0,)
    assert mine.call("history", "purge", requests=[(mine.id(1), mine.id(1))]).value == 1


def test_a_submitter_leaves_what_others_have() -> None:
    """Their requests are neither stopped nor forgotten, whether they are here or have gone."""
    scene = Scene()
    before = scene.state()
    other = a_peer(scene.exchange, "other", SUBMIT)
    every = [(scene.admin.id(1), scene.admin.id(9))]
    assert other.call("history", "stop", requests=every).code == DENIED
    assert other.call("history", "purge", requests=every).code == DENIED
    assert other.call("history", "purge", rest=True).code == DENIED
    assert other.call("history", "purge", engines=[0]).value == 0
    assert scene.state() == before


def test_what_nobody_has_asked_for_is_nobodys() -> None:
    """A submitter who stops it is told that it is unknown, as an admin is; one of another's among it is not."""
    scene = Scene()
    other = a_peer(scene.exchange, "other", SUBMIT)
    nobodys = (scene.admin.id(5000), scene.admin.id(5001))
    stopped = other.call("history", "stop", requests=[nobodys])
    assert (stopped.code, stopped.value) == ("", scene.admin.call("history", "stop", requests=[nobodys]).value)
    before = scene.state()
    assert other.call("history", "stop", requests=[(scene.admin.id(1), nobodys[0])]).code == DENIED
    assert scene.state() == before


def test_a_submitter_does_not_purge_what_a_client_has_left() -> None:
    """What ended on an engine, of a client that has gone, is for admins to forget."""
    exchange = Exchange()
    gone, engine = a_peer(exchange, "gone", SUBMIT), a_peer(exchange, "engine", ENGINE)
    gone.submit(1)
    engine.results((gone.id(1), 0))
    gone.say(m.Stream.TASK, m.Received(((gone.id(1), gone.id(1)),)))
    gone.say(HUB, m.Goodbye())
    assert a_peer(exchange, "other", SUBMIT).call("history", "purge", engines=[0]).value == 0
    assert a_peer(exchange, "owner", ADMIN).call("history", "purge", engines=[0]).value == 1


def test_a_start_hook_is_its_makers() -> None:
    """Another submitter neither removes nor replaces it, unless by the same; an admin does both."""
    scene = Scene()
    before = scene.state()["start_hooks.list"]
    other = a_peer(scene.exchange, "other", SUBMIT)
    assert other.call("start_hooks", "remove", name="prepared").code == DENIED
    [refused] = other.say(MULTIENGINE, m.StartHook(other.id(1), "prepared", "push", b"others"))
    assert isinstance(refused, m.Refused)
    assert refused.code == DENIED
    assert scene.state()["start_hooks.list"] == before
    assert not any(
        isinstance(each, m.Refused)
        for each in other.say(MULTIENGINE, m.StartHook(other.id(2), "prepared", "push", b"names"))
    )
    scene.engine.results((other.id(2), 0), stream=MULTIENGINE)
    assert scene.admin.call("start_hooks", "remove", name="prepared").value is True


# ---------------------------------------------------------------- sessions


def attach(exchange: Exchange, name: str, role: m.Role, session: int, *, over: bool = False) -> m.Message:
    """Ask for a session as a new process; return the answer."""
    line = Line(exchange, name)
    said = registration(role, name, session=session, attach=True, take_over=over)
    return line.say(HUB, said)[-1]


@pytest.mark.parametrize("asks", m.CLIENT_ROLES)
@pytest.mark.parametrize("had", m.CLIENT_ROLES[:2])
def test_who_attaches_to_a_session_that_was_left(had: m.Role, asks: m.Role) -> None:
    """One of the session's role or of a higher one, whose role it has then; never one that reads only."""
    exchange = Exchange()
    left = a_peer(exchange, "left", had)
    left.submit(1)
    assert left.call("sessions", "detach").code == ""
    assert left.registered is not None
    answer = attach(exchange, "another", asks, left.registered.session)
    if asks is not VIEW and asks.allows(had):
        assert isinstance(answer, m.Registered)
        assert answer.session == left.registered.session
        assert answer.role == asks.value
    else:
        assert isinstance(answer, m.Refused)
        assert answer.code == DENIED
        kept = exchange.switchboard.sessions.of_number(left.registered.session)
        assert kept is not None
        assert kept.role is had


@pytest.mark.parametrize("role", m.CLIENT_ROLES)
def test_how_long_a_session_is_kept_whose_client_has_vanished(role: m.Role) -> None:
    """One that reads only leaves nothing: it is not to take the places of others for long. It is told so."""
    exchange = Exchange()
    line = a_peer(exchange, "peer", role)
    assert line.registered is not None
    number, config = line.registered.session, exchange.switchboard.config
    kept = READERS if role is VIEW else config.session_ttl
    assert (line.registered.lease, config.session_ttl > READERS) == (kept, True)
    exchange.pass_time(config.lost + 1)
    exchange.pass_time(kept - 1)
    assert exchange.switchboard.sessions.of_number(number) is not None
    exchange.pass_time(2)
    assert exchange.switchboard.sessions.of_number(number) is None


@pytest.mark.parametrize("asks", m.CLIENT_ROLES)
def test_who_takes_over_a_session_that_another_client_has(asks: m.Role) -> None:
    """An admin: it ends that client. Nobody else, and the one that has it notices nothing."""
    exchange = Exchange()
    has = a_peer(exchange, "has", SUBMIT)
    assert has.registered is not None
    answer = attach(exchange, "another", asks, has.registered.session, over=True)
    assert isinstance(answer, m.Registered if asks is ADMIN else m.Refused)
    assert bool(has.heard(m.Goodbye)) is (asks is ADMIN)


def test_a_role_outlives_the_hub() -> None:
    """The session of a submitter that comes back to another hub has not become an admin's meanwhile."""
    exchange = Exchange()
    saved = SavedSession(7, "key", b"i", 1, "host", SUBMIT.value)
    session = exchange.switchboard.sessions.restore(saved, lives=True)
    assert session.role is SUBMIT
    assert SavedSession(8, "key", b"i", 1, "host").role == ADMIN.value  # stored before there were roles


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize("has", m.CLIENT_ROLES)
@pytest.mark.parametrize("says", m.CLIENT_ROLES)
def test_a_key_speaks_as_its_own_role(has: m.Role, says: m.Role) -> None:
    """Over TCP the enrolment key decides: registering as another role, higher or lower, is refused."""
    listening = Listening()
    line = listening.peer(has)
    answer = line.say(HUB, registration(says, line.user or ""))[-1]
    if has is says:
        assert isinstance(answer, m.Registered)
        assert answer.role == has.value
    else:
        assert isinstance(answer, m.Refused)
        assert answer.code == "authentication"


def test_a_key_of_a_viewer_opens_no_session_of_others() -> None:
    """Not by its token, on any stream, nor by asking for it, whatever role it claims."""
    listening = Listening()
    owner, thief = listening.peer(ADMIN, "owner"), listening.peer(VIEW, "thief")
    stolen = owner.register(ADMIN, owner.user or "")
    thief.register(VIEW, thief.user or "")
    for stream in (m.Stream.TASK, MULTIENGINE, m.Stream.IOPUB):
        assert thief.say(stream, m.Hello(stolen.token)) == [m.SayHello()]
    for role in m.CLIENT_ROLES:
        for key in (thief.user or "", owner.user or ""):
            for fields in ({"token": stolen.token}, {"session": stolen.session, "attach": True, "take_over": True}):
                answer = thief.say(HUB, registration(role, key, **fields))[-1]
                if isinstance(answer, m.Registered):  # its own session, once more
                    assert (answer.session, answer.role) != (stolen.session, ADMIN.value)
                else:
                    assert isinstance(answer, m.Refused)
    assert owner.call("query", "status").code == ""


@pytest.mark.parametrize("word", ["client", "admin"])
def test_clients_from_before_there_were_roles(word: str) -> None:
    """Who registers as ``client`` is what all clients were: an admin."""
    assert m.Role(word) is ADMIN
    exchange = Exchange()
    line = Line(exchange, "old")
    said = registration(ADMIN, "old")
    answer = line.say(HUB, replace(said, role=word))[-1]
    assert isinstance(answer, m.Registered)
    assert answer.role == "admin"
    assert line.call("query", "revoke", key="nobody").value is False


@pytest.mark.parametrize("one", m.Role)
@pytest.mark.parametrize("other", m.Role)
def test_the_order_of_roles(one: m.Role, other: m.Role) -> None:
    """Among clients the higher allows what the lower needs; all others allow what is their own."""
    order = [VIEW, SUBMIT, ADMIN]
    if one in order and other in order:
        assert one.allows(other) is (order.index(one) >= order.index(other))
    else:
        assert one.allows(other) is (one is other)
