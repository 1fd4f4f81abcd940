"""What strangers send to a gateway by real sockets: refused, or let go, and everybody else is served on."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

import pytest

from ctrlhub import Cluster
from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.handlers import MOST_FORM, SAID_BURST
from ctrlhub.gateway.route import Route
from ctrlhub.gateway.routes import ROUTES
from ctrlhub.gateway.server import MOST_HEAD
from ctrlhub.wire.closing import FLOOD, MALFORMED
from ctrlhub.wire.places import Profile, state_dir
from tests.support.front_door import path_to
from tests.support.gateways import (
    Answer,
    Site,
    close_code,
    descriptors_of,
    frame,
    handshake,
    memory_of,
    process_of,
    read_answer,
)
from tests.support.processes import until
from tests.support.state import own_state

PATIENCE = 1.0
"""How long (seconds) this gateway waits for heads and bodies."""

CUT_OFF = 0
"""In place of a code: the connection ended without one."""

MOST_BODY, MOST_UPLOAD, CONNECTIONS = 64 * 1024, 4 * 1024 * 1024, 40


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway with small limits."""
    http = {
        "patience": PATIENCE, "max_body": MOST_BODY, "max_upload": MOST_UPLOAD, "connections": CONNECTIONS,
        "rate": 1e6,
    }  # fmt: skip
    with own_state(tmp_path_factory.mktemp("state")), Cluster(n=1, http=http) as client:
        site = Site(client.gateway(), Profile.named(client.profile, state_dir() / "clusters"))
        for role in (Role.ADMIN, Role.SUBMIT, Role.VIEW):  # the gateway connects to the hub with each of them
            site.ask("GET", "/api/v1/engines", role=role)
            site.ask("PUT", "/api/v1/engines/0/namespace/warm", {"Content-Type": "application/json"}, b"1", role)
        yield site


@pytest.fixture(autouse=True)
def serves_on(site: Site) -> Iterator[None]:
    """Whatever was sent: the same process serves on, has nothing left of it, and has logged nothing that it should not."""
    pid = process_of(site.profile)
    before = descriptors_of(pid)
    yield
    assert site.ask("GET", "/api/v1/session", {"Connection": "close"}).json["role"] == "admin"
    assert process_of(site.profile) == pid
    until(lambda: descriptors_of(pid) <= before + 2, "connections are closed")
    assert "Traceback" not in site.log
    assert not any(site.secret(role) in site.log for role in (Role.ADMIN, Role.SUBMIT, Role.VIEW))


def refused(answer: Answer, *statuses: int) -> None:
    """See that it is refused, and says nothing of the inside."""
    assert answer.status in statuses, answer
    for secret in (b"Traceback", b"site-packages", b"ctrlhub/", b".py"):
        assert secret not in answer.body


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 60 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1e9\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: \xb2\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3, 4\r\n\r\nabcd",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n\tb\x00c\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        random.Random(7).randbytes(2048) + b"\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_request(site: Site, data: bytes) -> None:
    """It is refused, or the connection ends: there is no second reading of it."""
    refused(site.send(data), 0, 302, 400, 401, 421, 501)


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd", "/static/../../etc/passwd", "/%00", "//etc/passwd",
     "/a%5c..%5cb", "/" + "a" * 9000, "/%ff%fe", "http://evil.example/", "/./healthz", "/healthz/", "/HEALTHZ", "/healthz%20"],
)  # fmt: skip
def test_tricks_with_paths(site: Site, path: str) -> None:
    """They lead nowhere."""
    refused(site.ask("GET", path), 400, 404, 414)


def test_a_head_without_end(site: Site) -> None:
    """It is not gathered."""
    with site.connected() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            connection.sendall((b"X-More: " + b"a" * 1000 + b"\r\n") * 10_000)


def test_a_head_that_is_too_long(site: Site) -> None:
    """It is told so, in one line or in many; one of usual length is let in."""
    for headers in ({"X-Long": "a" * MOST_HEAD}, {f"X-{number}": "a" * 1000 for number in range(MOST_HEAD // 900)}):
        answer = site.ask("GET", "/api/v1/session", headers)
        refused(answer, 431)
        assert answer.json["error"]["code"] == "head_too_large"
    assert site.ask("GET", "/api/v1/session", {"X-Long": "a" * (MOST_HEAD - 1000)}).status == 200


@pytest.mark.parametrize("size", [MOST_BODY + 1, 8 * 1024 * 1024])
def test_a_body_that_is_too_large(site: Site, size: int) -> None:
    """413, which also arrives where all of it is sent before anything is read."""
    answer = site.ask("POST", "/api/v1/tasks", {"Content-Type": "application/json"}, b"0" * size)
    refused(answer, 413)
    assert answer.json["error"]["code"] == "too_large"


def test_a_body_of_pieces_that_becomes_too_large(site: Site) -> None:
    """It is counted as it comes; what is announced as nothing at all is none."""
    head = site.head("POST", "/api/v1/tasks", {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
    piece = b"1000\r\n" + b"0" * 0x1000 + b"\r\n"
    refused(site.send(head + piece * (MOST_BODY // 0x1000 + 1)), 413)
    head = site.head("GET", "/healthz", {"Transfer-Encoding": "chunked"}, None)
    refused(site.send(head + piece), 413)


def test_who_may_not_need_not_send(site: Site) -> None:
    """Without a good token not a byte of a body is taken: the answer is there before it."""
    for role, headers, status in ((None, {}, 401), (Role.VIEW, {}, 403), (Role.ADMIN, {"Origin": "https://evil.example"}, 403)):
        head = site.head("POST", "/api/v1/tasks", {"Content-Length": "60000", "Content-Type": "application/json", **headers}, role)
        with site.connected() as connection:
            connection.sendall(head)
            refused(read_answer(connection), status)
        refused(site.send(head + b"0" * 60000), status)


@pytest.mark.parametrize("length", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
def test_nobody_is_waited_for_without_a_token(site: Site, length: str) -> None:
    """On no route, with no method: the answer is there before a body, and the connection ends."""
    name, _, value = length.partition(": ")
    for route in (*ROUTES, Route("/nowhere", "", {"GET": None, "POST": None}, "")):
        for method in {*route.methods, "GET", "POST", "OPTIONS", "BREW"}:
            with site.connected() as connection:
                connection.settimeout(PATIENCE / 2)
                connection.sendall(site.head(method, path_to(route), {name: value}, None))
                if route.path == "/login" and method == "POST" and name == "Transfer-Encoding":
                    continue  # a form of 4 KiB is taken there
                refused(read_answer(connection), 401, 404, 405, 413)
                assert connection.recv(1) == b"", (method, route.path)


@pytest.mark.parametrize("path", [route.path for route in ROUTES if route.is_socket])
@pytest.mark.parametrize("role", [None, Role.VIEW])
def test_a_body_where_websockets_are_opened(site: Site, path: str, role: Role | None) -> None:
    """None is taken, with a token neither: it is let go as it comes, and does not gather."""
    length = 48 * 1024 * 1024
    before = memory_of(process_of(site.profile))
    for method, status in (("GET", 413), ("POST", 405), ("OPTIONS", 413)):
        with site.connected() as connection:
            connection.sendall(site.head(method, path, {"Content-Length": str(length)}, role))
            with suppress(ConnectionError):
                connection.sendall(bytes(length - 1))
            assert memory_of(process_of(site.profile)) - before < length // 2
            with suppress(ConnectionError):
                refused(read_answer(connection), 401 if role is None and method == "GET" else status)
        head = site.head(method, path, {"Transfer-Encoding": "chunked"}, role)
        refused(site.send(head + b"1000\r\n" + bytes(0x1000) + b"\r\n"), 401 if role is None and method == "GET" else status)


def test_forms_that_log_in(site: Site) -> None:
    """A form is small, and has few fields."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    refused(site.ask("POST", "/login", form, b"token=" + b"a" * MOST_FORM, None), 413)
    refused(site.ask("POST", "/login", form, b"&" * (MOST_FORM - 1), None), 400)
    assert site.ask("POST", "/login", form, b"token=" + site.secret().encode(), None).status == 303


@pytest.mark.parametrize(
    "body",
    [b"[" * 50_000, b'{"a":' * 9_000, b"[" + b"1," * 20_000 + b"1]" * 1, b"9" * 60_000, b"{", b"", b"\xff\xfe", b"NaN", b'"\\ud800'],
)  # fmt: skip
def test_json_bombs_and_what_is_no_json(site: Site, body: bytes) -> None:
    """They are refused before they are unfolded."""
    answer = site.ask("POST", "/api/v1/tasks", {"Content-Type": "application/json", "Content-Length": str(len(body))}, body)
    refused(answer, 400)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/v1/tasks"), ("PUT", "/api/v1/engines/all/namespace/a"), ("POST", "/login")]
)
def test_a_body_that_is_packed(site: Site, method: str, path: str) -> None:
    """It is neither unpacked nor taken for what it is not: who sends it is told so before it is read."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip", "Content-Length": "1000"}
    answer = site.ask(method, path, headers, b"")
    refused(answer, 415)
    assert (answer["Accept-Encoding"], answer["Connection"]) == ("identity", "close")


def test_a_head_that_does_not_come(site: Site) -> None:
    """Slow-loris: after its time the connection ends, and others were served meanwhile."""
    with site.connected() as slow, site.connected() as silent:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        assert site.ask("GET", "/healthz", role=None).status == 200
        assert read_answer(slow).status in (0, 408)
        assert read_answer(silent).status in (0, 408)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/v1/tasks"), ("PUT", "/api/v1/engines/0/namespace/slow"), ("POST", "/login")]
)
def test_a_body_that_does_not_come(site: Site, method: str, path: str) -> None:
    """After its time it is refused, and the connection ends."""
    head = site.head(method, path, {"Content-Type": "application/json", "Content-Length": "1000"})
    with site.connected() as slow:
        slow.sendall(head + b'{"a"')
        answer = read_answer(slow)
        refused(answer, 408)
        assert answer["Connection"] == "close"
        assert slow.recv(1) == b""


def test_connections_without_end(site: Site) -> None:
    """There are so many and no more; who goes makes room, and so do those who say nothing."""
    idle: list[socket.socket] = []
    before = descriptors_of(process_of(site.profile))
    try:
        for _ in range(3 * CONNECTIONS):
            idle.append(socket.create_connection(site.address, 30))
        until(lambda: descriptors_of(process_of(site.profile)) < 3 * CONNECTIONS, "most are closed at once")
        until(lambda: _is_served(site), "the others are closed in time")
    finally:
        for each in idle:
            each.close()
    # Those that had not been let in yet come before whoever asks now, and their end is heard of later.
    until(lambda: _is_served(site), "there is room for others")
    until(lambda: descriptors_of(process_of(site.profile)) <= before + 2, "all have gone")


def _is_served(site: Site) -> bool:
    try:
        return site.ask("GET", "/healthz", {"Connection": "close"}, role=None).status == 200
    except ConnectionError:
        return False


@pytest.mark.parametrize(
    ("said", "codes"),
    [
        pytest.param(frame(1, b'{"follow": []}') * int(SAID_BURST + 50), {FLOOD}, id="messages"),
        pytest.param(frame(9, b"ping") * int(SAID_BURST + 50), {FLOOD}, id="pings"),
        # What is no WebSocket's is cut off, maybe before the reason was read.
        pytest.param(frame(1, b"x" * 200_000), {CUT_OFF, 1009}, id="large"),
        pytest.param(frame(1, b"x" * 60_000, fin=False) + frame(0, b"x" * 60_000, fin=False) * 4, {CUT_OFF, 1009}, id="parts"),
        pytest.param(bytes([0x81, 0xFF]) + struct.pack("!Q", 1 << 62), {CUT_OFF, 1009}, id="announced"),
        pytest.param(frame(1, b"\xff\xfe"), {CUT_OFF}, id="no text"),
        pytest.param(frame(7, b""), {CUT_OFF}, id="no kind"),
        pytest.param(b"\xff" + random.Random(7).randbytes(4095), {CUT_OFF}, id="noise"),
    ],
)
def test_floods_and_nonsense_on_a_websocket(site: Site, said: bytes, codes: set[int]) -> None:
    """It is closed, with the reason where there is one."""
    with site.connected() as connection:
        connection.sendall(handshake(site))
        assert read_answer(connection).status == 101
        try:
            connection.sendall(said)
            code = close_code(connection)
        except (BrokenPipeError, ConnectionResetError):  # before it had said all
            code = CUT_OFF
        assert code in codes
    assert _is_served(site)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (frame(1, b'{"logs":true}') + frame(1, b'{"logs":false}'), FLOOD),
        (frame(9, b"ping"), FLOOD),
        (frame(1, b"[" * 60), MALFORMED),
    ],
)
def test_what_is_said_to_the_dashboard(site: Site, said: bytes, code: int) -> None:
    """It has a budget, and is nothing but a wish."""
    with site.connected() as connection:
        connection.sendall(handshake(site, "/dashboard/feed"))
        assert read_answer(connection).status == 101
        with suppress(ConnectionError):
            connection.sendall(said * int(SAID_BURST + 50))
        assert close_code(connection) == code


def test_what_asks_for_no_websocket(site: Site) -> None:
    """It is told so as anything else is that is wrong."""
    for path, headers in (("/dashboard/feed", {}), ("/api/v1/connect", {"Sec-WebSocket-Protocol": "ctrlhub.v1.json"})):
        answer = site.ask("GET", path, headers)
        refused(answer, 400)
        assert answer.json["error"]["code"] == "no_websocket"


@pytest.mark.parametrize("path", ["/api/v1/events", "/api/v1/connect"])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_a_websocket_of_another_site(site: Site, path: str, origin: str) -> None:
    """It is refused, with whatever token."""
    refused(site.send(handshake(site, path, Origin=origin, Sec_WebSocket_Protocol="ctrlhub.v1.json")), 403)


def test_scripts_are_text(site: Site) -> None:
    """In an error, JSON says them as they are, as JSON that no browser takes for a page."""
    name = "%3Cscript%3Ealert(1)%3C/script%3E"
    for answer in (site.ask("GET", f"/{name}"), site.ask("GET", f"/api/v1/tasks/{name}"), site.ask("GET", f"/login?next={name}", role=None)):
        assert b"<script>alert" not in answer.body
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Content-Type"].startswith("application/json") or "script-src 'self'" in answer["Content-Security-Policy"]


def test_a_token_in_a_url_is_not_logged(site: Site) -> None:
    """Neither a good one nor a wrong one, nor what a request has in its head."""
    site.ask("GET", f"/?token={site.secret()}", role=None)
    site.ask("GET", "/?token=wrong-but-somebodys", role=None)
    site.ask("GET", "/api/v1/session", {"Authorization": "Bearer wrong-but-somebodys", "Cookie": "a=wrong-but-somebodys"}, role=None)
    assert "wrong-but-somebodys" not in site.log
    assert site.secret() not in site.log


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/v1/session", 401), ("GET", "/", 302), ("GET", "/nowhere", 404), ("DELETE", "/healthz", 405), ("GET", "/../x", 400)],
)
def test_who_is_refused_may_ask_again(site: Site, method: str, path: str, status: int) -> None:
    """On the same connection, which is ended only where it would have to carry what was not taken."""
    with site.connected() as connection:
        for _ in range(3):
            connection.sendall(site.head(method, path, role=None))
            assert read_answer(connection).status == status
        connection.sendall(site.head("GET", "/healthz", role=None))
        assert read_answer(connection).status == 200
