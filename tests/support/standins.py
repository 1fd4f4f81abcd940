"""Stand-ins for the commands of batch systems that cannot run here: PBS, LSF, HTCondor.

They say and do what the documentation of the real commands says of the options that launchers use,
and run jobs as processes of this host. Whatever else they are asked they refuse, so that a launcher
which relies on more is found out. Run as a program, this file is one of the commands, by its name.

Sources: the reference guides of PBS Professional 2022.1 (qsub, qstat, qdel, qselect, qsig, job
states), of IBM Spectrum LSF 10.1 (bsub, bjobs, bkill), and the manual of HTCondor 23 (condor_submit,
condor_q, condor_rm).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

COMMANDS = (
    "qsub", "qstat", "qdel", "qselect", "qsig", "bsub", "bjobs", "bkill", "condor_submit", "condor_q", "condor_rm",
)  # fmt: skip
PLACE = "CTRLHUB_TEST_STANDINS"
KILL_AFTER = 5.0


def install(place: Path) -> Path:
    """Put the commands into a directory, and return it."""
    commands = place / "bin"
    commands.mkdir()
    for name in COMMANDS:
        path = commands / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{__file__}" {name} "$@"\n')
        path.chmod(0o755)
    (place / "jobs").mkdir()
    return commands


def fail(text: str, code: int = 1) -> NoReturn:
    """End as a command does that cannot do what it was told."""
    print(text, file=sys.stderr)
    sys.exit(code)


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
            [sys.executable, "-S", __file__, "run", str(directory), str(element)],
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


def directives(text: str, prefix: str) -> list[str]:
    """Return the words that a script has for the batch system."""
    import shlex

    words: list[str] = []
    for line in text.splitlines()[1:]:
        if line.startswith(prefix):
            words += shlex.split(line.removeprefix(prefix))
        elif line and not line.startswith("#"):
            break
    return words


def options(words: Sequence[str], with_value: str, flags: Sequence[str] = ()) -> dict[str, list[str]]:
    """Read options; refuse any other."""
    found: dict[str, list[str]] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.lstrip("-") in flags and word.startswith("-"):
            found.setdefault(word.lstrip("-"), [])
        elif word.startswith("-") and word.lstrip("-") in with_value.split():
            found.setdefault(word.lstrip("-"), []).append(rest.pop(0))
        elif word.startswith("-"):
            fail(f"{sys.argv[1]}: illegal option {word}", 2)
        else:
            found.setdefault("", []).append(word)
    return found


# ---------------------------------------------------------------- PBS


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


# ---------------------------------------------------------------- LSF


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


# ---------------------------------------------------------------- HTCondor


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


def main() -> None:
    """Be the command that was called."""
    name, words = sys.argv[1], sys.argv[2:]
    if name == "run":
        run_element(Path(words[0]), int(words[1]))
        return
    command: Callable[[Sequence[str]], None] = globals()[name]
    command(words)


if __name__ == "__main__":
    main()
