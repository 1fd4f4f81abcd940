"""REST: live events and output, to WebSockets and as server-sent events."""

from __future__ import annotations

import json
import socket as sockets
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ctrlhub import Client
from tests.support.processes import until
from tests.support.rest import Rest, rest_of
from tests.support.subscribers import Stream, events, socket

ENOUGH = 12_000_000
"""More output than waits for a subscriber in the gateway and in the sockets."""

COUNT = "import time\nfor n in range(3):\n    print('line', n, flush=True)\n    time.sleep(0.05)"


@pytest.fixture
def rest(client: Client) -> Rest:
    """The interface, for an administrator."""
    return rest_of(client)


@pytest.fixture
def viewer(client: Client) -> Rest:
    """The interface, for somebody who may look."""
    return rest_of(client, "view")


def test_the_end_of_a_request_is_told_to_who_follows_it(rest: Rest, viewer: Rest) -> None:
    """Once, to WebSockets and event streams alike, with its state; also if it is over already."""
    with socket(viewer) as one:
        [name] = rest.post("tasks", {"function": "time:sleep", "args": [0.3]}, 202)["ids"]
        one.send(f'{{"follow": ["{name}"]}}')
        with Stream(viewer, f"follow={name}") as two:
            for told in (events(one), two.events()):
                event = next(each for each in told if each["event"] == "ended")
                assert (event["data"]["id"], event["data"]["state"]) == (name, "done")


def test_output_is_told_while_it_comes(rest: Rest, viewer: Rest) -> None:
    """Of one request, and of all that were made through this gateway; in order and each once."""
    with socket(viewer, "topics=output") as every:
        [name] = rest.post("engines/0/execute", {"code": COUNT, "label": "talks"}, 202)["ids"]
        text = ""
        for event in events(every):
            assert (event["event"], event["data"]["id"]) == ("output", name)
            assert event["data"]["position"] == len(text)
            text += event["data"]["text"]
            if text.count("\n") == 3:
                break
    assert text == "line 0\nline 1\nline 2\n"


def test_output_that_came_before_is_told_first(rest: Rest, viewer: Rest) -> None:
    """Who subscribes while a request runs has all of it."""
    code = "print('first', flush=True)\nimport time\ntime.sleep(60)"
    [name] = rest.post("engines/1/execute", {"code": code}, 202)["ids"]
    until(lambda: rest.get(f"tasks/{name}/output")["stdout"] == "first\n", "it has printed")
    with Stream(viewer, f"output={name}") as stream:
        event = next(each for each in stream.events() if each["event"] == "output")
        assert event["data"]["text"] == "first\n"
    rest.post("engines/1/interrupt")
    assert rest.get(f"tasks/{name}/result?wait=60")["state"] == "failed"


def test_figures_of_all_tasks_are_told_together(rest: Rest, viewer: Rest) -> None:
    """A thousand tasks are no thousand events."""
    with socket(viewer, "topics=tasks") as opened:
        first = next(events(opened))
        rest.post("tasks?wait=60", {"function": "abs", "map": [[n] for n in range(1000)]})
        told = [first]
        for event in events(opened):
            told.append(event)
            if event["data"]["tasks_done"] >= first["data"]["tasks_done"] + 1000:
                break
        assert len(told) < 30


def test_what_engines_do_is_told(rest: Rest, viewer: Rest) -> None:
    """That one left, and that another has come in its place."""
    with socket(viewer, "topics=engines") as opened:
        rest.post("engines/1/restart", None, 202)
        kinds = []
        for event in events(opened):
            if event["data"]["id"] == 1:
                kinds.append(event["event"])
            if kinds and kinds[-1] in ("engine_came", "engine_replaced"):
                break
        assert "key" not in event["data"]
    until(lambda: len(rest.get("engines")["engines"]) == 2, "two engines")


def test_who_comes_back_gets_what_he_missed_or_is_told_that_there_is_a_gap(
    rest: Rest, viewer: Rest
) -> None:
    """By the id of the last event that he had, as browsers say it by themselves."""
    with Stream(viewer, "topics=output") as stream:
        rest.post("engines/0/execute?wait=60", {"code": "print(1)"})
        last = next(stream.events())["id"]
    with socket(viewer, "topics=output"):  # somebody is there, so that events are made
        rest.post("engines/0/execute?wait=60", {"code": "print(2)"})
        with Stream(viewer, "topics=output", last) as stream:
            assert next(stream.events())["data"]["text"] == "2\n"
    with Stream(viewer, "topics=output", "nonsense-1") as stream:
        assert next(stream.events())["event"] == "gap"


@pytest.mark.parametrize("message", ["{", '{"follow": ["../x"]}', '{"run": 1}', "[" * 50_000, b"\xff\xfe"])
def test_what_a_subscriber_says_wrongly_is_refused_and_he_stays(
    viewer: Rest, message: str | bytes
) -> None:
    """An event says what was wrong."""
    with socket(viewer, "topics=output") as opened:
        opened.send(message)
        event = next(events(opened))
        assert event["event"] == "refused"
        assert event["data"]["reason"]


def test_a_subscriber_names_so_many_requests_and_no_more(viewer: Rest) -> None:
    """What would be too much is refused as a whole, the rest stays; and so is a subscription to too many."""
    with socket(viewer, "topics=output") as opened:
        for n in range(3):
            opened.send(json.dumps({"follow": [f"9-{600 * n + k}" for k in range(600)]}))
        for _ in range(2):
            event = next(events(opened))
            assert event["event"] == "refused"
            assert "1200 requests" in event["data"]["reason"]
        opened.send(json.dumps({"unfollow": [f"9-{k}" for k in range(600)], "follow": ["9-7000"]}))
        opened.send("{")
        assert "1200" not in next(events(opened))["data"]["reason"]
    both = ",".join(f"9-{k}" for k in range(600))
    refused = viewer.ask("GET", f"events?follow={both}&output={both}")
    assert (refused.status, refused.json["error"]["code"]) == (400, "invalid_request")


def test_more_requests_are_followed_than_one_call_may_name(rest: Rest, viewer: Rest) -> None:
    """What others follow, in whatever number, is no matter to who follows one more."""
    [name] = rest.post("tasks", {"function": "time:sleep", "args": [0.1]}, 202)["ids"]
    with ExitStack() as stack:
        for n in range(33):
            many = stack.enter_context(socket(viewer, "topics=output"))
            many.send(json.dumps({"follow": [f"{n}-{k}" for k in range(10**6, 10**6 + 1000)]}))
        one = stack.enter_context(socket(viewer, f"follow={name}"))
        event = next(each for each in events(one) if each["event"] == "ended")
        assert event["data"]["id"] == name


@pytest.mark.parametrize("query", ["topics=nothing", "follow=x", "sort=1", "topics=tasks&topics=engines"])
def test_a_subscription_that_is_wrong_is_refused(viewer: Rest, query: str) -> None:
    """As any other request is."""
    assert viewer.ask("GET", f"events?{query}").status == 400


def test_who_does_not_read_is_dropped_and_nobody_else(rest: Rest, viewer: Rest) -> None:
    """The slow one is told so, and its connection is closed; the quick one is told on."""
    where = urlsplit(viewer.url)
    assert where.hostname is not None
    slow = sockets.socket()
    slow.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 65_536)
    slow.connect((where.hostname, where.port))
    slow.sendall(
        f"GET /api/v1/events?topics=output HTTP/1.1\r\nHost: {where.netloc}\r\n"
        f"Authorization: Bearer {viewer.token}\r\n\r\n".encode()
    )
    try:
        with socket(viewer, "topics=output") as quick:
            code = "import time\nfor n in range(30):\n    print('x' * 50_000, flush=True)\n    time.sleep(0.001)"
            told = events(quick)
            size = 0
            while size < ENOUGH:  # and no more: the slow one has 10 s to read that it was dropped
                [done] = rest.post("engines/0/execute?wait=60", {"code": code})["results"]
                while (event := next(told))["event"] != "output_left_out" and event["data"]["id"] != done["id"]:
                    size += len(event["data"]["text"])
                # What came too fast for the gateway itself is told of, without an id.
        slow.settimeout(20)
        left = b""
        while b"event: dropped" not in left:
            data = slow.recv(1 << 20)
            assert data, "it is told before the connection ends"
            left = (left + data)[-100_000:]
    finally:
        slow.close()


def test_output_of_other_clients_is_told_while_their_requests_run(
    client: Client, viewer: Rest, tmp_path: Path
) -> None:
    """What a ZeroMQ client's task prints is there before the task ends; and what comes with its end, once."""
    held = tmp_path / "held"
    with Stream(viewer, "topics=output") as stream:
        result = client.load_balanced_view().apply_async(_waits_for, str(held))
        name, told = result.msg_ids[0], []
        for event in stream.events():
            if event["event"] == "output" and event["data"]["id"] == name:
                told.append(event["data"])
            if told and not held.exists():
                assert not result.ready()
                assert told[0]["text"] == "it begins\n"
                held.touch()
            if told and told[-1]["text"].endswith("it ends\n"):
                break
        assert "".join(each["text"] for each in told) == "it begins\nit ends\n"
        assert [each["position"] for each in told] == [0, 10]
        assert told[0]["engine"] in (0, 1)
        assert result.get(60) is None
    # Of one request alone, too; who has just asked is told of what is put out from then on.
    with socket(viewer, "topics=tasks") as opened:
        again = tmp_path / "again"
        [number] = (result := client[0].apply_async(_counts, str(again))).msg_ids
        opened.send(json.dumps({"output": [number]}))
        event = next(each for each in events(opened) if each["event"] == "output")
        assert (event["data"]["id"], event["data"]["kind"]) == (number, "stdout")
        assert not result.ready()
        again.touch()
        result.get(60)


def _waits_for(path: str) -> None:
    import os
    import time

    print("it begins", flush=True)
    while not os.path.exists(path):
        time.sleep(0.05)
    print("it ends")


def _counts(path: str) -> None:
    import itertools
    import os
    import time

    for n in itertools.count():
        print(n, flush=True)
        time.sleep(0.05)
        if os.path.exists(path):
            return


def test_displays_are_told_and_not_where_text_stands_between_them(
    rest: Rest, viewer: Rest
) -> None:
    """What is printed to both streams is text, and nothing else."""
    code = "import sys\nprint('out')\nprint('err', file=sys.stderr)\nprint('out')"
    with socket(viewer, "topics=output") as opened:
        [done] = rest.post("engines/0/execute?wait=60", {"code": code})["results"]
        [end] = rest.post("engines/0/execute?wait=60", {"code": "print('end')"})["results"]
        told = []
        for event in events(opened):
            if event["data"]["id"] == end["id"]:
                break
            told.append(event["data"])
    assert {each["id"] for each in told} == {done["id"]}
    assert {each["kind"] for each in told} == {"stdout", "stderr"}
