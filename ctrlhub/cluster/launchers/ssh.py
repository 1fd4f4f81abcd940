"""Engines on other hosts, through the user's own ``ssh``.

Theory of operation
-------------------
One ssh for each host brings the script and the token on its standard input, starts a nanny there that
belongs to no terminal and no connection, and ends. So a connection that drops takes no engine with it: engines and
nanny live as long as the hub, and its lease. Whoever ends the set, also another process after this one
was killed, logs in again and ends the nanny by its process id and the moment of its birth; one that was not
recorded is found by the name in its command line.
"""

from __future__ import annotations

import json
import os
import shlex
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ctrlhub.cluster.errors import LauncherError, StartFailed, StopFailed
from ctrlhub.cluster.launchers import far_scripts
from ctrlhub.cluster.launchers.base import Launcher, Phase, SetState
from ctrlhub.cluster.launchers.far import (
    PATIENCE,
    FarAnswer,
    far_command,
    last_words,
    run_far,
    why_not_reached,
)
from ctrlhub.cluster.launchers.hosts import Host, hosts_of, names_of, shared_out
from ctrlhub.cluster.launchers.options import LauncherOptions, option
from ctrlhub.cluster.launchers.parallel import at_once
from ctrlhub.cluster.launchers.script import Shell, command_line, nanny_command, shell_lines
from ctrlhub.wire.private import make_private_dir, write_private

_MOST_LOG = 64 * 1024
_COMMAND_NOT_FOUND = (126, 127)


T = TypeVar("T")
R = TypeVar("R")

Far = dict[str, Any]
"""What was started on one host: `host` and `engines`; `pid`, `birth`, `node`, `log` and `logs` of its nanny; or the
`trouble` there was, with its last words, `said`."""


@dataclass(frozen=True, kw_only=True)
class SshOptions(LauncherOptions):
    """What the launcher through ssh can be told."""

    hosts: str = option("The hosts, and how many engines each has: a,b:4,me@c:8. Those without share the rest.")
    ssh: str = option("The ssh to use, with options: `ssh -J gateway -p 2222`.", "ssh")
    state_dir: str = option("Where state is kept there.  [default: the user's state directory there]")
    engine_options: tuple[str, ...] = option("Further options of `ctrl-hub engine` there, such as `--gpus 0,1`.", ())

    def __post_init__(self) -> None:
        super().__post_init__()
        hosts_of(self.hosts)
        for name in ("ssh", *(f"engine_options {each}" for each in self.engine_options)):
            text = self.ssh if name == "ssh" else name
            try:
                empty = not shlex.split(text)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
            if empty:
                raise ValueError(f"{name}: there is no command")


class SshLauncher(Launcher):
    """Runs a nanny on each of several hosts."""

    name = "ssh"
    options_type = SshOptions
    handle_types: ClassVar[Mapping[str, type]] = {"hosts": list}

    options: SshOptions

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._given_up = threading.Event()

    def plan(self) -> str:
        """Return the command, and the script that it brings, for each host."""
        parts = []
        for host in self._hosts():
            script = self._script(host)
            command = shlex.join(far_command(self.options.ssh, host.name, len(script.encode())))
            parts.append(f"# {host.name}: {host.engines} engines\n{command}\n# standard input: this, and the token\n{script}")
        return "\n".join(parts)

    def described(self) -> str:
        """Name the hosts."""
        names = [str(far["host"]) for far in self._fars()]
        return f"host {names[0]}" if len(names) == 1 else f"{len(names)} hosts: {', '.join(names)}"

    def options_to_grow(self) -> dict[str, Any]:
        """Return them for the same hosts, which share whatever is to come."""
        return super().options_to_grow() | {"hosts": names_of(hosts_of(self.options.hosts))}

    def launch(self) -> Mapping[str, Any]:
        """Start a nanny on each host."""
        token = self.token_file.read_bytes()
        try:
            answers = self._at_once(
                self._hosts(), lambda host: self._run(host.name, self._script(host), token)
            )
        except LauncherError as error:  # there is no ssh, so nobody has been anywhere
            raise StartFailed(str(error)) from error
        fars = [self._far_of(host, answer) for host, answer in zip(self._hosts(), answers, strict=True)]
        if not any(answer.was_reached for answer in answers):
            told = "; ".join(f"host {far['host']}: {far['trouble']}" for far in fars)
            raise StartFailed(f"engines {self.spec.key!r}: {told}")
        return {"hosts": fars}

    def recover(self) -> Mapping[str, Any]:
        """Find the nannies by the name in their command lines."""
        answers = self._at_once(
            self._hosts(),
            lambda host: self._run(host.name, far_scripts.find(self._name_on(host), self._far_logs())),
        )
        silent = [answer for answer in answers if not answer.was_reached]
        if silent:
            told = "; ".join(f"host {each.host}: {why_not_reached(each, self.options.ssh)}" for each in silent)
            raise LauncherError(f"it cannot be seen what runs there: {told}")
        found = [
            far
            for host, answer in zip(self._hosts(), answers, strict=True)
            if (far := _found(host, answer)) is not None
        ]
        return {"hosts": found} if found else {}

    def state(self) -> SetState:
        """Look at the nanny of each host."""
        try:
            self.take_up()
        except LauncherError as error:
            return SetState(Phase.UNKNOWN, str(error))
        fars = self._fars()
        if not fars:
            return SetState(Phase.FAILED, "it was not started")
        return _together(self._at_once(fars, self._look))

    def signal(self, number: int) -> None:
        """Signal the nannies."""
        self.take_up()
        answers = self._ask(lambda far: far_scripts.signal(far, number))
        self._check(answers, LauncherError)

    def end(self, patience: float) -> None:
        """End the nannies."""
        answers = self._ask(lambda far: far_scripts.end(far, patience), timeout=patience + PATIENCE)
        self._check(answers, StopFailed)
        left = [each.host for each in answers if each.word(far_scripts.STATE) == "running"]
        if left:
            raise StopFailed(f"the nannies on {', '.join(left)} cannot be ended")

    def logs(self) -> list[Path]:
        """Fetch the ends of the logs, and return where they are."""
        for far in self._running():
            if not Path(far["log"]).exists():  # else the hosts share a file system
                self._fetch(far)
        return super().logs()

    # ------------------------------------------------------------ scripts

    def _hosts(self) -> tuple[Host, ...]:
        return shared_out(hosts_of(self.options.hosts), self.spec.n)

    def _script(self, host: Host) -> str:
        others = [word for each in self.options.engine_options for word in shlex.split(each)]
        command = nanny_command(
            self.options.python_here(),
            self.spec,
            host.engines,
            profile=self.profile.name,
            state_dir=self.options.state_dir,
            logs=Shell(self._far_logs()),
            others=["--detach", self._name_on(host), *others],
        )
        return "\n".join([*shell_lines(self.spec, self.options), f"exec {command_line(command)}", ""])

    def _name_on(self, host: Host) -> str:
        """Return what a nanny is found by: also where one machine is a host by two names."""
        return f"{self.job_name}@{host.name}"

    def _far_logs(self) -> str:
        """Return the directory of the logs there, as a POSIX shell writes it."""
        below = f"profiles/{self.profile.name}/logs/sets/{self.spec.key}"
        if self.options.state_dir:
            return shlex.quote(f"{self.options.state_dir}/{below}")
        return '"${CTRLHUB_STATE_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/ctrlhub}/' + below + '"'

    # ------------------------------------------------------------ hosts

    def _fars(self) -> list[Far]:
        return list(self.handle.get("hosts", ()))

    def _running(self) -> list[Far]:
        return [far for far in self._fars() if "pid" in far]

    def _at_once(self, things: Sequence[T], do: Callable[[T], R]) -> list[R]:
        """Do something with each; Ctrl-C does not wait for a host that does not answer."""
        try:
            return at_once(things, do, self._given_up)
        except BaseException:
            self._given_up = threading.Event()
            raise

    def _run(self, host: str, script: str, rest: bytes = b"", timeout: float = PATIENCE) -> FarAnswer:
        return run_far(self.options.ssh, host, script, rest, timeout, self._given_up)

    def _ask(self, script: Callable[[Far], str], timeout: float = PATIENCE) -> list[FarAnswer]:
        return self._at_once(
            self._running(),
            lambda far: self._run(str(far["host"]), script(far), timeout=timeout),
        )

    def _check(self, answers: Sequence[FarAnswer], error: type[Exception]) -> None:
        silent = [each for each in answers if each.word(far_scripts.STATE) is None]
        if silent:
            told = "; ".join(f"host {each.host}: {self._why(each)}" for each in silent)
            raise error(
                f"{told}. Engines there end when the hub is stopped, or has been away for its lease; "
                "do it again when the host is back"
            )

    def _why(self, answer: FarAnswer) -> str:
        if not answer.was_reached:
            return why_not_reached(answer, self.options.ssh)
        return last_words(answer.err or answer.out) or f"exit code {answer.code}"

    def _far_of(self, host: Host, answer: FarAnswer) -> Far:
        """Return what was started on a host, or why nothing was."""
        far: Far = {"host": host.name, "engines": host.engines}
        word = answer.word(far_scripts.DETACHED)
        if answer.code == 0 and word is not None:
            return {**far, **json.loads(word)}
        said = last_words(answer.err or answer.out)
        if not answer.was_reached:
            why = why_not_reached(answer, self.options.ssh)
        elif "No module named ctrlhub" in answer.err:
            why = (
                f"{self.options.python_here()} has no ctrl-hub there: install the same version, or say with "
                "--python which Python has it"
            )
        elif answer.code in _COMMAND_NOT_FOUND:
            why = f"there is no {self.options.python_here()} there: say with --python which Python to run"
        else:
            why = f"exit code {answer.code}"
        return {**far, "trouble": why, "said": said}

    def _look(self, far: Far) -> tuple[str, SetState]:
        host = str(far["host"])
        if "pid" not in far:
            return host, SetState(Phase.FAILED, str(far["trouble"]), str(far["said"]))
        answer = self._run(host, far_scripts.look(far))
        word = answer.word(far_scripts.STATE)
        if word is None:
            return host, SetState(Phase.UNKNOWN, self._why(answer))
        if word == "running":
            return host, SetState(Phase.RUNNING)
        code = word.removeprefix("ended").strip()
        if code == "0":
            return host, SetState(Phase.ENDED)
        log = last_words(answer.out.partition(far_scripts.STATE)[2].partition("\n")[2], 20)
        how = f"its nanny ended with exit code {code}" if code else "its nanny was killed, or could not begin"
        return host, SetState(Phase.FAILED, how, log)

    def _fetch(self, far: Far) -> None:
        answer = self._run(str(far["host"]), far_scripts.fetch(str(far["logs"]), _MOST_LOG))
        directory = self.log_dir / f"from-{far['node']}"
        rest = answer.out
        while "ctrl-hub-log " in rest:
            head, _, rest = rest.partition("ctrl-hub-log ")[2].partition("\n")
            size, _, name = head.partition(" ")
            text, rest = rest[: int(size)], rest[int(size) :]
            path = directory / name.replace("/", "-")
            make_private_dir(self.log_dir)
            make_private_dir(directory)
            write_private(path, text.encode())


def _found(host: Host, answer: FarAnswer) -> Far | None:
    """Return the nanny among the processes that have its name: the one that none of the others has started."""
    rows = [
        line.removeprefix(far_scripts.FOUND).split(" ", 4)
        for line in answer.out.splitlines()
        if line.startswith(far_scripts.FOUND)
    ]
    pids = {row[0] for row in rows}
    eldest = [row for row in rows if row[1] not in pids]
    if not eldest:
        return None
    pid, _, birth, node, logs = eldest[0]
    return {
        "host": host.name, "engines": host.engines, "pid": int(pid), "birth": "" if birth == "-" else birth,
        "node": node, "logs": logs, "log": os.path.join(logs, f"nanny-{node}.log"),
    }  # fmt: skip


def _together(states: Sequence[tuple[str, SetState]]) -> SetState:
    """Say how a set is, of which each host is known."""
    by_phase: dict[Phase, list[tuple[str, SetState]]] = {}
    for host, state in states:
        by_phase.setdefault(state.phase, []).append((host, state))
    others = "; ".join(
        f"host {host}: {state.reason or state.phase.value}"
        for host, state in states
        if state.phase is not Phase.RUNNING
    )
    for phase in (Phase.RUNNING, Phase.UNKNOWN):
        if phase in by_phase:
            return SetState(phase, others)
    if Phase.FAILED in by_phase:
        return SetState(Phase.FAILED, others, by_phase[Phase.FAILED][0][1].log)
    return SetState(Phase.ENDED)
