"""The commands of HTCondor."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path

from tests.support.standins.jobs import end_later, jobs, submit
from tests.support.standins.words import fail, options


def condor_submit(words: Sequence[str]) -> None:
    """Submit a description."""
    terse, path = words
    assert terse == "-terse"
    told: dict[str, str] = {}
    size = 1
    for line in Path(path).read_text().splitlines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if text.split()[0] == "queue":
            size = int(text.split()[1])
            break
        name, sign, value = text.partition("=")
        if not sign:
            fail(f"ERROR: on Line 1 of submit file: {text}")
        told[name.strip().lower()] = value.strip()
    executable = Path(told["executable"])
    if not os.access(executable, os.X_OK):
        fail(f"ERROR: Executable file {executable} is not executable")

    def filled(value: str) -> str:
        return value.replace("$(Process)", "%E")

    job = submit(
        told["batch_name"], size, [str(executable), *filled(told["arguments"]).split()],
        stdin=told["input"], stdout=filled(told["output"]), stderr=filled(told["error"]), environment={},
    )  # fmt: skip
    print(f"{job.number}.0 - {job.number}.{size - 1}")


def condor_q(words: Sequence[str]) -> None:
    """List attributes of the jobs that have not ended."""
    rest = list(words)
    if rest[0] == "-constraint":
        name = re.fullmatch(r'JobBatchName == "(.+)"', rest[1])
        assert name is not None
        found = [job for job in jobs() if job.told["name"] == name[1]]
        rest = rest[2:]
    else:
        found = [job for job in jobs() if str(job.number) == rest[0]]
        rest = rest[1:]
    assert rest[0] == "-af"
    for job in found:
        for element in job.elements():
            if job.code(element) is None:
                status = "2" if job.pid(element) else "1"
                values = {"ClusterId": str(job.number), "JobStatus": status, "HoldReason": "undefined"}
                print(" ".join(values[name] for name in rest[1:]))


def condor_rm(words: Sequence[str]) -> None:
    """Remove jobs: by SIGTERM, and after a while by SIGKILL."""
    found = options(words, "", ("forcex",))
    (number,) = found[""]
    job = next((job for job in jobs() if str(job.number) == number and not job.is_over()), None)
    if job is None:
        fail(f"Couldn't find/remove all jobs in cluster {number}")
    end_later(job, [signal.SIGKILL] if "forcex" in found else [signal.SIGTERM, signal.SIGKILL])
    print(f"All jobs in cluster {number} have been marked for removal")
