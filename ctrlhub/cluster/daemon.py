"""A supervisor in the background: ``python -m ctrlhub.cluster``, and the start of one.

The supervisor is told its configuration on standard input, one line of JSON, and answers with one
line on standard output: that the cluster is ready, or why it is not. Then nothing ties it to who
started it: it has a session of its own, and its log is in the profile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from ctrlhub.cluster.child import LogMark, tail
from ctrlhub.cluster.errors import StartFailed
from ctrlhub.cluster.supervisor import Ready, Supervisor, SupervisorConfig
from ctrlhub.link.log_file import LogFiles, open_log
from ctrlhub.link.process_log import start_logging
from ctrlhub.wire.errors import AlreadyRunning, CtrlHubError


def start_in_background(config: SupervisorConfig) -> Ready | None:
    """Start a supervisor that outlives this process; return when all engines are registered.

    Returns
    -------
    Ready or None
        What runs; None when the supervisor was told to stop before that, and has.

    Raises
    ------
    AlreadyRunning
        If the profile has a hub.
    StartFailed
        If the cluster did not become ready; nothing of it is left running.
    """
    profile = config.profile
    profile.make()
    log = profile.logs / "supervisor.log"
    output = open_log(log, config.hub.log_max_bytes)
    begin = LogMark.of(output)
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ctrlhub.cluster"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    finally:
        os.close(output)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(config.to_json().encode() + b"\n")
        with process.stdout:
            answer = process.stdout.readline()
    except BaseException:
        # Called off, by Ctrl-C for instance: what was begun is ended, and in good order.
        process.terminate()
        process.wait()
        raise
    if not answer:
        if process.wait() == 0:
            return None
        raise StartFailed(
            f"the supervisor ended with code {process.returncode} before the cluster was ready",
            tail(log, begin),
        )
    return _understood(json.loads(answer), process)


def _understood(answer: dict[str, Any], process: subprocess.Popen[bytes]) -> Ready:
    if "ready" in answer:
        # It is nobody's child from now on; without this, Popen would complain of one not waited for.
        process.returncode = 0
        return Ready(**answer["ready"])
    process.wait()
    if "already_running" in answer:
        raise AlreadyRunning(**answer["already_running"])
    raise StartFailed(**answer["failed"])


def main() -> int:
    """Run a supervisor as the background process."""
    config = SupervisorConfig.from_json(sys.stdin.readline())
    log_as_supervisor(config, config.hub.log_level)
    try:
        Supervisor(config).run(lambda ready: _answer({"ready": asdict(ready)}))
    except AlreadyRunning as error:
        _answer({"already_running": {"pid": error.pid, "profile": error.profile}})
        return 1
    except StartFailed as error:
        _answer({"failed": {"message": error.message, "log": error.log}})
        return 1
    except CtrlHubError as error:
        _answer({"failed": {"message": str(error), "log": ""}})
        return 1
    return 0


def log_as_supervisor(config: SupervisorConfig, level: str) -> None:
    """Log to standard error, in the form that the hub's options name; all of this process is the supervisor's."""
    about = {"process": "supervisor", "profile": config.hub.profile}
    files = LogFiles(config.profile.logs, config.hub.log_max_bytes)
    start_logging(level, config.hub.log_format or "text", lambda: about, logger="", files=files)


def _answer(answer: dict[str, Any]) -> None:
    """Say it, and let go of what led to whoever asked."""
    with suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nothing, standard)
    os.close(nothing)
