"""Where a command finds a connection token."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import click
import pytest

from ctrlhub.cli.tokens import TOKEN_VARIABLE, take_token


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A pipe in the place of standard input: what is written to it is read there."""
    reads, writes = os.pipe()
    with open(reads, encoding="ascii") as file:
        monkeypatch.setattr(sys, "stdin", file)
        yield writes
    os.close(writes)


def test_it_is_the_first_line_of_standard_input(stdin: int) -> None:
    """What follows is left to others."""
    os.write(stdin, b"secret\nrest")

    assert take_token(from_stdin=True, has_file=False) == "secret"
    assert os.read(sys.stdin.fileno(), 4) == b"rest"


def test_it_does_not_stay_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """User code would find it there; where a file is named, that counts."""
    monkeypatch.setenv(TOKEN_VARIABLE, "secret\n")
    assert take_token(from_stdin=False, has_file=False) == "secret"
    assert TOKEN_VARIABLE not in os.environ

    monkeypatch.setenv(TOKEN_VARIABLE, "secret")
    assert take_token(from_stdin=False, has_file=True) == ""
    assert TOKEN_VARIABLE not in os.environ


def test_wrong_use_is_said(stdin: int) -> None:
    """Two ways at once, and nothing where there should be something."""
    with pytest.raises(click.UsageError, match="two ways"):
        take_token(from_stdin=True, has_file=True)
    os.write(stdin, b"\n")
    with pytest.raises(click.UsageError, match="there is no token on standard input"):
        take_token(from_stdin=True, has_file=False)
