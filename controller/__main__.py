"""``python -m ctrlhub.controller``: a hub whose creator holds the other end of standard input.

The first line is the configuration (:meth:`HubConfig.to_json`); the end of the input means that the
creator has died, and ends the hub.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.exits import EXIT_USAGE
from ctrlhub.controller.serving import run


def main() -> int:
    """Read the configuration and run the hub."""
    lifeline = os.dup(0)
    line = sys.stdin.buffer.readline()
    try:
        config = HubConfig.from_json(line.decode())
    except (ValueError, TypeError) as error:
        print(f"ctrl-hub: bad hub configuration on standard input: {error}", file=sys.stderr)
        return EXIT_USAGE
    try:
        return run(config, lifeline)
    finally:
        _let_go_of_log()


def _let_go_of_log() -> None:
    """Let what cannot be written to the log go, since the disk is full: else Python changes the exit code."""
    try:
        sys.stderr.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stderr.fileno())
        with suppress(OSError):
            sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
