"""The commands of LSF."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.standins.jobs import PLACE, Job, end_later, jobs, submit
from tests.support.standins.words import directives, fail, options


def _lsf_find(number: str) -> Job:
    found = next((job for job in jobs() if str(job.number) == number), None)
    if found is None:
        fail(f"Job <{number}> is not found", 255)
    return found


def bsub(words: Sequence[str]) -> None:
    """Submit the script that comes by standard input."""
    assert not words
    text = sys.stdin.read()
    found = options(directives(text, "#BSUB"), "J o n R W q P M", ("rn",))
    if found.get("q", ["normal"]) != ["normal"]:
        fail("x: No such queue. Job not submitted.", 255)
    name = re.fullmatch(r"(.+)\[1-(\d+)\]", found["J"][0])
    if name is None:
        fail("Bad job name. Job not submitted.", 255)
    kept = Path(os.environ[PLACE]) / f"script-{name[1]}"
    kept.write_text(text)
    out = found["o"][0]
    job = submit(
        name[1], int(name[2]), ["/bin/bash", str(kept)], stdin="/dev/null", stdout=out, stderr=out,
        environment={"LSB_JOBINDEX": "%I"},
    )  # fmt: skip
    print(f"Job <{job.number}> is submitted to default queue <normal>.")


def bjobs(words: Sequence[str]) -> None:
    """List jobs in the format asked for."""
    found = options(words, "o J", ("noheader", "a"))
    if "J" in found:
        listed = [job for job in jobs() if job.told["name"] == found["J"][0] and not job.is_over()]
        if not listed:
            fail(f"Job <{found['J'][0]}> is not found", 255)
    else:
        listed = [_lsf_find(found[""][0])]
    for job in listed:
        for element in job.elements():
            code, pid = job.code(element), job.pid(element)
            state = "DONE" if code == 0 else "EXIT" if code is not None else "RUN" if pid else "PEND"
            if found["o"] == ["jobid"]:
                print(job.number)
            else:
                assert found["o"] == ["stat exit_code pend_reason delimiter='|'"]
                print(f"{state}|{code or '-'}|{'New job is waiting for scheduling;' if state == 'PEND' else ''}")


def bkill(words: Sequence[str]) -> None:
    """End a job: by SIGINT, SIGTERM and SIGKILL, one after another; or signal it."""
    found = options(words, "s", ("r",))
    job = _lsf_find(found[""][0])
    if job.is_over():
        fail(f"Job <{job.number}>: Job has already finished", 255)
    if "s" in found:
        job.kill(signal.Signals[f"SIG{found['s'][0]}"])
    else:
        end_later(job, [signal.SIGKILL] if "r" in found else [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    print(f"Job <{job.number}> is being terminated")
