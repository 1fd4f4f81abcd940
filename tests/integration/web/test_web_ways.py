"""Ways to a gateway: TLS, proxies, paths; and what stands there in its place."""

from __future__ import annotations

import asyncio
import base64
import datetime
import ipaddress
import logging
import socket
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ctrlhub import AuthenticationError, Client, HubNotFound, HubUnavailable
from ctrlhub.gateway.token_file import TokenFile
from ctrlhub.wire.places import Profile
from tests.support.processes import Command
from tests.support.state import own_state

NAME = "hub.example"
PREFIX = "/user/me/proxy/8787"
WAIT = 60.0
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Gateway:
    """A gateway with a certificate of its own, behind a prefix."""

    def __init__(self, certificate: Path, port: int, token: str) -> None:
        self.certificate, self.port, self.token = certificate, port, token
        self.url = f"https://127.0.0.1:{port}{PREFIX}/"

    def client(self, url: str = "", **options: object) -> Client:
        """A client that trusts it."""
        return Client(url or self.url, **{"token": self.token, "ca_file": self.certificate, **options})  # type: ignore[arg-type]


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """Make a certificate and its key, for loopback and `NAME`."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a hub")])
    names = [x509.DNSName(NAME), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1)).add_extension(x509.SubjectAlternativeName(names), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True).sign(key, hashes.SHA256())
    )  # fmt: skip
    certificate, secret = directory / "certificate.pem", directory / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    secret.chmod(0o600)
    return certificate, secret


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A hub with one engine, and its gateway."""
    certificate, key = make_certificate(tmp_path_factory.mktemp("tls"))
    with own_state(tmp_path_factory.mktemp("state")) as state:
        command = Command(state)
        try:
            command.start(
                "-n", "1", "--http", "auto", "--http-certificate", str(certificate), "--http-key", str(key),
                "--http-prefix", PREFIX, "--http-hosts", NAME,
            )  # fmt: skip
            with Client(timeout=WAIT) as local:
                url = local.gateway()
            book = TokenFile(Profile.named("default").tokens).now()
            token = next(each.secret for each in book.tokens if each.name == "admin")
            assert url.startswith("https://")
            port = int(url.removeprefix("https://").split("/")[0].rpartition(":")[2])
            yield Gateway(certificate, port, token)
            assert command.run("stop").returncode == 0
        finally:
            command.close()


@contextmanager
def serving(serve: Serve) -> Iterator[int]:
    """Serve each connection in a thread, on a port of loopback, which is yielded."""
    begun, ports, loops = threading.Event(), [], []
    over: list[asyncio.Event] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # whoever came has gone
        finally:
            writer.close()

    async def run() -> None:
        over.append(asyncio.Event())
        loops.append(asyncio.get_running_loop())
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            ports.append(server.sockets[0].getsockname()[1])
            begun.set()
            await over[0].wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="test-server", daemon=True)
    thread.start()
    assert begun.wait(WAIT)
    try:
        yield ports[0]
    finally:
        loops[0].call_soon_threadsafe(over[0].set)
        thread.join(WAIT)
        assert not thread.is_alive()


def answering(answer: str, heads: list[str]) -> Serve:
    """Answer each request with the same, and keep what was asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(1)
        if first == b"G":  # else it is no HTTP, and has no such end
            heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(answer.encode())
        await writer.drain()

    return serve


def passing(port: int, heads: list[str], status: str = "200 Connection established") -> Serve:
    """A proxy that knows CONNECT, and leads to a port of loopback whatever is asked for."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(f"HTTP/1.1 {status}\r\n\r\n".encode())
        if not status.startswith("200"):
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    return serve


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Move bytes one way until they end."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


# ---------------------------------------------------------------- TLS


def test_a_certificate_that_is_trusted(gateway: Gateway) -> None:
    """Everything works over TLS, behind a prefix; large data as well."""
    array = np.arange(1_500_000.0)
    with gateway.client() as client:
        assert client.load_balanced_view().map_sync(pow, range(1000), [2] * 1000) == [n * n for n in range(1000)]
        client[0].push({"a": array}, block=True)
        assert (client[0].pull("a", block=True) == array).all()


def test_a_certificate_that_is_not(gateway: Gateway) -> None:
    """The client says what to do; no token is sent."""
    with pytest.raises(AuthenticationError, match=r"certificate.*ca_file"):
        Client(gateway.url, token=gateway.token)


def test_a_certificate_of_another_host(gateway: Gateway) -> None:
    """It is for the names that stand in it."""
    with pytest.raises(AuthenticationError, match="certificate"):
        gateway.client(f"https://localhost:{gateway.port}{PREFIX}")


def test_no_file_of_certificates(gateway: Gateway, tmp_path: Path) -> None:
    """One that is missing, or has none in it."""
    (tmp_path / "empty").touch()
    for name in ("missing", "empty"):
        with pytest.raises(AuthenticationError, match="ca_file"):
            gateway.client(ca_file=tmp_path / name)


def test_no_tls_where_it_is_spoken(gateway: Gateway) -> None:
    """And the other way round: each says so."""
    with pytest.raises(HubUnavailable, match="https://"):
        Client(f"http://127.0.0.1:{gateway.port}", token=gateway.token)
    with serving(answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", [])) as port, pytest.raises(
        HubUnavailable, match=r"TLS as we do .*without TLS.* http://"
    ):
        Client(f"https://127.0.0.1:{port}", token=gateway.token)


# ---------------------------------------------------------------- tokens


@pytest.mark.parametrize("token", ["", "wrong-and-secret"])
def test_a_wrong_token(gateway: Gateway, token: str) -> None:
    """The error says what to do, and does not tell the token; nor does its traceback."""
    with pytest.raises(AuthenticationError, match=r"token") as caught:
        gateway.client(token=token)
    assert "wrong-and-secret" not in "".join(traceback.format_exception(caught.value))


def test_a_token_is_not_shown(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    """Neither by the client nor by its link, nor in any log, however much that is told."""
    with caplog.at_level(logging.DEBUG), gateway.client(f"{gateway.url}?token={gateway.token}", token=None) as client:
        assert client[0].apply_sync(int, "7") == 7
        assert gateway.token not in f"{client!r} {client._connection._runner.link._address!r}"
    assert gateway.token not in caplog.text


def test_a_token_of_the_environment(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken where none is given."""
    monkeypatch.setenv("CTRLHUB_HTTP_TOKEN", gateway.token)
    with gateway.client(token=None) as client:
        assert client[0].apply_sync(int, "7") == 7


def test_a_header_that_a_proxy_takes(gateway: Gateway) -> None:
    """The token goes by another one, and both arrive."""
    with gateway.client(headers={"Authorization": "token of-jupyter"}) as client:
        assert client[0].apply_sync(int, "7") == 7


# ---------------------------------------------------------------- proxies


def test_a_proxy(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the environment connects us; its password stays its own, and what goes through is encrypted."""
    heads: list[str] = []
    with serving(passing(gateway.port, heads)) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:pass%20word@127.0.0.1:{port}")
        with gateway.client(f"https://{NAME}{PREFIX}") as client:
            assert client[0].apply_sync(int, "7") == 7
    assert {head.splitlines()[0] for head in heads} == {f"CONNECT {NAME}:443 HTTP/1.1"}
    assert all(base64.b64encode(b"user:pass word").decode() in head for head in heads)
    assert not any(gateway.token in head for head in heads)


def test_what_needs_no_proxy(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY names it: nothing goes to the proxy then."""
    heads: list[str] = []
    with serving(passing(gateway.port, heads)) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with gateway.client() as client:
            assert client[0].apply_sync(int, "7") == 7
        monkeypatch.setenv("NO_PROXY", NAME)
        monkeypatch.setattr(socket, "create_connection", refusing)
        with pytest.raises(HubUnavailable, match="cannot be reached: nobody"):
            gateway.client(f"https://{NAME}{PREFIX}")
    assert heads == []


def refusing(place: tuple[str, int], timeout: float) -> socket.socket:
    """Stand in for a name that cannot be resolved, without asking the network for it."""
    assert place[0] == NAME
    raise OSError("nobody has that name")


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "403 Forbidden"])
def test_a_proxy_that_refuses(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    """The error says that it was the proxy, and what it said."""
    with serving(passing(gateway.port, [], status)) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(HubUnavailable, match=f"proxy.*{status}"):
            gateway.client(f"https://{NAME}{PREFIX}")


@pytest.mark.parametrize(
    "proxy",
    [
        "socks5://127.0.0.1:1", "http://127.0.0.1:s3cret", "http://me:s3cret@127.0.0.1:99999", "http://[::1",
        "http://" + "a" * 70 + ".example:1", "http://:1",
    ],
)  # fmt: skip
def test_a_proxy_that_cannot_be_used(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """Another kind of proxy, or what is no address of one, is named as what it is, without what it says."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(HubUnavailable, match="HTTP proxy") as caught:
        gateway.client(f"https://{NAME}{PREFIX}")
    assert "s3cret" not in str(caught.value)


def test_a_host_with_letters_of_its_own_through_a_proxy(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name is said in ASCII, as names of hosts are."""
    heads: list[str] = []
    with serving(passing(gateway.port, heads, "403 Forbidden")) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(HubUnavailable, match="403 Forbidden"):
            gateway.client(f"https://bücher.{NAME}{PREFIX}")
    assert {head.splitlines()[0] for head in heads} == {f"CONNECT xn--bcher-kva.{NAME}:443 HTTP/1.1"}


# ---------------------------------------------------------------- what is no gateway


def test_a_redirect(gateway: Gateway) -> None:
    """It is not followed: no token goes to where it leads, and the error says where that is."""
    there: list[str] = []
    with serving(answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", there)) as other:
        answer = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{other}/login\r\nContent-Length: 0\r\n\r\n"
        with serving(answering(answer, [])) as port, pytest.raises(HubNotFound, match=f"{other}/login"):
            Client(f"http://127.0.0.1:{port}", token=gateway.token)
    assert there == []


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", HubNotFound, "no gateway"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", HubNotFound, "no gateway"),
        ('HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"role": 1}', HubNotFound, "no gateway"),
        ("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", HubUnavailable, "502"),
        ("SSH-2.0-OpenSSH_9.2\r\n", HubUnavailable, "does not answer"),
    ],
)
def test_something_else(gateway: Gateway, answer: str, error: type[Exception], says: str) -> None:
    """Whatever answers there is named as what it is."""
    with serving(answering(answer, [])) as port, pytest.raises(error, match=says):
        Client(f"http://127.0.0.1:{port}", token=gateway.token, timeout=0.3)


def test_a_gateway_that_has_too_much_to_do(gateway: Gateway) -> None:
    """Who comes meanwhile tries again, within its time."""
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        status = "503 Service Unavailable" if len(heads) < 3 else "401 Unauthorized"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()

    with serving(serve) as port, pytest.raises(AuthenticationError):
        Client(f"http://127.0.0.1:{port}", token=gateway.token)
    assert len(heads) == 3


def test_nobody() -> None:
    """Nobody listens: that is an error, once the client's time is over."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(HubUnavailable, match="cannot be reached"):
            Client(f"http://127.0.0.1:{port}", token="x", timeout=0.2)


def test_options_that_make_no_sense(gateway: Gateway) -> None:
    """What is about other ways is refused, and what is about this one without an address."""
    with pytest.raises(TypeError, match="sshserver"):
        gateway.client(sshserver="host")
    with pytest.raises(TypeError, match="profile"):
        gateway.client(profile="other")
    with pytest.raises(TypeError, match="token"):
        Client(token="x")
    with pytest.raises(ValueError, match="address"):
        gateway.client("https://user:secret@host")
