"""Jobs of batch systems that are stood in for: processes of this host."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PLACE = "CTRLHUB_TEST_STANDINS"
KILL_AFTER = 5.0
PROGRAM = Path(__file__).with_name("__main__.py")


@dataclass
class Job:
    """A job, or an array of them, in a directory of its own."""

    directory: Path

    @property
    def number(self) -> int:
        """Its number."""
        return int(self.directory.name)

    @property
    def told(self) -> Mapping[str, object]:
        """What it was submitted with."""
        found: Mapping[str, object] = json.loads((self.directory / "job.json").read_text())
        return found

    def elements(self) -> list[int]:
        """Number its jobs."""
        size = self.told["size"]
        assert isinstance(size, int)
        return list(range(size))

    def pid(self, element: int) -> int | None:
        """Return the process of one that has begun."""
        return self._number(f"{element}.pid")

    def code(self, element: int) -> int | None:
        """Return the exit code of one that has ended; of one killed by a signal, 128 and its number."""
        return self._number(f"{element}.code")

    def kill(self, number: int) -> None:
        """Signal the process groups of those that run."""
        for element in self.elements():
            pid = self.pid(element)
            if pid is not None and self.code(element) is None:
                with suppress(ProcessLookupError):
                    os.killpg(pid, number)

    def is_over(self) -> bool:
        """Say whether all have ended."""
        return all(self.code(element) is not None for element in self.elements())

    def _number(self, name: str) -> int | None:
        try:
            return int((self.directory / name).read_text())
        except (FileNotFoundError, ValueError):
            return None


def jobs() -> list[Job]:
    """Return all jobs there ever were."""
    root = Path(os.environ[PLACE]) / "jobs"
    return [Job(root / name) for name in sorted(os.listdir(root), key=int)]


def submit(name: str, size: int, command: Sequence[str], **more: object) -> Job:
    """Take a job, and have it begin."""
    root = Path(os.environ[PLACE]) / "jobs"
    number = 1
    while True:
        directory = root / str(number)
        try:
            directory.mkdir()
            break
        except FileExistsError:
            number += 1
    (directory / "job.json").write_text(
        json.dumps({"name": name, "size": size, "command": list(command), **more})
    )
    for element in range(size):
        subprocess.Popen(
            [sys.executable, "-S", str(PROGRAM), "run", str(directory), str(element)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    return Job(directory)


def run_element(directory: Path, element: int) -> None:
    """Be what watches one job on its node."""
    told = json.loads((directory / "job.json").read_text())

    def filled(text: str) -> str:
        return text.replace("%E", str(element)).replace("%I", str(element + 1))

    environment = {**os.environ, **{name: filled(each) for name, each in told["environment"].items()}}
    files = [filled(told[kind]) for kind in ("stdin", "stdout", "stderr")]
    with open(files[0], "rb") as stdin, open(files[1], "ab") as stdout, open(files[2], "ab") as stderr:
        job = subprocess.Popen(
            [filled(each) for each in told["command"]], env=environment, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
        )
    _note(directory / f"{element}.pid", job.pid)
    code = job.wait()
    with suppress(ProcessLookupError):
        os.killpg(job.pid, signal.SIGKILL)  # nothing of a job stays on its node
    _note(directory / f"{element}.code", code if code >= 0 else 128 - code)


def _note(path: Path, number: int) -> None:
    fresh = path.with_suffix(".new" + path.suffix)
    fresh.write_text(str(number))
    fresh.rename(path)


def end_later(job: Job, numbers: Sequence[int]) -> None:
    """Send one signal after another, with time between them, until the job has ended; not waited for."""
    if os.fork():
        return
    os.setsid()
    for number in numbers:
        job.kill(number)
        deadline = time.monotonic() + KILL_AFTER
        while not job.is_over() and time.monotonic() < deadline:
            time.sleep(0.02)
    os._exit(0)
