"""The gateway's process: started, listened to and ended by a thread, so that the hub's loop waits for nothing.

Its standard input is a pipe whose other end only the hub holds: one line of JSON, its options, and then
nothing until the hub ends, however that ends; the gateway ends then. On its standard output it says where
it serves, or why it cannot, a line of JSON each.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from threading import Lock, Thread
from typing import TypeAlias

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.keeping import GatewayKeeper, Outlook
from ctrlhub.link.log_file import open_log
from ctrlhub.wire.private import StateError

News: TypeAlias = Callable[[GatewayKeeper, float], None]

MODULE = "ctrlhub.gateway"
"""What is run: the hub knows its name, and nothing more of it."""

LEAVE = 3.0
"""Seconds that it has to end by itself, before it is killed."""

MOST_LINE = 64 * 1024
OUTLOOK = {2: Outlook.HOPELESS, 3: Outlook.PASSES}
"""What it says by its exit code of how another one would fare."""

log = logging.getLogger(__name__)


class GatewayProcess:
    """Starts the gateway, one at a time, and tells of it.

    Parameters
    ----------
    config
        The hub's options, those of the gateway among them.
    log_file
        What it writes to standard error is appended to this file.
    """

    def __init__(self, config: HubConfig, log_file: Path) -> None:
        self._line = json.dumps(
            {
                "profile": config.profile,
                "state_dir": config.state_dir,
                "log_level": config.log_level,
                "log_format": config.log_format or "json",
                "log_max_bytes": config.log_max_bytes,
                "http": asdict(config.http),
            }
        )
        self._log_file = log_file
        self._log_bytes = config.log_max_bytes
        self._tell: Callable[[News], None] = lambda news: None
        self._lock = Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._thread: Thread | None = None
        self._has_options = False
        self._ends = False

    def tell(self, tell: Callable[[News], None]) -> None:
        """Say who hears of it; called in a thread of its own."""
        self._tell = tell

    def start(self) -> None:
        """Start one, soon. The former one has ended."""
        self._thread = Thread(target=self._run, name="gateway", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Have it end, and see it end."""
        with self._lock:
            self._ends = True
            running = self._running
            if running is not None and self._has_options:
                _let_go(running)  # else whoever writes to it does so
        if running is None:
            return
        try:
            running.wait(LEAVE)
        except subprocess.TimeoutExpired:
            log.error("the gateway (pid %d) does not end, and is killed", running.pid)
            running.kill()
            running.wait()

    def _run(self) -> None:
        """Start one, and say what becomes of it. In the thread."""
        try:
            news = self._see_one()
        except (OSError, StateError) as error:
            news = self._without_one(f"{error}")
        except Exception as error:  # the keeper would wait for ever for what this thread has to tell
            log.exception("the gateway cannot be looked after")
            news = self._without_one(f"{type(error).__name__}: {error}")
        if news is not None:
            self._tell(news)

    def _see_one(self) -> News | None:
        """Start one, and see it end; return what is to be told of that. None if the hub ends."""
        running = self._begin()
        if running is None:
            return None
        reason = self._listen(running)
        code = running.wait()
        if self._is_ending():
            return None
        _let_go(running)
        how = reason or f"{_how(code)}, see {self._log_file}"
        log.error("the gateway (pid %d) has ended: %s", running.pid, how)
        return partial(_has_ended, how, OUTLOOK.get(code, Outlook.UNKNOWN))

    def _without_one(self, why: str) -> News | None:
        """Have none, if one was started."""
        running = self._running
        if running is not None:
            running.kill()
            running.wait()
            _let_go(running)
            assert running.stdout is not None
            running.stdout.close()
        return None if self._is_ending() else partial(_could_not_start, why)

    def _is_ending(self) -> bool:
        """Take note that it has ended; tell whether that was to be."""
        with self._lock:
            self._running = None
            return self._ends

    def _begin(self) -> subprocess.Popen[bytes] | None:
        """Start the process; None if the hub ends."""
        output = open_log(self._log_file, self._log_bytes)
        try:
            with self._lock:
                if self._ends:
                    return None
                self._has_options = False
                self._running = running = subprocess.Popen(
                    # -P: what lies in the working directory must not take the place of our modules.
                    [sys.executable, "-P", "-m", MODULE],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=output,
                    bufsize=0,
                    start_new_session=True,
                )
        finally:
            os.close(output)
        log.info("the gateway is started, pid %d", running.pid)
        self._tell(lambda keeper, now: keeper.started(running.pid))
        assert running.stdin is not None
        try:
            rest = memoryview(self._line.encode() + b"\n")
            while rest:
                rest = rest[running.stdin.write(rest) :]
        except BrokenPipeError:
            log.error("the gateway (pid %d) does not read its options", running.pid)  # its end is told below
        self._wrote_options(running)
        return running

    def _wrote_options(self, running: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._has_options = True
            if self._ends:
                _let_go(running)

    def _listen(self, running: subprocess.Popen[bytes]) -> str:
        """Hear what it says until it ends; return why it cannot serve, if it said so."""
        assert running.stdout is not None
        reason = ""
        with os.fdopen(os.dup(running.stdout.fileno()), "rb") as lines:
            while line := lines.readline(MOST_LINE):
                try:
                    said = json.loads(line)
                    url, why = said.get("url", ""), said.get("trouble", "")
                except (ValueError, AttributeError):
                    log.error("the gateway says something that is not ours: %.200r", line)
                    continue
                if type(url) is str and url:
                    log.info("the gateway serves %s", url)
                    self._tell(partial(_serves, url))
                if type(why) is str and why:
                    reason = why
        running.stdout.close()
        return reason


def _let_go(running: subprocess.Popen[bytes]) -> None:
    """Close its lifeline."""
    assert running.stdin is not None
    running.stdin.close()


def _could_not_start(why: str, keeper: GatewayKeeper, now: float) -> None:
    keeper.ended(why, now)


def _serves(url: str, keeper: GatewayKeeper, now: float) -> None:
    keeper.serves(url, now)


def _has_ended(how: str, outlook: Outlook, keeper: GatewayKeeper, now: float) -> None:
    keeper.ended(how, now, outlook)


def _how(code: int) -> str:
    """Say in words how a process ended."""
    if code >= 0:
        return f"it ended with exit code {code}"
    try:
        return f"it was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was killed by signal {-code}"
