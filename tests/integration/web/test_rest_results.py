"""REST: results that nobody waits for are on disk until they are fetched, whoever is killed meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from ctrlhub.gateway.api.rest import SHELF
from tests.integration.web.test_rest_stored import Here
from tests.support.processes import Command, until

SIZE = 100_000
COUNT = 80
MOST = 40_000_000


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    """A cluster whose hub remembers hardly a result, and whose gateway keeps some hundreds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CTRLHUB_HUB_HISTORY_BYTES", str(10 * SIZE))
        patch.setenv("CTRLHUB_HTTP_RESULTS_BYTES", str(MOST))
        command = Command(tmp_path_factory.mktemp("state"))
        try:
            command.start("-n", "2", "--http", "auto")
            here = Here(command)
            code = f"import time\ndef some(n): return [n, 'x' * {SIZE}]\ndef slow(n): return time.sleep(0.05) or some(n)"
            body = {"code": code}
            here.rest().post("engines/all/execute?wait=60", body)
            yield here
            assert command.run("stop").returncode == 0
        finally:
            command.close()


def some(function: str = "some") -> dict[str, Any]:
    """Return a body of tasks with such results."""
    return {"function": function, "map": [[n] for n in range(COUNT)]}


def check(here: Here, ids: list[str], wait: float = 60) -> None:
    """See that all results are there, each its own, and none that is not."""
    found = here.rest().get(f"results?ids={ids[0]}..{ids[-1]}&wait={wait}")["results"]
    assert [each["id"] for each in found] == ids
    assert [each["state"] for each in found] == ["done"] * len(ids)
    assert [each["value"] for each in found] == [[n, "x" * SIZE] for n in range(len(ids))]


def test_results_that_nobody_waits_for_are_there_also_after_gateway_and_hub_were_killed(here: Here) -> None:
    """More than the hub remembers: it has let go of them, and they are on disk."""
    ids = here.accepted(some())
    until(lambda: here.left() == (0, 0), "all are with the gateway")
    assert (here.command.state / "profiles/default" / SHELF).is_dir()
    here.kill()
    here.wait()
    check(here, ids)
    os.kill(here.hub, signal.SIGKILL)
    here.wait()
    check(here, ids)


def test_a_gateway_that_is_killed_while_results_come_loses_none(here: Here) -> None:
    """What it had not kept it had not acknowledged."""
    ids = here.accepted(some("slow"))
    until(lambda: 0 < here.left()[0] < COUNT, "some have come")
    here.kill()
    here.wait()
    check(here, ids)


def test_a_hub_that_is_killed_while_results_come_loses_none(here: Here) -> None:
    """Nor does the gateway, which goes with it."""
    ids = here.accepted(some("slow"))
    until(lambda: 0 < here.left()[0] < COUNT, "some have come")
    os.kill(here.hub, signal.SIGKILL)
    here.wait()
    check(here, ids)


def test_results_that_nobody_fetches_stop_submissions_and_not_each_other(here: Here) -> None:
    """All that were accepted are there; once they are fetched, there is room again."""
    accepted: list[list[str]] = []

    def is_refused() -> bool:
        answer = here.rest().ask("POST", "tasks", some())
        if answer.status == 202:
            accepted.append(answer.json["ids"])
            until(lambda: here.left() == (0, 0), "all are with the gateway")
            return False
        assert (answer.status, answer.json["error"]["code"]) == (429, "limit_exceeded")
        assert "results_bytes" in answer.json["error"]["message"]
        return True

    until(is_refused, "there is no room")
    assert 1 <= len(accepted) <= MOST // (COUNT * SIZE) + 1
    for ids in accepted:
        check(here, ids)
    check(here, here.accepted(some()))
