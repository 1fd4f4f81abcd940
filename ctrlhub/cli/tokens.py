"""Where a command finds a connection token: never among its arguments, which everybody can see."""

from __future__ import annotations

import os
import sys

import click

TOKEN_VARIABLE = "CTRLHUB_TOKEN"
MOST_BYTES = 128 * 1024


def take_token(from_stdin: bool, has_file: bool) -> str:
    """Return the token of standard input, or of the environment; "" for none.

    It does not stay in the environment, which user code and all that it starts would inherit.

    Parameters
    ----------
    from_stdin
        It is the first line of standard input.
    has_file
        A connection file was named.
    """
    found = os.environ.pop(TOKEN_VARIABLE, "").strip()
    if from_stdin:
        if has_file:
            raise click.UsageError("--token-stdin and --connection are two ways: give one")
        found = _first_line(sys.stdin.fileno())
        if not found:
            raise click.UsageError(
                "--token-stdin: there is no token on standard input; `ctrl-hub engines token` prints it"
            )
    return "" if has_file else found


def _first_line(descriptor: int) -> str:
    # Not a byte more than the line: what follows may be somebody else's.
    line = bytearray()
    while len(line) < MOST_BYTES and (byte := os.read(descriptor, 1)) not in (b"", b"\n"):
        line += byte
    return line.decode("ascii", "replace").strip()
