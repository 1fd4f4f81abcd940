"""``python -m ctrlhub.controller``: a hub whose creator holds the other end of standard input.

The first line is the configuration (:meth:`HubConfig.to_json`); the end of the input means that the
creator has died, and ends the hub.
"""

from __future__ import annotations

import os
import sys

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.serving import EXIT_USAGE, run


def main() -> int:
    """Read the configuration and run the hub."""
    lifeline = os.dup(0)
    line = sys.stdin.buffer.readline()
    try:
        config = HubConfig.from_json(line.decode())
    except (ValueError, TypeError) as error:
        print(f"ctrl-hub: bad hub configuration on standard input: {error}", file=sys.stderr)
        return EXIT_USAGE
    return run(config, lifeline)


if __name__ == "__main__":
    sys.exit(main())
