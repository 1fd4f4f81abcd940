"""Opening connections to a gateway: directly or through a proxy, with TLS, and with a token.

All of this waits, and is done by a thread that may: the one that makes a client, or one of its own.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from logging import CRITICAL, Logger
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from ctrlhub import __version__
from ctrlhub.link.web_address import WebAddress, ascii_host
from ctrlhub.wire.errors import AuthenticationError, CtrlHubError, HubNotFound, HubUnavailable
from ctrlhub.wire.web import CONNECT_PATH, CONNECTION_PATH, MSGPACK, WEB_ANSWER_BYTES

MAX_ANSWER = 64 * 1024
"""So much (bytes) of an answer that is no WebSocket is read."""

CHUNK = 64 * 1024

PATIENCE = 5.0
"""So long (seconds) a gateway may be away that is started again."""

FIRST_PAUSE = 0.05
"""The first pause (seconds) before it is tried again."""

PASSING = frozenset({429, 502, 503, 504})
"""The statuses of what may be over in a moment."""

T = TypeVar("T")

_silent = Logger("websockets.ctrlhub", CRITICAL + 1)
"""What `websockets` logs of a connection holds its headers, and so the token."""


@dataclass(frozen=True, slots=True)
class OpenWeb:
    """A WebSocket that stands: its socket, which waits for nothing any more, and its protocol."""

    socket: socket.socket
    protocol: ClientProtocol


class _Passing(Exception):
    """What may be over in a moment: a gateway that is started again, or has too much to do."""

    def __init__(self, error: HubUnavailable) -> None:
        super().__init__(str(error))
        self.error = error


def open_web(address: WebAddress, timeout: float, patience: float = PATIENCE) -> OpenWeb:
    """Open the WebSocket of a link.

    Parameters
    ----------
    address
        The gateway.
    timeout
        Seconds in which it must stand.
    patience
        For so long (seconds) it is tried again, if nobody is there or too many are.

    Raises
    ------
    AuthenticationError
        The gateway does not let us in, or is not who we trust.
    HubNotFound, HubUnavailable
        It cannot be reached, or does not answer as one.
    """
    return _patiently(_open, address, timeout, patience)


def _open(address: WebAddress, end: float) -> OpenWeb:
    made = _connect(address, end)
    try:
        return OpenWeb(made, _shake_hands(address, made, end))
    except BaseException:
        made.close()
        raise


def ask_web(address: WebAddress, timeout: float) -> Mapping[str, Any]:
    """Ask a gateway whose hub it is, and what our token allows.

    Raises
    ------
    AuthenticationError, HubNotFound, HubUnavailable
        As of `open_web`.
    """
    return _patiently(_ask, address, timeout, PATIENCE)


def _ask(address: WebAddress, end: float) -> Mapping[str, Any]:
    made = _connect(address, end)
    asking = HTTPConnection(address.host, address.port)
    asking.sock = made
    try:
        headers = {"Host": address.netloc, **_named(address), "Accept": "application/json"}
        asking.request("GET", address.path(CONNECTION_PATH), headers=headers)
        answer = asking.getresponse()
        body = answer.read(MAX_ANSWER)
    except (OSError, HTTPException) as error:
        raise HubUnavailable(f"{address} does not answer: {_words(error)}{_other(address, error)}") from None
    finally:
        asking.close()
    if answer.status != 200:
        raise _refusal(address, answer.status, answer.getheader("Location"), body)
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("role"), str):
        raise HubNotFound(f"what answers at {address} is no gateway of a ctrl-hub hub")
    return told


def _patiently(
    step: Callable[[WebAddress, float], T], address: WebAddress, timeout: float, patience: float
) -> T:
    """Do a step, and again after pauses as long as what keeps it from being done may pass."""
    began = time.monotonic()
    pause = FIRST_PAUSE
    while True:
        try:
            return step(address, began + timeout)
        except _Passing as passing:
            if time.monotonic() + pause > began + min(timeout, patience):
                raise passing.error from None
            time.sleep(pause)
            pause *= 1.5


def _refusal(
    address: WebAddress, status: int, location: str | None, body: bytes
) -> CtrlHubError | _Passing:
    """Say what an answer means that is not what was asked for."""
    said = _reason(body)
    if status == 401:
        what = "does not know the token" if address.token else "asks for a token"
        return AuthenticationError(
            f"{address} {what}{said}: give token=..., as `ctrl-hub dashboard --url` has it in its URL on "
            "the hub's machine, or `ctrl-hub token create` has printed it; it may have expired, or been revoked"
        )
    if status == 403:
        return AuthenticationError(f"{address} does not let us in with this token{said}")
    if 300 <= status < 400:
        return HubNotFound(
            f"{address} sends us on to {(location or 'nowhere')[:200]!r}, where no token of ours is "
            "sent: if that is the hub, name that address; a login page is not for programs"
        )
    if status == 404:
        return HubNotFound(
            f"there is no gateway of a ctrl-hub hub at {address}: look at the port, and at the path "
            "before it where it stands behind a proxy"
        )
    error = HubUnavailable(f"{address} answers with status {status}{said}")
    return _Passing(error) if status in PASSING else error


# ---------------------------------------------------------------- steps


def _connect(address: WebAddress, end: float) -> socket.socket:
    """Connect, through a proxy if there is one, and encrypt."""
    proxy = _proxy_for(address)
    place = (address.host, address.port) if proxy is None else proxy.place
    by = "" if proxy is None else f" through the proxy {proxy.place[0]}:{proxy.place[1]}"
    try:
        made = socket.create_connection(place, _left(end))
    except OSError as error:
        unavailable = HubUnavailable(f"{address} cannot be reached{by}: {_words(error)}")
        if isinstance(error, ConnectionRefusedError):
            raise _Passing(unavailable) from None
        raise unavailable from None
    try:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if proxy is not None:
            _pass_proxy(address, proxy, made, end)
        if address.is_encrypted:
            made = _encrypt(address, made, end)
    except CtrlHubError:
        made.close()
        raise
    except (OSError, HTTPException) as error:
        made.close()
        raise HubUnavailable(f"{address} cannot be reached{by}: {_words(error)}") from None
    except BaseException:
        made.close()
        raise
    return made


def _encrypt(address: WebAddress, made: socket.socket, end: float) -> socket.socket:
    try:
        context = ssl.create_default_context(cafile=address.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise AuthenticationError(
            f"ca_file {address.ca_file} has no certificates that can be read: {_words(error)}"
        ) from None
    made.settimeout(_left(end))
    try:
        return context.wrap_socket(made, server_hostname=address.host)
    except ssl.SSLCertVerificationError as error:
        raise AuthenticationError(
            f"the certificate of {address} is not one we trust: {error.verify_message}. If it is the "
            "hub's own, give its file, or that of who has signed it: Client(..., ca_file=...)"
        ) from None
    except ssl.SSLError as error:
        raise HubUnavailable(
            f"{address} does not speak TLS as we do ({error.reason or error}){_other(address, error)}"
        ) from None
    except OSError as error:
        raise HubUnavailable(f"{address} does not answer: {_words(error)}{_other(address, error)}") from None


def _shake_hands(address: WebAddress, made: socket.socket, end: float) -> ClientProtocol:
    uri = parse_uri(
        f"{'wss' if address.is_encrypted else 'ws'}://{address.netloc}{address.path(CONNECT_PATH)}"
    )
    protocol = ClientProtocol(
        uri, subprotocols=[Subprotocol(MSGPACK)], max_size=WEB_ANSWER_BYTES, logger=_silent
    )
    request = protocol.connect()
    for name, value in _named(address).items():
        request.headers[name] = value
    protocol.send_request(request)
    try:
        made.settimeout(_left(end))
        for data in protocol.data_to_send():
            made.sendall(data)
        while not protocol.events and protocol.handshake_exc is None:
            made.settimeout(_left(end))
            data = made.recv(CHUNK)
            if data:
                protocol.receive_data(data)
            else:
                protocol.receive_eof()
    except OSError as error:
        raise HubUnavailable(f"{address} does not answer: {_words(error)}{_other(address, error)}") from None
    failed = protocol.handshake_exc
    if isinstance(failed, InvalidStatus):
        answer = failed.response
        raise _refusal(
            address, answer.status_code, answer.headers.get("Location"), bytes(answer.body or b"")
        )
    if failed is not None:
        raise HubUnavailable(f"{address} does not speak WebSocket as a gateway does: {_words(failed)}{_other(address, failed)}")
    if protocol.subprotocol != MSGPACK:
        raise HubNotFound(f"what answers at {address} is no gateway of a ctrl-hub hub")
    protocol.events.pop(0)  # the answer; messages may follow
    made.setblocking(False)
    return protocol


# ---------------------------------------------------------------- proxies


@dataclass(frozen=True, slots=True)
class _Proxy:
    place: tuple[str, int]
    headers: Mapping[str, str]


def _proxy_for(address: WebAddress) -> _Proxy | None:
    """Return the proxy that the environment names; None for none."""
    proxies = getproxies()
    named = proxies.get(address.scheme) or proxies.get("all")
    if not named or proxy_bypass(address.netloc):
        return None
    if address.host in ("localhost", "127.0.0.1", "::1"):
        return None  # no proxy's own loopback is meant
    try:
        parts = urlsplit(named if "://" in named else f"http://{named}")
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError("no address of an HTTP proxy")
        place = (ascii_host(parts.hostname), parts.port or 80)
    except ValueError:  # what it says may hold a password
        raise HubUnavailable(
            f"the proxy that the environment names for {address} is none that can be used: an HTTP proxy "
            "is http://HOST:PORT; NO_PROXY names what is reached without one"
        ) from None
    headers = {}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {b64encode(pair.encode()).decode('ascii')}"
    return _Proxy(place, headers)


def _pass_proxy(address: WebAddress, proxy: _Proxy, made: socket.socket, end: float) -> None:
    """Have a proxy connect us."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    target = f"{host}:{address.port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    lines += [f"{name}: {value}" for name, value in proxy.headers.items()]
    made.settimeout(_left(end))
    made.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
    answer = b""
    while b"\r\n\r\n" not in answer:
        # One by one: what comes behind the answer is the gateway's.
        made.settimeout(_left(end))
        byte = made.recv(1)
        if not byte or len(answer) > MAX_ANSWER:
            raise HubUnavailable(f"the proxy {proxy.place[0]} does not connect us to {address}")
        answer += byte
    status = answer.split(b"\r\n", 1)[0].decode("latin-1")
    if status.split(" ")[1:2] != ["200"]:
        raise HubUnavailable(f"the proxy {proxy.place[0]} does not connect us to {address}: {status[:200]}")


# ---------------------------------------------------------------- words


def _named(address: WebAddress) -> dict[str, str]:
    return {"User-Agent": f"ctrl-hub/{__version__}", **address.headers()}


def _left(end: float) -> float:
    return max(0.01, end - time.monotonic())


def _reason(body: bytes) -> str:
    """Return what a gateway says in an answer that refuses something."""
    try:
        message = json.loads(body)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f" ({message[:300]})" if isinstance(message, str) and message.isprintable() else ""


def _other(address: WebAddress, error: BaseException) -> str:
    """Say what may be the matter where a port speaks, but not as it should; one with TLS is never silent."""
    if address.is_encrypted:
        return ": it may be served without TLS, then its address begins with http://"
    return "" if isinstance(error, TimeoutError) else ": it may speak TLS, then its address begins with https://"


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
