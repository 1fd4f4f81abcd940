"""What is due is done then, however seldom the hub looks at its peers."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from ctrlhub import Client, Cluster, TaskTimeout, TimeLimitExceeded
from ctrlhub.controller.core.awaiting import GRACE
from tests.support.processes import until
from tests.support.state import own_state

WAIT = 60.0


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client whose hub has a beat longer than any of these tests, and nothing due by itself."""
    with (
        own_state(tmp_path_factory.mktemp("state")),
        Cluster(n=2, beat=300.0, suspect=900.0, lost=1800.0) as client,
    ):
        begun = client.status()["hub"]["started"]
        until(lambda: time.time() > begun + 1.2 * GRACE, "the hub is young no more")
        yield client


def test_a_time_limit_strikes_what_runs(client: Client) -> None:
    """Long before the task would end, and before the hub's next beat."""
    view = client.load_balanced_view(time_limit=0.2)
    with pytest.raises(TimeLimitExceeded):
        view.apply_async(time.sleep, WAIT).get(WAIT / 2)


def test_a_time_in_the_queue_ends(client: Client) -> None:
    """While nothing else happens at the hub."""
    busy = client[:].apply_async(time.sleep, WAIT)
    view = client.load_balanced_view(timeout=0.2)
    with pytest.raises(TaskTimeout):
        view.apply_async(abs, 1).get(WAIT / 2)
    busy.cancel()


def test_what_is_stuck_is_killed_once_its_grace_is_over(client: Client) -> None:
    """Its engine comes again."""
    view = client.load_balanced_view(time_limit=0.2, grace=0.2)

    def deaf() -> None:
        import time

        while True:
            try:
                time.sleep(600)
            except KeyboardInterrupt:
                continue

    with pytest.raises(TimeLimitExceeded):
        view.apply_async(deaf).get(WAIT)
