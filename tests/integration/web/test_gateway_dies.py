"""The gateway and its hub: killed, started again, ended together; and tokens that are revoked meanwhile."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import ssl

import psutil
import pytest

from ctrlhub import Client, Cluster, GatewayError
from ctrlhub.cli.exits import Exit
from ctrlhub.cluster.errors import StartFailed
from ctrlhub.controller.advertising import outward_address
from ctrlhub.controller.http_config import is_loopback
from ctrlhub.gateway.access.roles import Role
from ctrlhub.wire.closing import REVOKED
from ctrlhub.wire.places import Profile
from tests.support.gateways import Site, close_code, handshake, process_of, read_answer, site_of
from tests.support.processes import Command, is_alive, until


def site(command: Command) -> Site:
    """Return the gateway of the command's cluster, which serves."""
    until(lambda: (command.status()["hub"]["http"] or {}).get("state") == "serving", "the gateway serves")
    return site_of(command.status(), Profile.named(state=command.state))


def role_of(site: Site, secret: str) -> str | int:
    """Return the role that a token has, or the status of the refusal."""
    answer = site.ask("GET", "/api/v1/session", {"Authorization": f"Bearer {secret}"}, role=None)
    return answer.json["role"] if answer.status == 200 else answer.status


def is_served(site: Site) -> bool:
    """Say whether anybody answers there."""
    try:
        return site.ask("GET", "/healthz", role=None).status == 200
    except ConnectionError:
        return False


def test_a_gateway_that_is_killed_is_there_again(command: Command) -> None:
    """At the same place, with the same tokens and logins; the hub's status counts it, and says why."""
    command.start("-n", "0", "--http", "auto")
    before = site(command)
    secret, pid = before.secret(Role.VIEW), process_of(before.profile)
    cookie = before.ask("GET", f"/?token={secret}", role=None)["Set-Cookie"].partition(";")[0]

    os.kill(pid, signal.SIGKILL)
    until(lambda: process_of(before.profile) != pid and is_served(before), "another serves there")

    after = site(command)
    assert after.url == before.url
    assert role_of(after, secret) == "view"
    assert after.ask("GET", "/api/v1/session", {"Cookie": cookie}, role=None).json["role"] == "view"
    http = command.status()["hub"]["http"]
    assert (http["deaths"], http["trouble"]) == (1, "")
    assert command.run("stop").returncode == Exit.OK


def test_a_hub_that_is_killed_takes_its_gateway_along_and_the_next_brings_one(command: Command) -> None:
    """Nothing is orphaned, and who looks at a page finds it again where it was."""
    command.start("-n", "0")
    with Client(command_profile(command).connection_client) as client:
        client.gateway()
    before = site(command)
    secret, pid, hub = before.secret(), process_of(before.profile), command.status()["hub"]["pid"]

    os.kill(hub, signal.SIGKILL)
    until(lambda: not is_alive(pid), "the gateway has ended with its hub")
    until(lambda: process_of(before.profile) not in (0, pid) and is_served(before), "another hub has another one")

    assert site(command).url == before.url
    assert role_of(before, secret) == "admin"
    assert command.run("stop").returncode == Exit.OK
    assert not before.profile.gateway.exists()


def command_profile(command: Command) -> Profile:
    """Return the profile of a command's cluster."""
    return Profile.named(state=command.state)


def test_a_gateway_that_hangs_ends_with_its_hub(command: Command) -> None:
    """A hub that ends does not wait for it for ever, and leaves nothing."""
    command.start("-n", "0", "--http", "auto")
    pid = process_of(site(command).profile)
    os.kill(pid, signal.SIGSTOP)

    assert command.run("stop").returncode == Exit.OK
    assert not is_alive(pid)


def test_one_that_cannot_start_says_why(command: Command) -> None:
    """Its port is taken: to whoever starts the cluster with it, and nothing of that is left."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = command.run("start", "-n", "0", "--http", str(port), "--daemonize")
    assert result.returncode == Exit.START_FAILED
    assert "the gateway cannot start" in result.stderr
    assert f"Address already in use: '127.0.0.1 port {port}'" in result.stderr


def test_a_cluster_of_a_program_that_cannot_serve_does_not_start(command: Command) -> None:
    """As `ctrl-hub start`; nothing of it is left."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        cluster = Cluster(n=0, profile="default", state_dir=command.state, http=str(taken.getsockname()[1]))
        with pytest.raises(StartFailed, match=r"the gateway cannot start: .*Address already in use"):
            cluster.start()
    assert command.run("status").returncode == Exit.NOT_RUNNING


def test_one_that_cannot_start_is_told_by_status_and_doctor(command: Command) -> None:
    """Where it is wanted later; it is tried again for who asks again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        hub = command.launch("hub", "--http", str(port))
        until(lambda: command.run("status").returncode == Exit.OK, "the hub runs")
        until(lambda: command.status()["hub"]["http"]["state"] == "failed", "its gateway does not")
        assert any("Address already in use" in each for each in command.status()["hub"]["trouble"])
        assert "Address already in use" in command.run("doctor").stdout
        with Client(command_profile(command).connection_client) as client:
            with pytest.raises(GatewayError, match="Address already in use"):
                client.gateway()
            taken.close()
            assert client.gateway() == f"http://127.0.0.1:{port}"
    assert command.run("stop").returncode == Exit.OK
    hub.wait(60)


def test_none_is_begun_where_there_is_to_be_none(command: Command) -> None:
    """Whoever asks is told; without a wish a hub has no child and no port."""
    command.start("-n", "0", "--http", "off")
    status = command.status()
    with Client(command_profile(command).connection_client) as client, pytest.raises(GatewayError, match="--http off"):
        client.gateway()
    assert status["hub"]["http"] is None
    assert psutil.Process(status["hub"]["pid"]).children() == []
    assert command.run("stop").returncode == Exit.OK


def test_a_token_that_is_revoked_is_none_at_once(command: Command) -> None:
    """Neither by header nor by cookie, and what was opened with it is closed, with the reason."""
    command.start("-n", "0", "--http", "auto")
    here = site(command)
    made = command.run("token", "create", "--name", "guest", "--role", "view", "--expires", "1h")
    secret = made.stdout.strip()
    assert role_of(here, secret) == "view"
    cookie = here.ask("GET", f"/?token={secret}", role=None)["Set-Cookie"].partition(";")[0]
    bearer = {"Authorization": f"Bearer {secret}"}
    with here.connected() as socket_of, here.connected() as stream:
        opening = handshake(here).replace(here.secret().encode(), secret.encode())
        socket_of.sendall(opening)
        assert read_answer(socket_of).status == 101
        stream.sendall(here.head("GET", "/api/v1/events", bearer, None))
        assert read_answer(stream).status == 200

        assert command.run("token", "revoke", "guest").returncode == Exit.OK

        assert role_of(here, secret) == 401
        assert here.ask("GET", "/api/v1/session", {"Cookie": cookie}, role=None).status == 401
        assert close_code(socket_of) == REVOKED
        told = b""
        while not told.endswith(b"0\r\n\r\n"):  # the end of what comes in pieces
            piece = stream.recv(65536)
            assert piece, told
            told += piece
        assert b"revoked" in told
    assert secret not in here.log
    assert command.run("stop").returncode == Exit.OK


def test_a_token_expires_by_itself(command: Command) -> None:
    """Also for what was opened with it."""
    command.start("-n", "0", "--http", "auto")
    here = site(command)
    secret = command.run("token", "create", "--name", "brief", "--role", "submit", "--expires", "2s").stdout.strip()
    with here.connected() as opened:
        opened.sendall(handshake(here).replace(here.secret().encode(), secret.encode()))
        assert read_answer(opened).status == 101
        assert close_code(opened) == REVOKED
    assert role_of(here, secret) == 401
    assert command.run("stop").returncode == Exit.OK


def test_the_tokens_that_are_shown_are_replaced(command: Command) -> None:
    """`ctrl-hub dashboard` shows another one then; a list shows none."""
    command.start("-n", "0", "--http", "auto")
    here = site(command)
    former = here.secret(Role.SUBMIT)
    assert "another has taken its place" in command.run("token", "revoke", "submit").stdout
    url = command.run("dashboard", "--url", "--role", "submit").stdout.strip()
    assert url == f"{here.url}/?token={here.secret(Role.SUBMIT)}"
    assert (role_of(here, former), role_of(here, here.secret(Role.SUBMIT))) == (401, "submit")
    listed = command.run("token", "list").stdout + command.run("token", "list", "--json").stdout
    assert not any(here.secret(role) in listed for role in (Role.ADMIN, Role.SUBMIT, Role.VIEW))
    assert command.run("stop").returncode == Exit.OK


def test_beyond_this_host_there_is_tls(command: Command) -> None:
    """With a certificate of its own, whose fingerprint is printed; plain HTTP is not spoken there."""
    said = command.run("start", "--daemonize", "-n", "0", "--http", "0.0.0.0:0", "--http-hosts", "127.0.0.1").stdout
    here = site(command)
    port = here.address[1]
    own = outward_address()
    assert (f"from elsewhere: https://{own}:{port}\n" in said) is not is_loopback(own)
    assert here.url.startswith("https://")
    assert here.profile.gateway_certificate.stat().st_mode & 0o777 == 0o600
    local = Site(f"https://127.0.0.1:{port}", here.profile)
    answer = local.ask("GET", "/healthz", role=None)
    assert answer.status == 200
    assert "Strict-Transport-Security" not in answer.head
    cookie = local.ask("GET", f"/?token={here.secret()}", role=None)["Set-Cookie"]
    assert "Secure" in cookie
    plain = Site(f"http://127.0.0.1:{port}", here.profile)
    with contextlib.suppress(ConnectionResetError):  # which is an answer as well
        assert plain.send(plain.head("GET", "/healthz", role=None)).status == 0
    told = command.run("dashboard", "--no-browser").stderr
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest().upper()
    assert ":".join(digest[n : n + 2] for n in range(0, 64, 2)) in told
    assert command.run("stop").returncode == Exit.OK


@pytest.mark.usefixtures("state")
def test_a_cluster_in_a_program_has_one() -> None:
    """It ends with the cluster."""
    with Cluster(n=0) as client:
        url = client.gateway()
        pid = client.status()["hub"]["http"]["pid"]
        assert url.startswith("http://127.0.0.1:")
        assert is_alive(pid)
    assert not is_alive(pid)
