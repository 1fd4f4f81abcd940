"""The unit of systemd's that stands among the examples."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click

from ctrlhub.cli import main
from ctrlhub.cli.exits import Exit

UNIT = Path(__file__).parents[2] / "examples" / "systemd" / "ctrl-hub@.service"


def values(key: str) -> list[str]:
    """Return what the unit says under a key."""
    lines = UNIT.read_text().splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


def test_systemd_understands_it(
    require_system_part: Callable[[str, bool], None], tmp_path: Path
) -> None:
    """It has nothing to complain about, once the command is where the unit says."""
    require_system_part("systemd-analyze (Debian: systemd)", shutil.which("systemd-analyze") is not None)
    (place,) = values("ExecStart")
    program = place.split()[0]
    unit = tmp_path / "ctrl-hub@work.service"
    unit.write_text(UNIT.read_text().replace(program, sys.executable))

    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_its_command_is_one() -> None:
    """Command and options exist, and the exit codes that it names mean what it says."""
    (place,) = values("ExecStart")
    name, *arguments = shlex.split(place.replace("%i", "work"))[1:]
    command = main.get_command(click.Context(main), name)
    assert command is not None
    options = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    assert {each for each in arguments if each.startswith("--")} <= options
    assert [int(code) for code in values("RestartPreventExitStatus")[0].split()] == [Exit.USAGE, Exit.ALREADY_RUNNING]
