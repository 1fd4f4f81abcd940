"""``python -m ctrlhub.engine``: a nanny whose configuration is the first line of standard input.

What follows is a lifeline: its end means that whoever started this is gone, and everything stops.
"""

from __future__ import annotations

import os
import sys

from ctrlhub.engine.config import NannyConfig
from ctrlhub.engine.nanny import run

STDIN = 0
MOST_CONFIG_BYTES = 1024 * 1024
USAGE = 64
"""Exit code for a configuration that is none."""


def read_line(descriptor: int) -> bytes:
    """Read one line and not a byte more: what follows belongs to somebody else."""
    line = bytearray()
    while len(line) < MOST_CONFIG_BYTES and (byte := os.read(descriptor, 1)) not in (b"", b"\n"):
        line += byte
    return bytes(line)


def main() -> int:
    """Run a nanny and return its exit code."""
    try:
        config = NannyConfig.from_json(read_line(STDIN))
    except ValueError as error:
        print(f"ctrlhub.engine: the first line of standard input: {error}", file=sys.stderr)
        return USAGE
    return run(config, lifeline=STDIN)


if __name__ == "__main__":
    sys.exit(main())
