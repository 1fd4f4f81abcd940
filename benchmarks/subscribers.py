"""What a thousand subscribers of live events cost the hub: its CPU time per task, with and without them.

    python -m benchmarks.subscribers [--subscribers 1000] [--tasks 100000] [--rounds 4]

A hub, two engines and a gateway; a Python client runs no-op tasks, in rounds with the subscribers and
without. The hub's CPU time is that of its process, from the system. Then subscribers that do not read are
given more output than waits for anybody: each is dropped with the reason, and none of the others.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ctrlhub import Client, Cluster
from ctrlhub.gateway.token_file import TokenFile
from ctrlhub.wire.places import Profile, state_dir

GOAL = 1.1
SLOW = 10


def cpu_of(pid: int) -> float:
    """Return the CPU time (seconds) of a process so far."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")  # in nanoseconds; `stat` has hundredths of a second
    return sum(int(each.read_text().split()[0]) for each in threads) / 1e9


def per_task(client: Client, pid: int, tasks: int) -> float:
    """Return the hub's CPU time (µs) for each of some tasks."""
    view = client.load_balanced_view()
    before = cpu_of(pid)
    view.map_sync(abs, range(tasks))
    return (cpu_of(pid) - before) / tasks * 1e6


class Crowd:
    """Subscribers, in a process of their own: what they cost is not to slow the client down.

    Parameters
    ----------
    url, token, count
        Of what, with what, and how many.
    """

    def __init__(self, url: str, token: str, count: int) -> None:
        command = [sys.executable, "-m", __spec__.name, "--crowd", url, "--subscribers", str(count)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self._process.stdin is not None
        self._process.stdin.write(f"{token}\n")
        self.counts()  # once all are there

    def counts(self) -> tuple[int, int]:
        """Return how many events have come, and how many subscribers were closed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        events, closed = self._process.stdout.readline().split()
        return int(events), int(closed)

    def go(self) -> None:
        """Have them leave."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


async def crowd(url: str, count: int) -> None:
    """Be a crowd: the token is the first line of the input, and each further one asks for the counts."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    token = (await lines.readline()).decode().strip()
    where = url.replace("http", "ws", 1) + "/api/v1/events?topics=engines,tasks"
    counts = [0, 0]

    async def read(opened: Any) -> None:
        try:
            async for _ in opened:
                counts[0] += 1
        except ConnectionClosed:
            counts[1] += 1

    readers = []
    for first in range(0, count, 50):
        some = range(first, min(first + 50, count))
        opened = await asyncio.gather(*(subscribed(where, token) for _ in some))
        readers += [asyncio.create_task(read(each)) for each in opened]
    while await lines.readline():
        print(*counts, flush=True)
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)


async def subscribed(where: str, token: str) -> Any:
    """Subscribe, as often as a gateway that is asked too much says to try again."""
    headers = {"Authorization": f"Bearer {token}"}
    while True:
        try:
            return await connect(where, additional_headers=headers, compression=None, open_timeout=60)
        except InvalidStatus as error:
            if error.response.status_code != 429:
                raise
            await asyncio.sleep(float(error.response.headers["Retry-After"]))


def stuck(url: str, token: str) -> socket.socket:
    """Return a subscriber that does not read."""
    host, _, port = url.removeprefix("http://").partition(":")
    made = socket.create_connection((host, int(port)))
    made.sendall(
        f"GET /api/v1/events?topics=output HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Authorization: Bearer {token}\r\n\r\n".encode()
    )
    return made


def measured(options: argparse.Namespace, client: Client, url: str, token: str) -> float:
    """Print the figures, and return the ratio: of each round to what was before and after it."""
    pid, tasks = client.status()["hub"]["pid"], options.tasks
    per_task(client, pid, tasks)  # warm
    ratios, events = [], 0
    before = per_task(client, pid, tasks)
    for _ in range(options.rounds):
        there = Crowd(url, token, options.subscribers)
        had, _ = there.counts()
        with_them = per_task(client, pid, tasks)
        has, closed = there.counts()
        there.go()
        assert closed == 0, f"{closed} subscribers were closed"
        events += has - had
        after = per_task(client, pid, tasks)
        ratios.append(with_them / ((before + after) / 2))
        print(f"  without {before:.2f} µs, with {with_them:.2f}, without {after:.2f}: {ratios[-1]:.3f}")
        before = after
    ratio = statistics.median(ratios)
    print(f"hub's CPU per task with {options.subscribers} subscribers / without: {ratio:.3f} (goal {GOAL})")
    print(f"events that reached them meanwhile: {events}")
    return ratio


def dropped(client: Client, url: str, token: str) -> int:
    """Have subscribers that do not read be dropped; return of how many it is told."""
    from tests.support.rest import Rest

    rest = Rest(url, token)
    some = [stuck(url, token) for _ in range(SLOW)]
    code = "import time\nfor n in range(30):\n    print('x' * 50_000, flush=True)\n    time.sleep(0.001)"
    for _ in range(40):
        rest.post("engines/0/execute?wait=60", {"code": code})
    told = 0
    for each in some:
        each.settimeout(30)
        left = b""
        while b"event: dropped" not in left and (data := each.recv(1 << 20)):
            left = (left + data)[-200_000:]
        told += b"event: dropped" in left
        each.close()
    return told


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--crowd", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.crowd:
        asyncio.run(crowd(options.crowd, options.subscribers))
        return
    with Cluster(n=2) as client:
        client.wait_for_engines(2)
        url = client.gateway()
        profile = Profile.named(client.profile, state_dir() / "clusters")
        tokens = {each.role.value: each.secret for each in TokenFile(profile.tokens).now().tokens}
        ratio = measured(options, client, url, tokens["view"])
        told = dropped(client, url, tokens["admin"])
        print(f"subscribers that did not read: {told} of {SLOW} were dropped, with the reason")
    if ratio > GOAL or told != SLOW:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
