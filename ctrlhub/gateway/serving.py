"""A gateway as a process: options, lifeline, sockets, and where it listens."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from tornado.netutil import bind_sockets

from ctrlhub.controller.advertising import WILDCARDS, own_names
from ctrlhub.controller.descriptor_limit import descriptor_limit, raise_descriptor_limit
from ctrlhub.controller.http_config import HttpConfig
from ctrlhub.gateway.access.hosts import Hosts
from ctrlhub.gateway.access.rates import Rates
from ctrlhub.gateway.access.room import fitted
from ctrlhub.gateway.api.rest import rest_of
from ctrlhub.gateway.certificate import tls_for
from ctrlhub.gateway.clients import Clients
from ctrlhub.gateway.context import Gateway
from ctrlhub.gateway.server import make_server
from ctrlhub.gateway.token_file import TokenFile
from ctrlhub.link import tracing
from ctrlhub.link.log_file import LogFiles
from ctrlhub.link.process_log import start_logging
from ctrlhub.wire.addresses import bracketed
from ctrlhub.wire.errors import CtrlHubError
from ctrlhub.wire.liveness import pid_exists
from ctrlhub.wire.places import Profile
from ctrlhub.wire.private import StateError, read_private, write_private
from ctrlhub.wire.served import Served

log = logging.getLogger(__name__)

EXIT_OK, EXIT_FAILED, EXIT_HOPELESS, EXIT_LATER = 0, 1, 2, 3
"""Exit codes: the third says that another gateway would not fare better, the last one that it would at some time."""

HOPELESS = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM, errno.ENOENT)
"""Errors of the system that stay until somebody does something about them."""

PASSING = (errno.ENOSPC, errno.EDQUOT)
"""And those that pass by themselves, as others need less: there is no room on the disk."""

TRACES = 1.0
"""How long (seconds) it may take to export traces, once the hub has ended."""

LEAVE = 2.0
"""Seconds after the hub's end within which the gateway ends, whatever it is doing."""

LOOK = 0.2
"""So often (seconds) open sockets are compared with the tokens."""

BURST = 5.0
"""So many seconds' worth of requests may come at once."""

LOGIN_RATE, LOGIN_BURST = 0.2, 10.0
"""So many wrong tokens an address may show in a second, and at once."""

DESCRIPTORS = 65_536
"""So many descriptors it has, if it may."""

FORMER = 5.0
"""How long (seconds) to wait for the end of a gateway whose hub was killed."""

LOOK_AGAIN = 0.02
"""So often (seconds) its port is tried."""

MOST_BYTES = 4096

LIBRARIES = ("tornado", "asyncio")
"""Whose records are the gateway's as well: errors alone, since of what strangers send they warn each time."""


def run() -> int:
    """Run a gateway until the hub ends; return the exit code."""
    said = json.loads(sys.stdin.buffer.readline())
    about = {"process": "gateway", "profile": said["profile"]}
    profile = Profile.named(said["profile"], Path(said["state_dir"]) if said["state_dir"] else None)
    files = LogFiles(profile.logs, said["log_max_bytes"])
    start_logging(said["log_level"], said["log_format"], lambda: about, libraries=LIBRARIES, files=files)
    try:
        return asyncio.run(_serve(profile, HttpConfig.from_plain(said["http"])))
    except (StateError, OSError, ValueError) as error:
        log.error("the gateway cannot start: %s", error)
        with suppress(BrokenPipeError):  # the hub has ended meanwhile
            _say(trouble=f"{error}")
        return exit_code_of(error)


def exit_code_of(error: Exception) -> int:
    """Return what a gateway ends with that could not start: how another one would fare."""
    cause = error.__cause__ if isinstance(error, StateError) else error
    if not isinstance(cause, OSError):
        return EXIT_HOPELESS
    if cause.errno in PASSING:
        return EXIT_LATER
    return EXIT_HOPELESS if cause.errno in HOPELESS or isinstance(error, StateError) else EXIT_FAILED


async def _serve(profile: Profile, config: HttpConfig) -> int:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    hub = Lifeline(partial(loop.call_soon_threadsafe, stop.set))
    with suppress(NotImplementedError):  # Windows: there is no good end but that of the lifeline
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
    raise_descriptor_limit(DESCRIPTORS)
    config = fitted(config, descriptor_limit())
    TokenFile(profile.tokens).ensure()
    sockets = _listen(config, profile)
    host, port = sockets[0].getsockname()[:2]
    gateway = gateway_of(profile, config, port)
    server = make_server(gateway, tls_for(config, profile))
    server.add_sockets(sockets)
    url = f"{'https' if config.has_tls else 'http'}://{_shown(host)}:{port}{config.prefix}"
    write_private(profile.gateway_port, json.dumps({"port": port}).encode() + b"\n")
    write_private(profile.gateway, Served(url, os.getpid(), config.link).to_json())
    _say(url=url)
    log.info("serving %s", url)
    watching = asyncio.create_task(watch_tokens(gateway))
    resuming = asyncio.create_task(_resume(gateway))
    try:
        await stop.wait()
    finally:
        watching.cancel()
        resuming.cancel()
        server.stop()
        gateway.telemetry.close()
        await gateway.relays.finish()
        if hub.has_ended:  # nobody is there to take leave of, and who waits for an answer gets none
            log.info("the hub has ended")
            tracing.flush(TRACES)
            os._exit(EXIT_OK)
        await gateway.clients.close()
        await asyncio.to_thread(rest_of(gateway).shelf.close)
    return EXIT_OK


def gateway_of(profile: Profile, config: HttpConfig, port: int) -> Gateway:
    """Return the gateway of a profile, which listens at a port."""
    names = (each.lower() for each in (*config.hosts, *_own_names(config)))
    return Gateway(
        profile=profile,
        config=config,
        tokens=TokenFile(profile.tokens),
        hosts=Hosts(frozenset(names), frozenset(config.origins)),
        clients=Clients(profile),
        rates=Rates(config.rate, BURST * config.rate),
        logins=Rates(LOGIN_RATE, LOGIN_BURST),
        port=port,
    )


async def _resume(gateway: Gateway) -> None:
    """Go on with what a gateway before this one has left: its sessions, and the results in them."""
    async for role in gateway.clients.resume():
        try:
            await rest_of(gateway).of(role)
        except CtrlHubError as error:
            log.warning("what was left by the former gateway is not fetched yet: %s", error)


async def watch_tokens(gateway: Gateway) -> None:
    """Close sockets once their tokens end, for as long as the gateway runs: whatever fails, the next look is made."""
    said = ""
    while True:
        await asyncio.sleep(LOOK)
        if not gateway.sockets and not gateway.waiting:
            continue
        try:
            gateway.close_revoked(time.time())
            said = ""
        except Exception as error:  # nobody awaits this task before the end, and who is revoked must go
            if said != (said := f"{error!r}"):  # else it would be told each time
                log.error("sockets cannot be compared with the tokens: %s", error, exc_info=not isinstance(error, StateError))


class Lifeline:
    """Standard input, whose end is the hub's end.

    Parameters
    ----------
    ended
        Is called in a thread when it comes. What is not over soon afterwards is ended, whatever hangs.

    Attributes
    ----------
    has_ended : bool
        Whether it has come.
    """

    def __init__(self, ended: Callable[[], object]) -> None:
        self.has_ended = False
        self._ended = ended
        Thread(target=self._wait, name="lifeline", daemon=True).start()

    def _wait(self) -> None:
        while os.read(0, 4096):
            continue
        self.has_ended = True
        with suppress(RuntimeError):  # the loop has ended before
            self._ended()
        time.sleep(LEAVE)
        os._exit(EXIT_OK)


def _listen(config: HttpConfig, profile: Profile) -> list[socket.socket]:
    """Listen where the options say, and else where the gateway before this one did, or on any port.

    Where a hub was killed, its gateway ends by itself, and soon: its port is waited for.
    """
    former = _said_by(profile.gateway_port, "port")
    ours = _said_by(profile.gateway, "pid")
    deadline = time.monotonic() + FORMER
    while True:
        try:
            return bind_sockets(config.port or former, config.address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and ours and pid_exists(ours) and time.monotonic() < deadline:
                time.sleep(LOOK_AGAIN)
                continue
            if config.port or not former:
                where = f"{config.address} port {config.port}"
                raise OSError(error.errno, error.strerror, where) from error
            log.warning("port %d is taken (%s); taking another", former, error)
            former = 0


def _said_by(file: Path, name: str) -> int:
    """Return a number that a gateway before this one has left in a file; 0 if there is none."""
    try:
        number = json.loads(read_private(file, MOST_BYTES))[name]
        return number if type(number) is int and number > 0 else 0
    except FileNotFoundError:
        return 0
    except (OSError, StateError, ValueError, LookupError, TypeError) as error:
        log.warning("%s does not say what the former gateway had: %s", file, error)
        return 0


def _own_names(config: HttpConfig) -> tuple[str, ...]:
    """Return the names by which it is reached: its address, or if that is any, this host's names and address."""
    address = config.address
    return tuple(map(bracketed, own_names(address) if address in WILDCARDS else (address,)))


def _shown(host: str) -> str:
    return socket.gethostname() if host in WILDCARDS else bracketed(host)


def _say(**what: Any) -> None:
    print(json.dumps(what), flush=True)
