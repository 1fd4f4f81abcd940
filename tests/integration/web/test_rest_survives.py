"""REST: what was accepted outlives the gateway, which is killed here."""

from __future__ import annotations

import os
import signal

from ctrlhub import Client
from tests.support.processes import until
from tests.support.rest import rest_of


def kill_gateway(client: Client) -> None:
    """Kill the gateway's process; return once another one serves."""
    before = client.status()["hub"]["http"]["pid"]
    os.kill(before, signal.SIGKILL)

    def serves() -> bool:
        http = client.status()["hub"]["http"]
        return http["state"] == "serving" and http["pid"] != before

    until(serves, "another gateway serves")


def test_accepted_tasks_go_on_and_their_results_are_found(client: Client) -> None:
    """A gateway killed behind its 202: what ran, and what waited, ends; the next gateway has the results."""
    rest = rest_of(client)
    body = {"function": "time:sleep", "map": [[0.6]] * 4, "label": "outlives"}
    accepted = rest.post("tasks", body, 202)
    kill_gateway(client)
    again = rest_of(client)
    assert again == rest  # the same address, and the token is good
    answer = again.ask("GET", accepted["results"].removeprefix("/api/v1/") + "&wait=60")
    assert [each["state"] for each in answer.json["results"]] == ["done"] * 4, answer


def test_the_session_is_gone_on_with(client: Client) -> None:
    """The next gateway has the session of the one before at once: nothing in it expires, and it is its own."""
    rest = rest_of(client, "submit")
    [name] = rest.post("tasks", {"function": "time:sleep", "args": [60]}, 202)["ids"]
    until(lambda: rest.get(f"tasks/{name}")["state"] == "running", "it runs")
    kill_gateway(client)
    again = rest_of(client, "submit")
    [new] = again.post("tasks", {"function": "os:getpid"}, 202)["ids"]
    assert new.partition("-")[0] == name.partition("-")[0]
    assert again.post(f"tasks/{name}/cancel")["interrupted"] == [name]
    assert again.get(f"tasks/{name}/result?wait=60")["state"] == "cancelled"


def test_a_submission_said_again_to_the_next_gateway_is_the_first_one(client: Client) -> None:
    """Who got no answer says it again, with the same key: it was made once."""
    rest = rest_of(client)
    headers = {"Idempotency-Key": "again"}
    body = {"function": "os:getpid", "map": [[], []], "label": "said-again"}
    first = rest.ask("POST", "tasks", body, headers)
    kill_gateway(client)
    assert rest.ask("POST", "tasks", body, headers).json == first.json
    assert len(rest.get("tasks?label=said-again")["tasks"]) == 2

