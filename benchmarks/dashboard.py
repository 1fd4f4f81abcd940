"""What an open dashboard costs the hub: ``python -m benchmarks.dashboard``.

The hub's processor time for each of many no-op tasks, with a real Chromium that shows the dashboard and
without, in turn, so that what else the machine does falls on both. Between, it is waited until the hub
has stopped to sample tasks for who looks. The goal is a ratio of at most 1.1.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ctrlhub import Client, Cluster
from ctrlhub.controller.core.telemetry import WATCHED
from ctrlhub.gateway.token_file import TokenFile
from ctrlhub.wire.places import Profile, state_dir
from tests.support.browser import SIZE, chromium, program
from tests.support.processes import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

GOAL = 1.1


def no_op(value: int) -> int:
    """Do nothing."""
    return value


def used(pid: int) -> float:
    """Return the processor time (seconds) that a process has used, all its threads together."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def cost(client: Client, hub: int, tasks: int) -> tuple[float, float]:
    """Run tasks; return the hub's processor time for each, and how many there were in a second (both measured here)."""
    view = client.load_balanced_view()
    before, began = used(hub), time.perf_counter()
    done = view.map_sync(no_op, range(tasks), chunksize=1)
    seconds, spent = time.perf_counter() - began, used(hub) - before
    assert done == list(range(tasks))
    return spent / tasks, tasks / seconds


def address(client: Client) -> str:
    """Return the URL that shows the dashboard to who may look."""
    url = client.gateway()
    tokens = TokenFile(Profile.named(client.profile, state_dir() / "clusters").tokens).now().tokens
    [secret] = [each.secret for each in tokens if each.role == "view"]
    return f"{url}/?token={secret}"


def measure(client: Client, browser: Browser, tasks: int, repeats: int, pages: int) -> list[tuple[float, float]]:
    """Return pairs of costs, with and without, and say each."""
    hub = client.status()["hub"]["pid"]
    url = address(client)
    cost(client, hub, tasks)  # everything is loaded, and warm
    pairs = []
    for turn in range(repeats):
        contexts = [browser.new_context(viewport=SIZE) for _ in range(pages)]
        opened = [context.new_page() for context in contexts]
        for page in opened:
            page.goto(url)
        for page in opened:
            until(lambda page=page: "engines" in page.title(), "the dashboard is live")  # type: ignore[misc]
        with_it, rate_with = cost(client, hub, tasks)
        for page in opened:
            assert page.locator("#connection-text").inner_text() == "live"
        for context in contexts:
            context.close()
        time.sleep(WATCHED + 1)
        without, rate = cost(client, hub, tasks)
        pairs.append((with_it, without))
        print(
            f"{turn + 1}: with {with_it * 1e6:.2f} µs at {rate_with:,.0f} tasks/s, "
            f"without {without * 1e6:.2f} µs at {rate:,.0f} tasks/s: {with_it / without:.3f}", flush=True,
        )  # fmt: skip
    return pairs


def main() -> int:
    """Measure, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--engines", type=int, default=2)
    parser.add_argument("--browsers", type=int, default=1)
    said = parser.parse_args()
    if program() is None:
        print("needs chromium: make system-parts", file=sys.stderr)
        return 2
    cluster = Cluster(n=said.engines)
    with cluster as started, chromium() as browser:
        client = started if isinstance(started, Client) else cluster.connect_client_sync()
        pairs = measure(client, browser, said.tasks, said.repeats, said.browsers)
    ratio = statistics.median(a for a, _ in pairs) / statistics.median(b for _, b in pairs)
    spread = sorted(a / b for a, b in pairs)
    print(f"hub's CPU per task, with {said.browsers} dashboard(s) open / without: {ratio:.3f} (pairs {spread[0]:.3f} to {spread[-1]:.3f}; goal {GOAL})")
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
