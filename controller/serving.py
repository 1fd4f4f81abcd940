"""A hub as a process: lock, keys, sockets, connection files, signals."""

from __future__ import annotations

import errno
import gc
import logging
import os
import platform
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import FrameType

import zmq

from ctrlhub import __version__
from ctrlhub.controller.advertising import advertised, advertised_address
from ctrlhub.controller.bulk_place import listen_for_bulk
from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.descriptor_limit import raise_descriptor_limit
from ctrlhub.controller.exits import (
    EXIT_ALREADY_RUNNING,
    EXIT_AWAY,
    EXIT_OK,
    EXIT_PAUSED,
    EXIT_UNUSABLE,
    exit_of,
)
from ctrlhub.controller.former_ports import fits, listened_at, remember, took_bulk_at
from ctrlhub.controller.gateway_process import GatewayProcess
from ctrlhub.controller.http_config import OFF
from ctrlhub.controller.hub import Hub
from ctrlhub.controller.interfaces.finding import find_interfaces, find_policy
from ctrlhub.controller.loop import HubLoop
from ctrlhub.controller.stores.base import Store
from ctrlhub.controller.stores.opening import open_store
from ctrlhub.controller.transports.base import Transport
from ctrlhub.controller.transports.bulk import BulkPort
from ctrlhub.controller.transports.zeromq import ZeroMQTransport
from ctrlhub.link.log_file import LogFiles
from ctrlhub.link.process_log import start_logging
from ctrlhub.link.provision import make_context
from ctrlhub.wire.addresses import tcp_address
from ctrlhub.wire.connection import ConnectionInfo, Here
from ctrlhub.wire.errors import AlreadyRunning, CtrlHubError, StoreError
from ctrlhub.wire.messages import Stream
from ctrlhub.wire.places import Profile, ipc_addresses, remove_sockets, socket_dir
from ctrlhub.wire.private import StateError
from ctrlhub.wire.security import KEY_ROLES, HubKeys, KeyRegistry, load_or_make_keys
from ctrlhub.wire.trouble import forget_trouble, note_trouble

log = logging.getLogger(__name__)

_NOT_OURS = (errno.EADDRNOTAVAIL, errno.ENODEV, errno.EINVAL)
"""How the system refuses an address to listen on that no interface of this machine has."""

LOOPBACK = "127.0.0.1"
"""Where a hub listens on a system that has no sockets for its own users, if it is not told."""

MAX_SOCKETS = 65_536
KEPT_DESCRIPTORS = 65_536


def run(config: HubConfig, lifeline: int | None = None) -> int:
    """Run a hub in this process until it is told to end; return the exit code.

    Parameters
    ----------
    config
        The hub's options.
    lifeline
        A descriptor whose end of file means that the creator has died; None for none.
    """
    about = {"process": "hub", "profile": config.profile}
    profile = Profile.named(config.profile, Path(config.state_dir) if config.state_dir else None)
    files = LogFiles(profile.logs, config.log_max_bytes)
    start_logging(config.log_level, config.log_format or "json", lambda: about, files=files)
    try:
        profile.make()
        lock = profile.hub_lock()
        lock.acquire()
    except AlreadyRunning as error:
        _say(f"{error}")
        return EXIT_ALREADY_RUNNING
    except (CtrlHubError, OSError) as error:
        return _cannot_start(profile, error)
    try:
        return _serve(config, profile, lifeline)
    except (CtrlHubError, zmq.ZMQError, OSError, ValueError) as error:
        return _cannot_start(profile, error)
    finally:
        lock.release()


def _cannot_start(profile: Profile, error: Exception) -> int:
    """Say why, in the log and where who waits for a hub looks; return the exit code."""
    _say(f"the hub cannot start: {error}")
    code = exit_of(error)
    if code in (EXIT_AWAY, EXIT_UNUSABLE):
        try:
            note_trouble(profile.directory, f"{error}")
        except (StateError, OSError) as failure:
            log.warning("that cannot be noted for `ctrl-hub status`: %s", failure)
    return code


def _say(text: str) -> None:
    try:
        print(f"ctrl-hub: {text}", file=sys.stderr, flush=True)
    except OSError:
        return  # the log's disk is full: the exit code says what is to be done


def _serve(config: HubConfig, profile: Profile, lifeline: int | None) -> int:
    raise_descriptor_limit(KEPT_DESCRIPTORS)
    if config.listen is None and not zmq.has("ipc"):
        config = replace(config, listen=LOOPBACK)  # with CURVE, as any TCP
    _check_interfaces(config.interfaces)
    _check_scheme(config.task_scheme)
    keys = load_or_make_keys(profile.keys)
    with ExitStack() as undone:
        context = make_context()
        context.set(zmq.MAX_SOCKETS, MAX_SOCKETS)
        # Not term(), which waits for ever for a socket that a failed start has left open.
        undone.callback(context.destroy)
        transports: list[Transport] = []
        ipc: Mapping[Stream, str] = {}
        if zmq.has("ipc"):
            remove_sockets(socket_dir(profile.directory))
            sockets = socket_dir(profile.directory)
            undone.callback(remove_sockets, sockets)
            transports.append(ZeroMQTransport(context, ipc_addresses(sockets)))
            undone.callback(transports[0].close)
            ipc = transports[0].addresses()
        loop = HubLoop()
        registry = doorkeeper = None
        tcp: Mapping[Stream, str] = {}
        if config.listen is not None:
            from ctrlhub.controller.transports.curve import Doorkeeper

            registry = KeyRegistry(keys)
            doorkeeper = Doorkeeper(context, registry, loop)
            undone.callback(doorkeeper.stop)
            transports.append(_listen(context, config, keys, listened_at(profile)))
            undone.callback(transports[-1].close)
            tcp = transports[-1].addresses()
        bulk = listen_for_bulk(config, tcp, took_bulk_at(profile)) if tcp else None
        if bulk is not None:
            undone.callback(bulk.close)
        store = open_store(config.store, profile, time.time() - time.monotonic(), loop.soon)
        undone.callback(store.close)
        hub = _make_hub(config, transports, store, registry, loop, bulk)
        hub.describe(tcp)
        if doorkeeper is not None:
            doorkeeper.let_go = hub.heap.freed
        if config.http.listen == OFF:
            hub.keep_no_gateway("HTTP is off here (`ctrl-hub start --http off`)")
        else:
            gateway = GatewayProcess(config, profile.logs / "gateway.log")
            # Where a hub was killed that had one, it is missed.
            hub.keep_gateway(gateway, at_once=config.http.is_wanted or profile.gateway.exists())
        undone.callback(_remove_connection_files, profile, hub)
        bulk_address = "" if bulk is None else bulk.address
        told, told_bulk = advertised(tcp, config.location), ""
        if bulk_address:
            told_bulk = advertised_address(bulk_address, config.location)
        _write_connection_files(hub, profile, keys, ipc, told, told_bulk)
        if tcp:
            remember(profile, tcp, bulk_address)
        forget_trouble(profile.directory)
        undone.callback(_heed_no_signals)
        _heed_signals(hub, lifeline)
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        hub.run()
    return EXIT_PAUSED if hub.paused else EXIT_OK


def _check_interfaces(names: Sequence[str]) -> None:
    """Import them while nothing is bound: they may be somebody else's, and fail as they like."""
    for name in names:
        try:
            find_interfaces([name])
        except ValueError:
            raise
        except Exception as error:
            log.exception("interface %r cannot be imported", name)
            raise _broken(f"interface {name!r} cannot be imported", error) from error


def _check_scheme(name: str) -> None:
    """Import it while nothing is bound, for the same reason."""
    try:
        find_policy(name)
    except Exception as error:
        raise CtrlHubError(
            f"scheme {name!r} cannot be used ({type(error).__name__}: {error}): mend it, or start the "
            "hub with another --scheme"
        ) from error


def _make_hub(
    config: HubConfig,
    transports: Sequence[Transport],
    store: Store,
    keys: KeyRegistry | None,
    loop: HubLoop,
    bulk: BulkPort | None,
) -> Hub:
    try:
        return Hub(config, transports, store, keys, loop, bulk)
    except StoreError:
        raise
    except Exception as error:
        names = ", ".join(config.interfaces)
        log.exception("the hub cannot be made with interfaces %s", names)
        raise _broken(f"one of the interfaces {names} cannot be made", error) from error


def _broken(what: str, error: Exception) -> CtrlHubError:
    return CtrlHubError(
        f"{what} ({type(error).__name__}: {error}): mend it, or leave it out of the hub's option "
        "`interfaces`"
    )


def _listen(
    context: zmq.Context[zmq.Socket[bytes]],
    config: HubConfig,
    keys: HubKeys,
    former: Mapping[Stream, str],
) -> ZeroMQTransport:
    """Listen on TCP, at an address that must be one of this machine."""
    assert config.listen is not None
    try:
        return _listen_somewhere(context, config, config.listen, keys, former)
    except zmq.ZMQError as error:
        if error.errno in _NOT_OURS:
            raise _not_ours(config.listen) from error
        raise


def _listen_somewhere(
    context: zmq.Context[zmq.Socket[bytes]],
    config: HubConfig,
    address: str,
    keys: HubKeys,
    former: Mapping[Stream, str],
) -> ZeroMQTransport:
    """Listen on the ports of the hub before this one, in the range, or on any."""
    if fits(former, address.removeprefix("[").removesuffix("]"), config.ports):
        try:
            return ZeroMQTransport(context, former, keys.server)
        except zmq.ZMQError as error:
            log.warning("the former ports are taken (%s); using others", error)
    if config.ports is None:
        return ZeroMQTransport(context, dict.fromkeys(Stream, tcp_address(address, "*")), keys.server)
    first, last = config.ports
    for base in range(first, last - len(Stream) + 2):
        ports = {s: tcp_address(address, base + k) for k, s in enumerate(Stream)}
        try:
            return ZeroMQTransport(context, ports, keys.server)
        except zmq.ZMQError as error:
            if error.errno != zmq.EADDRINUSE:
                raise
    raise OSError(
        f"no {len(Stream)} consecutive free ports in {first} ... {last} on {address}: "
        "stop what uses them, or give another range"
    )


def _not_ours(address: str) -> OSError:
    return OSError(
        f"cannot listen on {address}: it is not an address of this machine; use one that is, such as "
        "127.0.0.1 or what `hostname -I` shows"
    )


def _write_connection_files(
    hub: Hub,
    profile: Profile,
    keys: HubKeys,
    ipc: Mapping[Stream, str],
    tcp: Mapping[Stream, str],
    bulk: str,
) -> None:
    here = Here.find()
    for role in KEY_ROLES:
        ConnectionInfo(
            profile=profile.name,
            role=role,
            epoch=hub.epoch,
            hub_pid=os.getpid(),
            hub_started=hub.started,
            boot_id=here.boot_id,
            uid=here.uid,
            host=here.host,
            python=platform.python_version(),
            package=__version__,
            ipc=ipc,
            tcp=tcp,
            bulk=bulk,
            server_key=keys.server.public if tcp else "",
            enrolment=keys.enrolment[role] if tcp else None,
            ssh=hub.config.ssh_for(role),
        ).write(profile.connection(role))


def _remove_connection_files(profile: Profile, hub: Hub) -> None:
    if hub.paused:
        return  # who comes before the next hub waits for it, as where one was killed
    for role in KEY_ROLES:
        profile.connection(role).unlink(missing_ok=True)
    profile.gateway.unlink(missing_ok=True)


def _heed_no_signals() -> None:
    # It is ending: to be told so again must not turn a good end into a death.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _heed_signals(hub: Hub, lifeline: int | None) -> None:
    """End on purpose at SIGINT (Ctrl-C, `ctrl-hub stop`); SIGTERM is also what comes before a restart."""

    def interrupted(number: int, frame: FrameType | None) -> None:
        hub.stop(f"signal {signal.Signals(number).name}")

    def terminated(number: int, frame: FrameType | None) -> None:
        hub.pause(f"signal {signal.Signals(number).name}")

    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, terminated if hub.config.is_durable else interrupted)
    if lifeline is not None:
        hub.watch_lifeline(lifeline)
