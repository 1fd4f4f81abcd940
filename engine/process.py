"""An engine's process, from its fork to its exit code."""

from __future__ import annotations

import faulthandler
import logging
import os
import platform
import signal
import sys
from collections.abc import Callable, Mapping, MutableSequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ctrlhub.engine import publishing, retiring, tracing
from ctrlhub.engine.board import ASKED, FOR_GOOD, IDENTITY, LEAVING, MAKING_WAY, RUNNING
from ctrlhub.engine.cells import Cells, Shell
from ctrlhub.engine.config import EngineConfig, NannyConfig
from ctrlhub.engine.console import Place, offer
from ctrlhub.engine.descriptors import Descriptors, LogAlone, Pipes
from ctrlhub.engine.executor import Executor
from ctrlhub.engine.interrupts import Gate
from ctrlhub.engine.lease import Ending
from ctrlhub.engine.logs import LogBound, uploads_of
from ctrlhub.engine.namespace import Namespace
from ctrlhub.engine.output import Output
from ctrlhub.engine.rendezvous import Way, await_connection
from ctrlhub.engine.service import EngineService
from ctrlhub.engine.usage import Meter, can_look
from ctrlhub.link.log_file import LogFiles
from ctrlhub.link.process_log import start_logging
from ctrlhub.link.ways import gateway_to, link_to
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.errors import ConnectionFileError, CtrlHubError
from ctrlhub.wire.messages import Register, Role
from ctrlhub.wire.versions import versions

OF_ITS_OWN_ACCORD: Mapping[Ending, int] = {
    Ending.LEFT: FOR_GOOD,
    Ending.HUB_LOST: FOR_GOOD,
    Ending.MADE_WAY: MAKING_WAY,
}
"""The endings that are no deaths, and what a nanny is told of them."""

_log = logging.getLogger(__name__)


def run_engine(
    config: EngineConfig,
    board: MutableSequence[int],
    pipes: Pipes | None,
    prepare: Callable[[], None] | None = None,
) -> int:
    """Be an engine, and return the process's exit code.

    Parameters
    ----------
    config
        What the nanny says.
    board
        The slot's part of the `Board`.
    pipes
        What descriptors 1 and 2 are to be; None where they stay what they are, the log.
    prepare
        Called when all is set up, and nothing has begun.
    """
    wrote = LogBound(Path(config.log)).wrote
    descriptors = LogAlone(wrote) if pipes is None else Descriptors(pipes, board, wrote)
    sys.stdout, sys.stderr = descriptors.install()
    log_to_stderr(config, "engine", lambda: board[IDENTITY] - 1)
    faulthandler.enable(descriptors.log, all_threads=False)

    def end(ending: Ending) -> int:
        board[LEAVING] = OF_ITS_OWN_ACCORD.get(ending, 0)
        _log.info("engine of slot %d ends: %s", config.slot, ending.name.lower())
        tracing.flush()
        return int(ending)

    def abandon(ending: Ending) -> None:
        # The main thread is somewhere in user code, and nothing else can stop it.
        code = end(ending)
        sys.stderr.flush()
        os._exit(code)

    try:
        info = await_connection(Way(config.connection, config.token), config.wait)
        gateway = gateway_to(info, "" if config.prefer else None)  # engines of a nanny use its own
        link = link_to(info, config.keys, gateway, config.wait, prefer=config.prefer)
    except CtrlHubError as error:
        _log.error("%s", error)
        return end(Ending.MISCONFIGURED)
    namespace, output, gate = Namespace(), Output(descriptors=descriptors), Gate()
    cells = Cells(lambda: _make_shell(namespace, output, gate), gate)
    uploads = uploads_of(Path(config.log))
    executor = Executor(gate, output, namespace, board, cells, uploads)
    service = EngineService(
        link,
        replace(
            registration(
                Role.ENGINE, config.public, bytes.fromhex(config.incarnation), config.resources
            ),
            engine_set=config.engine_set,
            engine_id=board[IDENTITY] - 1 if config.exact_id < 0 else config.exact_id,
            exact_id=config.exact_id >= 0,
            supervised=config.supervised,
        ),
        executor,
        hub_lease=config.hub_lease,
        drain=config.drain,
        abandon=abandon,
        usage=Meter(lambda: [(config.public, os.getpid())]).rows if _tells_usage(config) else tuple,
    )
    offer(Place(service, executor.gate, namespace.names))
    # From here on user code may import what lies in the working directory, as in any interpreter.
    sys.path.insert(0, "")
    namespace.install()
    output.install()
    publishing.offer(output)
    retiring.offer(service.make_way)
    cells.watch_imports()
    service.end_on(signal.SIGTERM, lambda: board[ASKED], config.nanny_signals)
    service.mind_forks()
    if prepare is not None:
        prepare()
    ending = service.run()
    if ending is Ending.TERMINATED:
        board[RUNNING] = service.struck
    return end(ending)


def _tells_usage(config: EngineConfig) -> bool:
    """Tell whether nobody else looks at what this engine uses: its nanny cannot, or is elsewhere."""
    is_rank = config.exact_id >= 0
    return is_rank or not (config.supervised and can_look())


def _make_shell(namespace: Namespace, output: Output, gate: Gate) -> Shell:
    from ctrlhub.engine.shell import make_shell  # IPython

    return make_shell(namespace, output, gate)


def registration(
    role: Role, key: str, incarnation: bytes, resources: Mapping[str, float] | None = None
) -> Register:
    """Say who this process is."""
    return Register(
        role=role.value,
        key=key,
        incarnation=incarnation,
        pid=os.getpid(),
        host=platform.node(),
        versions=versions(),
        supervised=role is Role.ENGINE,
        resources=tuple((resources or {}).items()),
    )


def log_to_stderr(
    config: NannyConfig | EngineConfig, process: str, engine: Callable[[], int] | None = None
) -> None:
    """Write ctrl-hub's own log to standard error, and leave the root logger to user code.

    Parameters
    ----------
    config
        How.
    process
        What part of ctrl-hub this is.
    engine
        Says which id it has as an engine, -1 for none yet.
    """
    about: dict[str, Any] = {"process": process, "profile": _profile_of(config)}

    def told() -> dict[str, Any]:
        number = -1 if engine is None else engine()
        return about if number < 0 else {**about, "engine": number}

    # An engine's log has a bound of its own, and several writers.
    files = LogFiles(Path(config.logs), config.log_max_bytes) if isinstance(config, NannyConfig) else None
    start_logging(config.log_level, config.log_format, told, files=files)


def _profile_of(config: NannyConfig | EngineConfig) -> str:
    if not config.token:
        return Path(config.connection).parent.name
    try:
        return ConnectionInfo.from_token(config.token).profile
    except ConnectionFileError:
        return ""  # it is told in a moment, by whoever wants to connect by it
