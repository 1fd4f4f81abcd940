"""What a thousand subscribers of live events cost the hub: its CPU time per task, with and without them.

    python -m benchmarks.subscribers [--subscribers 1000] [--tasks 20000] [--rounds 5]

A hub, two engines and a gateway; a Python client runs no-op tasks, in rounds with the subscribers and
without. The hub's CPU time is that of its process, from the system. Then subscribers that do not read are
given more output than waits for anybody: each is dropped with the reason, and none of the others.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import time
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from ctrlhub import Client, Cluster
from ctrlhub.gateway.token_file import TokenFile
from ctrlhub.wire.places import Profile, state_dir

GOAL = 1.1
SLOW = 10


def cpu_of(pid: int) -> float:
    """Return the CPU time (seconds) of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def per_task(client: Client, pid: int, tasks: int) -> float:
    """Return the hub's CPU time (µs) for each of some tasks."""
    view = client.load_balanced_view()
    before = cpu_of(pid)
    view.map_sync(abs, range(tasks))
    return (cpu_of(pid) - before) / tasks * 1e6


class Crowd:
    """Subscribers, in the event loop of this thread."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.replace("http", "ws", 1) + "/api/v1/events?topics=engines,tasks"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._readers: list[asyncio.Task[None]] = []
        self.events = 0
        self.closed = 0

    async def come(self, count: int) -> None:
        """Subscribe, so many at a time as a gateway takes."""
        for first in range(0, count, 50):
            some = range(first, min(first + 50, count))
            opened = await asyncio.gather(*(self._open() for _ in some))
            self._readers += [asyncio.create_task(self._read(each)) for each in opened]

    async def _open(self) -> Any:
        while True:
            try:
                return await connect(
                    self._url, additional_headers=self._headers, compression=None, open_timeout=60
                )
            except Exception as error:
                if "429" not in str(error):
                    raise
                await asyncio.sleep(1)  # as the answer says

    async def _read(self, opened: Any) -> None:
        try:
            async for _ in opened:
                self.events += 1
        except ConnectionClosed:
            self.closed += 1

    async def go(self) -> None:
        """Leave."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)


def stuck(url: str, token: str) -> socket.socket:
    """Return a subscriber that does not read."""
    host, _, port = url.removeprefix("http://").partition(":")
    made = socket.create_connection((host, int(port)))
    made.sendall(
        f"GET /api/v1/events?topics=output HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Authorization: Bearer {token}\r\n\r\n".encode()
    )
    return made


async def measured(options: argparse.Namespace, client: Client, url: str, token: str) -> float:
    """Print the figures, and return the ratio."""
    pid = client.status()["hub"]["pid"]
    await asyncio.to_thread(per_task, client, pid, options.tasks)  # warm
    without, with_them = [], []
    events = 0
    for _ in range(options.rounds):
        without.append(await asyncio.to_thread(per_task, client, pid, options.tasks))
        crowd = Crowd(url, token)
        await crowd.come(options.subscribers)
        await asyncio.sleep(2)  # their first events are none of the tasks'
        before, began = crowd.events, time.perf_counter()
        with_them.append(await asyncio.to_thread(per_task, client, pid, options.tasks))
        took = time.perf_counter() - began
        await asyncio.sleep(1.5)
        events += crowd.events - before
        assert crowd.closed == 0, f"{crowd.closed} subscribers were closed"
        await crowd.go()
        print(f"  round: {without[-1]:.2f} µs without, {with_them[-1]:.2f} µs with, {options.tasks / took:,.0f} tasks/s")
    ratio = statistics.median(with_them) / statistics.median(without)
    print(f"hub's CPU per task: {statistics.median(without):.2f} µs without subscribers, "
          f"{statistics.median(with_them):.2f} µs with {options.subscribers}: ratio {ratio:.3f} (goal {GOAL})")  # fmt: skip
    print(f"events that reached them: {events}")
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
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with Cluster(n=2) as client:
        client.wait_for_engines(2)
        url = client.gateway()
        profile = Profile.named(client.profile, state_dir() / "clusters")
        tokens = {each.role.value: each.secret for each in TokenFile(profile.tokens).now().tokens}
        ratio = asyncio.run(measured(options, client, url, tokens["view"]))
        told = dropped(client, url, tokens["admin"])
        print(f"subscribers that did not read: {told} of {SLOW} were dropped, with the reason")
    if ratio > GOAL or told != SLOW:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
