"""Running a script on another host through ``ssh``: nothing of it on a command line, nor on a disk.

What the far login shell is asked to run is the same each time and has nothing in it that any shell would
read in a way of its own. It reads so many bytes of standard input, which are the script; what follows on
standard input is the script's.
"""

from __future__ import annotations

import shlex
import threading
from dataclasses import dataclass

from ctrlhub.cluster.errors import LauncherError
from ctrlhub.cluster.launchers.commands import Answer, CommandMissing, CommandSilent, run_command

SSH_FAILED = 255
"""The exit code by which ssh says that it did not get there."""
PATIENCE = 30.0
"""Seconds that a script has, with the way there."""
CONNECT = 10
"""Seconds that ssh may take to reach a host."""

_ADVICE = (
    (
        "Host key verification failed",
        "its key is not known here, or has changed: `{ssh} {host}` once by hand shows it (or "
        "`ssh-keyscan` for many hosts)",
    ),
    (
        "Permission denied",
        "nobody is here to type a password: put your key there (`ssh-copy-id {host}`), and see that "
        "`{ssh} {host} true` works without a question",
    ),
    ("Could not resolve hostname", "see whether its name is spelt right, or give it in ~/.ssh/config"),
    ("Connection refused", "no ssh server answers there: see its port (in ~/.ssh/config)"),
    ("timed out", "it does not answer: see whether it is up, and no firewall is between"),
)


@dataclass(frozen=True, slots=True)
class FarAnswer:
    """What came of a script on a host.

    Parameters
    ----------
    host
        The host.
    code
        The script's exit code; `SSH_FAILED` if it was not run.
    out, err
        What was written.
    """

    host: str
    code: int
    out: str
    err: str

    @property
    def was_reached(self) -> bool:
        """Whether the script was run."""
        return self.code != SSH_FAILED

    def word(self, mark: str) -> str | None:
        """Return the rest of the last line that begins with a mark: others may be a login's greetings."""
        lines = [line for line in self.out.splitlines() if line.startswith(mark)]
        return lines[-1].removeprefix(mark).strip() if lines else None


def far_command(ssh: str, host: str, length: int) -> list[str]:
    """Return the command that runs a script of so many bytes on a host.

    Parameters
    ----------
    ssh
        The user's ssh, with options.
    host
        The host.
    length
        How long the script is.
    """
    options = [
        "-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT}", "-o", "ClearAllForwardings=yes",
    ]  # fmt: skip
    there = f"exec /bin/sh -c 'eval \"$(dd bs=1 count={length} 2>/dev/null)\"'"
    return [*shlex.split(ssh), *options, "--", host, there]


def run_far(
    ssh: str,
    host: str,
    script: str,
    rest: bytes = b"",
    timeout: float = PATIENCE,
    given_up: threading.Event | None = None,
) -> FarAnswer:
    """Run a script on a host, and return what came of it.

    Parameters
    ----------
    ssh, host
        As for `far_command`.
    script
        In the language of a POSIX shell.
    rest
        The script's standard input.
    timeout
        How long to wait (seconds).
    given_up
        As for `run_command`.

    Raises
    ------
    LauncherError
        There is no ssh here.
    """
    text = script.encode()
    try:
        answer = run_command(
            far_command(ssh, host, len(text)), stdin=text + rest, timeout=timeout, given_up=given_up
        )
    except CommandMissing as error:
        raise LauncherError(
            f"there is no `{shlex.split(ssh)[0]}` on this machine: install OpenSSH's client"
        ) from error
    except CommandSilent:
        answer = Answer(SSH_FAILED, "", f"it has not answered within {timeout:g} s: timed out")
    return FarAnswer(host, answer.code, answer.out, answer.err)


def why_not_reached(answer: FarAnswer, ssh: str) -> str:
    """Say why a host was not reached, and what to do."""
    said = last_words(answer.err) or "ssh does not say why"
    for sign, advice in _ADVICE:
        if sign in answer.err:
            return f"{said.rstrip('.')}: {advice.format(ssh=ssh, host=answer.host)}"
    return said


def last_words(text: str, lines: int = 12) -> str:
    """Return the end of what was written."""
    return "\n".join([line.rstrip() for line in text.strip().splitlines()][-lines:])
