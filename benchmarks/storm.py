"""How long it takes until engines that all come at once are registered: ``python -m benchmarks.storm``.

They are real sessions on real sockets without user code (`tests.support.crowd`), and on the same machine
as the hub, whose cores they take: a hub that has some of its own is quicker.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.places import Profile
from tests.support.storm import Storm, cpu_seconds, proportional_memory

WAIT = 300.0
"""Seconds within which all have joined."""

COLUMNS = "{:>5}  {:7}  {:>8}  {:>12}  {:>9}  {:>13}  {:>12}  {:>6}"


def measure(count: int, way: str, keep: float) -> list[str]:
    """Let so many come; return what is to be told of it."""
    command = [sys.executable, "-m", "ctrlhub"]
    with tempfile.TemporaryDirectory() as directory:
        told = ["--state-dir", directory]
        hub = ["--max-engines", str(count), "--listen", "127.0.0.1"]
        subprocess.run(
            [*command, "start", "-n", "0", "--daemonize", *hub, *told], check=True, stdout=subprocess.DEVNULL
        )
        try:
            file = Profile.named(state=Path(directory)).connection_engine
            pid = ConnectionInfo.load(file).hub_pid
            idle = proportional_memory(pid)
            with Storm(file, count, "ipc" if way == "ipc" else "tcp", Path(directory) / "log") as storm:
                worked, begun = cpu_seconds(pid), time.monotonic()
                storm.begin()
                while not storm.have_all_joined and time.monotonic() - begun < WAIT:
                    time.sleep(0.01)
                taken, worked = time.monotonic() - begun, cpu_seconds(pid) - worked
                joined = storm.total("joined")
                time.sleep(keep)
                kept, size = storm.total("joined"), proportional_memory(pid)
        finally:
            subprocess.run([*command, "stop", *told], check=True, stdout=subprocess.DEVNULL)
    mib = 1 << 20
    return [
        str(count), way, f"{joined}", f"{taken:.2f}", f"{1000 * worked / count:.2f}", f"{idle / mib:.0f}",
        f"{size / mib:.0f}", f"{kept}",
    ]  # fmt: skip


def main() -> None:
    """Print a line for each number of engines and each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engines", type=int, nargs="+", default=[250, 500, 1000, 5000])
    parser.add_argument("--ways", nargs="+", choices=["ipc", "tcp"], default=["ipc", "tcp"])
    parser.add_argument("--keep", type=float, default=15.0, help="seconds for which they are to stay")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # and end what was started
    print(COLUMNS.format("count", "way", "joined", "seconds", "hub ms/e", "MiB before", "MiB after", "kept"))
    for way in chosen.ways:
        for count in chosen.engines:
            print(COLUMNS.format(*measure(count, way, chosen.keep)), flush=True)


if __name__ == "__main__":
    main()
