"""From nothing to the first result: ``python -m benchmarks.first_result PEER ENGINES``.

Prints a line once every engine has returned something, and another once all is stopped. It imports
the peer and nothing else of the benchmarks, so the peer's start is all that is timed.
"""

from __future__ import annotations

import sys

from benchmarks.peers import make


def main() -> None:
    """Start, have each engine say its process id, stop."""
    peer = make(sys.argv[1])
    peer.start(int(sys.argv[2]))
    print(*peer.engine_pids(), flush=True)
    peer.stop()
    print("stopped", flush=True)


if __name__ == "__main__":
    main()
