"""Which error ends the command with which code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ctrlhub.cli.exits import Exit, exit_of
from ctrlhub.cluster.errors import ClusterError, StartFailed, StopFailed
from ctrlhub.wire import errors
from ctrlhub.wire.private import StateError

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "cli.md"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.AlreadyRunning(7, "default"), Exit.ALREADY_RUNNING),
        (errors.HubNotFound("x"), Exit.NOT_RUNNING),
        (errors.ControllerStopped("x"), Exit.NOT_RUNNING),
        (errors.HubUnavailable("x"), Exit.NOT_ANSWERING),
        (errors.ConnectionFileError("x"), Exit.BAD_STATE),
        (StateError("x"), Exit.BAD_STATE),
        (errors.AuthenticationError("x"), Exit.REFUSED),
        (errors.ProtocolMismatch("x"), Exit.REFUSED),
        (errors.VersionMismatch("x"), Exit.REFUSED),
        (StartFailed("x"), Exit.START_FAILED),
        (StopFailed("x"), Exit.STOP_FAILED),
        (ClusterError("x"), Exit.ERROR),
        (errors.LimitExceeded("x"), Exit.ERROR),
        (TimeoutError("x"), Exit.NOT_IN_TIME),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.name,
)
def test_error_has_its_code(error: Exception, code: Exit) -> None:
    """A script can tell these ends apart without reading messages."""
    assert exit_of(error) is code


def test_an_error_of_nobodys_has_none() -> None:
    """A bug of ours is shown with its traceback, not dressed up."""
    assert exit_of(ZeroDivisionError()) is None


def test_every_code_says_what_it_means() -> None:
    """No code is left without words."""
    assert [code for code in Exit if not code.meaning] == []


def test_the_documented_codes_are_the_codes() -> None:
    """docs/cli.md lists every code with the words of ``--help``, and no other."""
    documented = re.findall(r"^\| (\d+) \| (.+?) \|", DOCUMENT.read_text(), flags=re.MULTILINE)
    assert documented == [(str(code.value), code.meaning) for code in Exit]
