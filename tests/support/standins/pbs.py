"""The commands of PBS."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path

from tests.support.standins.jobs import PLACE, Job, end_later, jobs, submit
from tests.support.standins.words import directives, fail, options


def _pbs_id(job: Job) -> str:
    return f"{job.number}[].standin" if job.told["array"] else f"{job.number}.standin"


def _pbs_find(name: str, command: str) -> Job:
    found = next((job for job in jobs() if _pbs_id(job) == name), None)
    if found is None:
        fail(f"{command}: Unknown Job Id {name}", 153)
    return found


def qsub(words: Sequence[str]) -> None:
    """Submit a script."""
    (script,) = words
    text = Path(script).read_text()
    found = options(directives(text, "#PBS"), "N S j o l J r q A")
    if found.get("q", ["work"]) != ["work"]:
        fail("qsub: Unknown queue", 170)
    name = found["N"][0]
    if len(name) > 230 or not name[0].isalpha():
        fail("qsub: illegal -N value", 2)
    array = "J" in found
    size = int(re.fullmatch(r"1-(\d+)", found["J"][0])[1]) if array else 1  # type: ignore[index]
    if array and (size < 2 or "r" in found):
        fail("qsub: Illegal attribute or resource value", 2)
    kept = Path(os.environ[PLACE]) / f"script-{name}"
    kept.write_text(text)
    out = f"{found['o'][0]}{name}.o%I"
    job = submit(
        name, size, ["/bin/bash", str(kept)], array=array, stdin="/dev/null", stdout=out, stderr=out,
        environment={"PBS_ARRAY_INDEX": "%I"} if array else {},
    )  # fmt: skip
    print(_pbs_id(job))


def qstat(words: Sequence[str]) -> None:
    """Say how a job is, as JSON; those that have ended only with -x."""
    found = options(words, "F", ("x", "t", "f"))
    (name,) = found[""]
    assert found["F"] == ["json"]
    job = _pbs_find(name, "qstat")
    listed: dict[str, object] = {}
    if job.told["array"]:
        listed[name] = {"Job_Name": job.told["name"], "job_state": "F" if job.is_over() else "B"}
    for element in job.elements():
        code, pid = job.code(element), job.pid(element)
        each: dict[str, object] = {"Job_Name": job.told["name"]}
        if code is not None:
            each |= {"job_state": "X" if job.told["array"] else "F", "Exit_status": code}
        else:
            each |= {"job_state": "R" if pid else "Q", "comment": "Not Running: not yet" if not pid else ""}
        listed[name.replace("[]", f"[{element + 1}]")] = each
    print(json.dumps({"timestamp": 0, "pbs_version": "stand-in", "Jobs": listed}))


def qdel(words: Sequence[str]) -> None:
    """End a job: by SIGTERM, and after a while by SIGKILL."""
    found = options(words, "W")
    (name,) = found[""]
    job = _pbs_find(name, "qdel")
    if job.is_over():
        fail(f"qdel: Job has finished {name}", 35)
    end_later(job, [signal.SIGKILL] if "W" in found else [signal.SIGTERM, signal.SIGKILL])


def qselect(words: Sequence[str]) -> None:
    """Name the jobs of a name that have not ended."""
    (name,) = options(words, "N")["N"]
    for job in jobs():
        if job.told["name"] == name and not job.is_over():
            print(_pbs_id(job))


def qsig(words: Sequence[str]) -> None:
    """Send a signal."""
    found = options(words, "s")
    _pbs_find(found[""][0], "qsig").kill(signal.Signals[found["s"][0]])
