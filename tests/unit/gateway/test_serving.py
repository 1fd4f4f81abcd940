"""How another gateway would fare after one that could not start."""

from __future__ import annotations

import errno
import os

import pytest

from ctrlhub.gateway.serving import EXIT_FAILED, EXIT_HOPELESS, EXIT_LATER, exit_code_of
from ctrlhub.wire.private import StateError


def state_error(number: int) -> StateError:
    """Return the error of a file that cannot be written."""
    try:
        raise StateError("cannot write gateway.json") from OSError(number, os.strerror(number))
    except StateError as error:
        return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (state_error(errno.ENOSPC), EXIT_LATER),
        (OSError(errno.ENOSPC, "no room"), EXIT_LATER),
        (state_error(errno.EDQUOT), EXIT_LATER),
        (state_error(errno.EACCES), EXIT_HOPELESS),
        (state_error(errno.EIO), EXIT_HOPELESS),
        (StateError("tokens.json is open to other users"), EXIT_HOPELESS),
        (OSError(errno.EADDRINUSE, "taken"), EXIT_HOPELESS),
        (OSError(errno.EMFILE, "too many files"), EXIT_FAILED),
        (ValueError("no certificate"), EXIT_HOPELESS),
    ],
)
def test_how_another_one_would_fare(error: Exception, code: int) -> None:
    """No better, where somebody has to do something; better, once a full disk has room; else nobody knows."""
    assert exit_code_of(error) == code
