"""Engines on this host: a nanny as a process of its own, which outlives whoever started it."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from ctrlhub.cluster.child import tail
from ctrlhub.cluster.errors import LauncherError, StartFailed, StopFailed
from ctrlhub.cluster.launchers.base import Launcher, Phase, SetState
from ctrlhub.cluster.launchers.endings import ending_of
from ctrlhub.cluster.launchers.script import command_line, shell_lines
from ctrlhub.cluster.processes import KnownProcess
from ctrlhub.link.log_file import open_log
from ctrlhub.wire.killing import KILL
from ctrlhub.wire.private import StateError, this_uid

_KILL_AFTER = 5.0
"""Seconds that a nanny which was killed takes to be gone, at most."""


class LocalLauncher(Launcher):
    """Runs a nanny on this host."""

    name = "local"
    is_remote = False
    handle_types: ClassVar[Mapping[str, type]] = {"pid": int, "birth": str, "host": str}

    def plan(self) -> str:
        """Return the script that runs the nanny."""
        return self._script() + f"# standard input: the token, from {self.token_file}\n"

    def described(self) -> str:
        """Name the process."""
        return f"pid {self.handle['pid']}" if self.handle else super().described()

    def launch(self) -> Mapping[str, Any]:
        """Start the nanny."""
        try:
            log = open_log(self._log)
        except (OSError, StateError) as error:
            raise StartFailed(f"the nanny's log cannot be written: {error}") from error
        try:
            with open(self.token_file, "rb") as token:
                process = subprocess.Popen(
                    ["/bin/bash", "-c", self._script(), self.job_name],
                    stdin=token,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            raise StartFailed(f"the nanny cannot be started: {error}") from error
        finally:
            os.close(log)
        # It is nobody's child from now on, though it is ours: who asks for its state waits for it.
        process.returncode = 0
        return self._handle_of(process.pid)

    def recover(self) -> Mapping[str, Any]:
        """Find the nanny by its command line."""
        # Its engines, which it forks, have the same command line: it is the eldest.
        handles = [self._handle_of(pid) for pid in self._pids()]
        return min(handles, key=lambda each: (int(each["birth"] or 0), each["pid"]), default={})

    def state(self) -> SetState:
        """Look at the process."""
        self.take_up()
        if not self.handle:
            return SetState(Phase.FAILED, "it was not started")
        if self.handle["host"] != platform.node():
            return SetState(Phase.UNKNOWN, f"it runs on host {self.handle['host']!r}: ask there")
        process = self._process()
        _reap(process.pid)
        if process.is_alive():
            return SetState(Phase.RUNNING)
        return ending_of(self.log_dir, tail(self._log))

    def signal(self, number: int) -> None:
        """Signal the nanny."""
        self.take_up()
        self._check_host(LauncherError)
        self._process().send(signal.Signals(number))

    def end(self, patience: float) -> None:
        """End the nanny: by SIGINT, and in the end by SIGKILL."""
        self._check_host(StopFailed)
        process = self._process()
        _reap(process.pid)
        process.send(signal.SIGINT)  # SIGTERM would let engines finish
        if not process.wait(patience):
            process.send(KILL)
            if not process.wait(_KILL_AFTER):
                raise StopFailed(f"process {process.pid}, the nanny of {self.spec.key!r}, cannot be ended")
        _reap(process.pid)

    @property
    def _log(self) -> Path:
        return self.log_dir / "nanny.log"

    def _script(self) -> str:
        lines = shell_lines(self.spec, self.options)
        return "\n".join([*lines, f"exec {command_line(self.engine_command(self.spec.n))}", ""])

    def _process(self) -> KnownProcess:
        return KnownProcess(int(self.handle["pid"]), str(self.handle["birth"]))

    def _handle_of(self, pid: int) -> dict[str, Any]:
        return {"pid": pid, "birth": KnownProcess.find(pid).birth, "host": platform.node()}

    def _check_host(self, error: type[Exception]) -> None:
        if self.handle["host"] != platform.node():
            raise error(f"engines {self.spec.key!r} run on host {self.handle['host']!r}: do that there")

    def _pids(self) -> Iterator[int]:
        """Yield the processes that run our command, as bash or already as what it has become."""
        name = self.job_name.encode()
        ours = b"\0--logs\0" + os.fsencode(self.log_dir) + b"\0"
        for place in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                found, owner = place.read_bytes(), place.stat().st_uid
            except OSError:  # it has just ended
                continue
            if owner != this_uid():  # anybody may call a process of theirs so
                continue
            if found.endswith(b"\0" + name + b"\0") or ours in found:
                yield int(place.parent.name)


def _reap(pid: int) -> None:
    """Wait for it, if it is our child and has ended."""
    no_wait = getattr(os, "WNOHANG", None)
    if no_wait is None:  # where nobody has to
        return
    try:
        os.waitpid(pid, no_wait)
    except ChildProcessError:
        return
