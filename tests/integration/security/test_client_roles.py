"""Roles of clients, with real clients: each by its connection file, over sockets of the user's own and over TCP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ctrlhub import Client, PermissionDenied
from ctrlhub.wire import messages as m
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.messages import CLIENT_ROLES, Role, Stream
from tests.support.intruder import Member
from tests.support.target import BULK, Target

pytestmark = pytest.mark.usefixtures("undisturbed")

WAYS = ("ipc", "tcp")


@pytest.fixture
def client(target: Target, tmp_path: Path) -> Iterator[Callable[[Role, str], Client]]:
    """Clients by their connection files, which are closed at the end."""
    made: list[Client] = []

    def make(role: Role, way: str) -> Client:
        path = target.profile.connection(role)
        if way == "tcp":  # as on another host, which has been given this file and no other
            info = replace(ConnectionInfo.load(path), ipc={}, boot_id="another")
            path = tmp_path / path.name
            info.write(path)
        made.append(Client(path))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_the_files_of_all_roles_are_private_and_name_it(target: Target) -> None:
    """One for each role, each with a key of its own, readable by its owner alone."""
    files = {role: target.profile.connection(role) for role in (*CLIENT_ROLES, Role.ENGINE)}
    assert {path.name for path in files.values()} == {
        "connection-client.json", "connection-submit.json", "connection-view.json", "connection-engine.json",
    }  # fmt: skip
    keys = set()
    for role, path in files.items():
        info = ConnectionInfo.load(path)
        assert info.role is role
        assert info.enrolment is not None
        keys.add(info.enrolment.public)
        assert path.stat().st_mode & 0o777 == 0o600
    assert len(keys) == len(files)


@pytest.mark.parametrize("way", WAYS)
def test_a_viewer_reads_and_does_nothing(
    target: Target, client: Callable[[Role, str], Client], way: str
) -> None:
    """It sees engines, queues, records and results of others; whatever would do something is denied."""
    done = target.owner[0].apply_async(pow, 2, 10)
    assert done.get() == 1024
    viewer = client(Role.VIEW, way)
    assert viewer.role == "view"
    assert viewer.ids == [0, 1]
    assert set(viewer.queue_status()) == {0, 1, "unassigned"}
    (number,) = done.msg_ids
    assert [each["status"] for each in viewer.db_query({"msg_id": number})] == ["ok"]
    assert viewer.get_result(number).get() == 1024
    large = bytes(4_000_000)  # would go in parts, of which each would be refused
    for denied in (
        lambda: viewer[0].apply_async(pow, 2, 2),
        lambda: viewer[0].execute("x = 1"),
        lambda: viewer[:].push({"x": large}),
        lambda: viewer.load_balanced_view().map_async(pow, range(10), range(10)),
        lambda: viewer.on_engine_start("x = 1"),
        lambda: viewer.interface("control").interrupt(targets=[0]),
        lambda: viewer.interface("history").stop(requests=[]),
        lambda: viewer.purge_hub_results("all"),
        lambda: viewer.shutdown(),
        lambda: viewer.interface("control").restart(targets=[0]),
        lambda: viewer.interface("query").shutdown_hub(),
        lambda: viewer.interface("query").revoke(key=target.engine_key()),
        lambda: viewer.interface("census").sessions(),
    ):
        with pytest.raises(PermissionDenied, match=r"this client has role view, and .* needs (submit|admin)"):
            denied()
    assert viewer.ids == [0, 1]


@pytest.mark.parametrize("way", WAYS)
def test_a_submitter_works_and_ends_nobody(client: Callable[[Role, str], Client], way: str) -> None:
    """Tasks, commands, live results, large arguments, cancelling; but no engine, hub or other client goes."""
    submitter = client(Role.SUBMIT, way)
    assert submitter.role == "submit"
    view = submitter.load_balanced_view()
    assert view.map_sync(pow, range(20), [2] * 20) == [n * n for n in range(20)]
    assert submitter[0].apply_sync(len, bytes(4_000_000)) == 4_000_000
    submitter.purge_everything()  # what is its own
    slow = submitter[1].apply_async(_sleeps)
    slow.abort()
    for denied in (
        lambda: submitter.shutdown(),
        lambda: submitter.interface("control").restart(targets=[0]),
        lambda: submitter.interface("control").signal(targets=[0], name="SIGTERM"),
        lambda: submitter.interface("control").start_engines(count=1),
        lambda: submitter.interface("query").shutdown_hub(),
        lambda: submitter.interface("history").purge(rest=True),
    ):
        with pytest.raises(PermissionDenied, match=r"this client has role submit, and .* needs admin"):
            denied()
    assert submitter[0].apply_sync(pow, 3, 2) == 9


def _sleeps() -> None:
    import time

    time.sleep(60)


def test_a_role_by_its_name(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """`role` chooses among the files of a profile; beside a file it is a contradiction, and others are named."""
    monkeypatch.setenv("CTRLHUB_STATE_DIR", str(target.profile.directory.parents[1]))
    for role in CLIENT_ROLES:
        with Client(profile=target.profile.name, role=role.value) as client:
            assert client.role == role.value
    with pytest.raises(ValueError, match="'admin', 'submit', 'view'"):
        Client(profile=target.profile.name, role="engine")
    with pytest.raises(TypeError, match="leave role out"):
        Client(target.profile.connection_client, role="view")


@pytest.mark.parametrize("has", CLIENT_ROLES)
@pytest.mark.parametrize("says", [*CLIENT_ROLES, Role.ENGINE, Role.NANNY])
def test_over_tcp_a_key_is_good_for_its_role(target: Target, has: Role, says: Role) -> None:
    """Whatever a peer says that it is, the file that let it in says it, too."""
    member = Member.enrolled(target.info(has))
    answer = member.on(Stream.HUB).ask(member.registration(says))
    if has is says:
        assert isinstance(answer, m.Registered)
        assert answer.role == has.value
        member.session = answer
    else:
        assert isinstance(answer, m.Refused)
        assert answer.code == "authentication"
    member.leave()


def test_a_peer_with_a_viewers_key_is_held_by_the_hub(
    target: Target, members: Callable[[Role], Member]
) -> None:
    """A client that does not hold itself back: each message is refused, with the requests that it named."""
    viewer = members(Role.VIEW)
    assert viewer.session is not None
    number = viewer.session.session << 40 | 1
    for stream, message in (
        (Stream.TASK, m.SubmitTasks(((b"f" * 32, 0, 0, ""),), ((number, 0, b""),), ((b"f" * 32, b"code"),))),
        (Stream.MULTIENGINE, m.Command(number, (0,), "execute", (b"",))),
        (Stream.MULTIENGINE, m.StartHook(number, "name", "push", b"")),
    ):
        answer = viewer.on(stream).ask(message)
        assert isinstance(answer, m.Refused)
        assert answer.code == "permission_denied"
        assert tuple(answer.requests[0]) == (number, number)
    for stream in BULK:
        for message in (m.Part(1, 0, (9, 9), frames=(b"x",)), m.Functions(())):
            answer = viewer.on(stream).ask(message)
            assert isinstance(answer, m.Refused)
            assert answer.code == "permission_denied"
    # The session of another, by its token on each stream, and by asking for it.
    victim = members(Role.ADMIN).session
    assert victim is not None
    for stream in (*BULK, Stream.IOPUB):
        with viewer.another(stream) as caller:
            assert isinstance(caller.ask(m.Hello(victim.token)), m.SayHello)
    stranger = Member.enrolled(target.info(Role.VIEW))
    for over in (False, True):
        said = stranger.registration(Role.VIEW, session=victim.session, attach=True, take_over=over)
        answer = stranger.on(Stream.HUB).ask(said)
        assert isinstance(answer, m.Refused)
    stranger.leave()
