"""REST: 202 is said of what is stored, whatever is killed, refused or said again; nothing is left lying."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
import pytest

from ctrlhub import Client
from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.api.idempotency import Claimed, digest_of
from ctrlhub.gateway.api.rest import JOURNAL
from ctrlhub.gateway.token_file import TokenFile
from ctrlhub.wire.ids import number_of, to_ranges
from ctrlhub.wire.places import Profile
from tests.support.gateways import process_of
from tests.support.processes import Command, until
from tests.support.rest import Answer, Rest

MOST = 20
"""So many requests a session may have in these tests."""


class Here:
    """A cluster with a gateway, whose parts are killed."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.profile = Profile.named(state=command.state)
        self.gateway = 0
        self.wait()

    def wait(self) -> None:
        """Wait for a gateway that has the hub, another one than before."""
        until(lambda: process_of(self.profile) not in (0, self.gateway) and self._serves(), "one serves")
        self.gateway = process_of(self.profile)

    def _serves(self) -> bool:
        try:
            return self.rest().ask("GET", "hub").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def rest(self, secret: str = "") -> Rest:
        """Return REST, with a token; else an admin's, whose session is gone on with at once."""
        token = TokenFile(self.profile.tokens).now().shown(Role.ADMIN)
        assert token is not None
        return Rest(json.loads(self.profile.gateway.read_text())["url"], secret or token.secret)

    def kill(self) -> None:
        """Kill the gateway."""
        os.kill(self.gateway, signal.SIGKILL)

    @property
    def hub(self) -> int:
        """The process of the hub, which takes its gateway along when it is killed."""
        return psutil.Process(self.gateway).ppid()

    def submit(self, body: Any, key: str) -> Answer:
        """Submit tasks with a key, and return the answer."""
        return self.rest().ask("POST", "tasks", body, {"Idempotency-Key": key})

    def accepted(self, body: Any, key: str = "") -> list[str]:
        """Submit tasks, once there is room for them, and return their ids."""
        headers = {"Idempotency-Key": key} if key else {}

        def say() -> Answer | None:
            answer = self.rest().ask("POST", "tasks", body, headers)
            assert answer.status in (202, 429), answer
            return answer if answer.status == 202 else None

        found: list[str] = until(say, "there is room").json["ids"]
        return found

    def left(self) -> tuple[int, int]:
        """Return how many requests have not ended, and how many results nobody has fetched, of all clients."""
        with Client(self.profile.connection_client) as client:
            found = client.sessions()
        return sum(each.outstanding for each in found), sum(each.results for each in found)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    """A cluster of two engines, whose hub takes few requests of each session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CTRLHUB_HUB_MAX_OUTSTANDING", str(MOST))
        command = Command(tmp_path_factory.mktemp("state"))
        try:
            command.start("-n", "2", "--http", "auto")
            yield Here(command)
            assert command.run("stop").returncode == 0
        finally:
            command.close()


def sleeps(seconds: float, count: int) -> dict[str, Any]:
    """Return a body of tasks that take so long each."""
    return {"function": "time:sleep", "map": [[seconds]] * count}


def states(here: Here, ids: list[str], wait: float = 30) -> list[str]:
    """Return how requests have ended."""
    found = here.rest().ask("GET", f"results?ids={','.join(ids)}&wait={wait}").json["results"]
    return [each["state"] for each in found]


def test_what_a_hub_has_refused_is_not_accepted_however_often_it_is_said(here: Here) -> None:
    """A session with no room answers 429, with a key and without; the key is good once there is room.

    The gateway is killed before, so that it does not know itself how much the session has.
    """
    out = here.accepted(sleeps(60, MOST - 5))
    here.kill()
    here.wait()
    body = sleeps(0, 10)
    for _ in range(2):
        assert here.submit(body, "full").status == 429
    assert here.rest().ask("POST", "tasks", body).status == 429
    assert here.rest().ask("POST", "tasks?wait=60", body).status == 429
    stopped = here.rest().post("tasks/cancel", {"ids": out})
    assert stopped["unknown"] == []

    accepted = here.accepted(body, "full")

    assert states(here, accepted) == ["done"] * 10
    assert here.submit(body, "full").json["ids"] == accepted


def test_more_than_a_session_may_have_is_refused_each_time(here: Here) -> None:
    """Also where it is seen by the gateway alone, with a part of it sent; nothing of it is left."""
    body = sleeps(60, MOST + 5)
    first = [{"function": "time:sleep", "args": [60], "label": "part"}] * 3
    for each in (body, [*first, *({"function": "time:sleep", "args": [60]} for _ in range(MOST))]):
        for _ in range(2):
            assert here.submit(each, f"more-{len(each)}").status == 429
    until(lambda: here.left()[0] == 0, "all of it is stopped")


def test_results_that_a_killed_gateway_has_left_are_fetched_by_the_next(here: Here) -> None:
    """Those that had ended, and those that end later: else the session would be full for good."""
    ids = here.accepted(sleeps(0.2, MOST))
    here.kill()
    here.wait()
    until(lambda: here.left() == (0, 0), "all have ended, and were fetched")
    assert states(here, here.accepted(sleeps(0, MOST))) == ["done"] * MOST
    assert states(here, ids) == ["done"] * MOST


def test_of_a_submission_that_came_in_part_the_rest_is_made(here: Here) -> None:
    """A gateway was killed between two messages of it: what the hub has is not made twice."""
    body = {"function": "os:getpid", "map": [[]] * 4, "label": "in-part"}
    sent = json.dumps(body).encode()
    made = here.accepted({**body, "map": [[]] * 2})
    [token] = [each for each in TokenFile(here.profile.tokens).now().tokens if each.role is Role.ADMIN]
    never = number_of(made[-1]) + 7
    ids = [number_of(made[0]), never, number_of(made[1]), never + 1]
    here.kill()
    claimed = Claimed(f"{token.id} part", digest_of(sent), to_ranges(ids), time.time())
    path = Path(here.profile.directory) / JOURNAL
    path.touch(0o600)  # there may be none yet, and one that is open to others is not read
    with path.open("a") as journal:
        journal.write(claimed.line())
    here.wait()

    accepted = here.accepted(body, "part")

    assert [accepted[0], accepted[2]] == made
    assert states(here, accepted) == ["done"] * 4
    assert len(here.rest().get("tasks?label=in-part")["tasks"]) == 4
    assert here.submit(body, "part").json["ids"] == accepted


def test_a_gateway_killed_while_it_submits_has_submitted_nothing_or_what_is_said_again_completes(
    here: Here,
) -> None:
    """It is killed when the key is written down, and the hub has yet to say that it has stored anything."""
    body = {"function": "os:getpid", "map": [[]] * (MOST - 2), "label": "killed"}
    journal = Path(here.profile.directory) / JOURNAL
    here.accepted({"function": "os:getpid"})  # the session stands
    hub = here.hub

    def say() -> None:
        with pytest.raises((OSError, http.client.HTTPException)):
            here.submit(body, "killed-meanwhile")

    saying = Thread(target=say)
    os.kill(hub, signal.SIGSTOP)
    try:
        saying.start()
        until(lambda: journal.exists() and "killed-meanwhile" in journal.read_text(), "the key is written down")
        here.kill()
    finally:
        os.kill(hub, signal.SIGCONT)
    saying.join()
    here.wait()
    accepted = here.accepted(body, "killed-meanwhile")
    assert states(here, accepted) == ["done"] * (MOST - 2)
    until(lambda: here.left()[0] == 0, "nothing else runs")
    known = here.rest().get("tasks?label=killed")["tasks"]
    assert sorted(each["id"] for each in known) == sorted(accepted)


def test_who_waits_with_a_token_that_is_revoked_is_told_at_once(here: Here) -> None:
    """For a result, or for what it submits; what was submitted goes on."""
    secret = here.command.run("token", "create", "--name", "guest", "--role", "submit").stdout.strip()
    [name] = here.rest(secret).post("tasks", {"function": "time:sleep", "args": [60]}, 202)["ids"]
    answers: list[Answer] = []

    def wait(method: str, path: str, body: Any = None) -> None:
        answers.append(here.rest(secret).ask(method, path, body))

    paths = [("GET", f"tasks/{name}/result?wait=60", None), ("GET", f"results?ids={name}&wait=60", None)]
    asked = [*paths, ("POST", "tasks?wait=60", {"function": "time:sleep", "args": [60], "label": "waited-for"})]
    waiting = [Thread(target=wait, args=each) for each in asked]
    for each in waiting:
        each.start()
    until(lambda: here.rest().get("tasks?label=waited-for")["tasks"], "all have asked")
    assert here.command.run("token", "revoke", "guest").returncode == 0
    for each in waiting:
        each.join()
    assert [each.status for each in answers] == [401] * 3
    [other] = here.rest().get("tasks?label=waited-for")["tasks"]
    assert other["state"] in ("queued", "running")
    assert sorted(here.rest().post("tasks/cancel", {"ids": [name, other["id"]]})["interrupted"])


def test_a_hub_killed_while_tasks_are_accepted_one_by_one_has_stored_each(here: Here) -> None:
    """Its result may have come before that, and is no reason to say that a task is accepted."""
    accepted: list[str] = []
    enough = Event()

    def say(rest: Rest) -> None:
        with suppress(OSError, http.client.HTTPException):  # the end
            for number in count():
                answer = rest.ask("POST", "tasks", {"function": "builtins:abs", "args": [-number]})
                if answer.status != 202:
                    return
                accepted.append(answer.json["ids"][0])
                if number == 30:
                    enough.set()

    hub, saying = here.hub, Thread(target=say, args=(here.rest(),))
    saying.start()
    assert enough.wait(60)
    os.kill(hub, signal.SIGKILL)
    saying.join()
    here.wait()
    found = here.rest().get(f"results?ids={','.join(accepted)}&wait=60")["results"]
    assert [each["value"] for each in found] == list(range(len(accepted)))
