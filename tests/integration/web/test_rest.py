"""REST: tasks by name, results, engines and their namespaces, over real HTTP against real engines."""

from __future__ import annotations

import json
import os
import time
from base64 import b64decode

import pytest

from ctrlhub import Client, Cluster
from ctrlhub.wire.encoded import Encoded
from tests.support.processes import until
from tests.support.rest import Rest, rest_of


@pytest.fixture
def rest(client: Client) -> Rest:
    """The interface, for an administrator."""
    return rest_of(client)


@pytest.fixture
def viewer(client: Client) -> Rest:
    """The interface, for somebody who may look."""
    return rest_of(client, "view")


def test_a_function_is_run_by_name_and_its_value_comes_with_the_answer(rest: Rest) -> None:
    """Arguments and value are JSON; where it ran, and when, is told."""
    done = rest.post("tasks?wait=60", {"function": "math:hypot", "args": [3, 4]})
    assert done["state"] == "done"
    assert done["value"] == 5.0
    assert done["engine"] in (0, 1)
    assert done["started"] <= done["completed"]
    assert rest.get(f"tasks/{done['id']}/result?wait=60") == done


def test_a_task_that_takes_longer_is_accepted_and_found_by_its_id(rest: Rest, viewer: Rest) -> None:
    """202 with its id; then its state, why it is not there, and in the end its value."""
    accepted = rest.ask("POST", "tasks", {"function": "time:sleep", "args": [0.4], "label": "nap"})
    assert accepted.status == 202
    [name] = accepted.json["ids"]
    assert accepted.headers["Location"].endswith(name)
    known = viewer.get(f"tasks/{name}")
    assert (known["label"], known["kind"]) == ("nap", "task")
    assert known["why"]
    assert viewer.get(f"tasks/{name}/result?wait=60")["state"] == "done"
    assert viewer.get(f"tasks/{name}")["state"] == "done"


def test_what_has_not_ended_is_told_as_such(rest: Rest) -> None:
    """A result that is not there is 202, and cancelling the task stops it."""
    [name] = rest.post("tasks", {"function": "time:sleep", "args": [60]}, 202)["ids"]
    until(lambda: rest.get(f"tasks/{name}")["state"] == "running", "it runs")
    assert rest.ask("GET", f"tasks/{name}/result").status == 202
    assert rest.post(f"tasks/{name}/cancel")["interrupted"] == [name]
    ended = rest.get(f"tasks/{name}/result?wait=60")
    assert ended["state"] == "cancelled"


def test_an_error_comes_with_its_type_message_traceback_and_engine(rest: Rest) -> None:
    """What user code raised is no error of HTTP."""
    rest.post("engines/all/execute?wait=60", {"code": "def f(x):\n    return 1 / x"})
    ended = rest.post("tasks?wait=60", {"function": "f", "args": [0]})
    assert ended["state"] == "failed"
    error = ended["error"]
    assert (error["type"], error["message"]) == ("ZeroDivisionError", "division by zero")
    assert "return 1 / x" in error["traceback"] or "in f" in error["traceback"]
    assert error["engine"] == ended["engine"]
    answer = rest.ask("GET", f"tasks/{ended['id']}/value")
    assert answer.status == 409
    assert "ZeroDivisionError" in answer.json["error"]["message"]


@pytest.mark.parametrize(
    ("function", "args", "type_"),
    [
        ("no_such", [], "NoSuchFunction"), ("no.such.thing", [], "NoSuchFunction"), ("os.sep", [], "NoSuchFunction"),
        ("builtins:object", [], "NotJSON"), ("builtins:float", ["nan"], "NotJSON"), ("math.sqrt", ["x"], "TypeError"),
    ],
)  # fmt: skip
def test_a_call_that_is_wrong_fails_and_says_how(
    rest: Rest, function: str, args: list[object], type_: str
) -> None:
    """A function that is not there, and a value that is no JSON, are errors of the task."""
    ended = rest.post("tasks?wait=60", {"function": function, "args": args})
    assert (ended["state"], ended["error"]["type"]) == ("failed", type_)


def test_many_tasks_are_one_request(rest: Rest) -> None:
    """A map of a thousand, and a list of different ones; results come in order."""
    body = {"function": "builtins:abs", "map": [[-n] for n in range(1000)]}
    done = rest.post("tasks?wait=60", body)["results"]
    assert [each["value"] for each in done] == list(range(1000))
    tasks = [{"function": "abs", "args": [-1]}, {"function": "builtins:len", "args": ["four"]}]
    accepted = rest.post("tasks", tasks, 202)
    answer = rest.ask("GET", accepted["results"].removeprefix("/api/v1/") + "&wait=60")
    assert [each["value"] for each in answer.json["results"]] == [1, 4]


def test_a_task_cannot_have_the_gateway_show_a_page(client: Client, rest: Rest) -> None:
    """Not by what it returns, and not by what it makes of our functions on its engine: values are JSON or bytes."""
    view = client[0]
    made = view.apply_async(_page, "text/html")
    rest.get(f"tasks/{made.msg_id}/result?wait=60")
    assert rest.ask("GET", f"tasks/{made.msg_id}/value").status == 409
    spoilt = view.apply_async(_page, "application/json")
    assert rest.get(f"tasks/{spoilt.msg_id}/result?wait=60")["error"]["type"] == "NotAsSaid"
    view.execute(_LIES, block=True)
    try:
        for name in ("small", "large"):
            answer = rest.ask("GET", f"engines/0/namespace/{name}")
            assert answer.status == 422
            assert answer.headers["Content-Type"].startswith("application/json")
    finally:
        view.execute(_TRUTH, block=True)


def _page(media_type: str) -> Encoded:
    return Encoded(media_type, b"<h1>Log in</h1>")


_LIES = """
import ctrlhub.engine.pieces
from ctrlhub.wire.encoded import Encoded
_true = ctrlhub.engine.pieces.value_of
ctrlhub.engine.pieces.value_of = lambda name: Encoded("text/html", bytes(10 if name == "small" else 5_000_000))
"""
_TRUTH = "ctrlhub.engine.pieces.value_of = _true"


_FORGETFUL = """
import ctrlhub.engine.pieces
class Forgetful(dict):
    def get(self, token):
        there = super().get(token)
        return None if there else there
_true, ctrlhub.engine.pieces._coming = ctrlhub.engine.pieces._coming, Forgetful()
"""
_UPRIGHT = "ctrlhub.engine.pieces._coming = _true"


def test_nothing_stays_on_engines_of_an_upload_that_is_refused(client: Client, rest: Rest) -> None:
    """Whether it is at its end, for what it says it is, or in its midst, since an engine has failed."""
    view, data = client[0], bytes(9_000_000)

    def under_way() -> int:
        return int(view.apply_sync(_under_way))

    path = "engines/0/namespace/never_set"
    assert rest.ask("PUT", path, data, {"Content-Type": "text/plain"}).status == 415
    until(lambda: under_way() == 0, "the engine has forgotten it")
    view.execute(_FORGETFUL, block=True)
    try:
        answer = rest.ask("PUT", path, data, {"Content-Type": "application/octet-stream"})
        assert "the pieces before this one are not here" in answer.json["error"]["message"]
        until(lambda: under_way() == 0, "the engine has forgotten it")
    finally:
        view.execute(_UPRIGHT, block=True)


def _under_way() -> int:
    from ctrlhub.engine import pieces

    return len(pieces._coming)


def test_bytes_stay_bytes(rest: Rest) -> None:
    """A function that returns bytes gives a body of bytes; together with others its size is told."""
    done = rest.post("tasks?wait=60", {"function": "os:urandom", "args": [100_000]})
    assert done["body"] == {"media_type": "application/octet-stream", "bytes": 100_000}
    answer = rest.ask("GET", f"tasks/{done['id']}/value")
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert len(answer.body) == 100_000


def test_options_of_tasks_are_heeded(rest: Rest) -> None:
    """Targets, limits of time, and what it waits for."""
    at = rest.post("tasks?wait=60", {"function": "os:getpid", "targets": [1]})
    assert at["engine"] == 1
    late = rest.post("tasks?wait=60", {"function": "time:sleep", "args": [60], "time_limit": 0.2})
    assert late["error"]["type"] == "TimeLimitExceeded"
    bad = rest.post("tasks?wait=60", {"function": "abs", "args": [1], "after": [late["id"]]})
    assert bad["error"]["type"] == "ImpossibleDependency"


def test_a_key_is_used_once(rest: Rest) -> None:
    """A submission that is said again is the first one; the key of another is refused."""
    body = {"function": "os:getpid", "label": "once"}
    headers = {"Idempotency-Key": "k-1"}
    one = rest.ask("POST", "tasks?wait=60", body, headers)
    two = rest.ask("POST", "tasks?wait=60", body, headers)
    assert one.json == two.json
    assert rest.ask("POST", "tasks", {"function": "abs"}, headers).status == 409
    assert len(rest.get("tasks?label=once")["tasks"]) == 1


def test_requests_are_listed_by_state_and_in_pages(rest: Rest) -> None:
    """Filters hold together; pages go on where the last one ended, without a double or a gap."""
    rest.post("tasks?wait=60", {"function": "abs", "map": [[n] for n in range(7)], "label": "paged"})
    rest.post("tasks?wait=60", {"function": "abs", "args": ["x"], "label": "paged"})
    found, after = [], ""
    while after is not None:
        page = rest.get(f"tasks?label=paged&state=done&limit=3{after and f'&after={after}'}")
        assert len(page["tasks"]) <= 3
        found += [each["id"] for each in page["tasks"]]
        after = page["next"]
    assert len(found) == len(set(found)) == 7
    [failed] = rest.get("tasks?label=paged&state=failed")["tasks"]
    assert "TypeError" in failed["error"]


def test_code_runs_on_the_engines_that_are_named(rest: Rest) -> None:
    """As a cell: what it prints, and the value that it ends with, come with it."""
    [done] = rest.post("engines/1/execute?wait=60", {"code": "print('hi')\n6 * 7"})["results"]
    assert (done["stdout"], done["engine"]) == ("hi\n", 1)
    assert done["execute_result"]["data"]["text/plain"] == "42"
    assert rest.get(f"tasks/{done['id']}/output")["stdout"] == "hi\n"
    both = rest.post("engines/0,1/apply?wait=60", {"function": "os.getpid"})["results"]
    assert [each["engine"] for each in both] == [0, 1]
    assert len({each["value"] for each in both}) == 2


@pytest.mark.parametrize(("size", "kind"), [(3, "octet-stream"), (9_000_001, "octet-stream"), (5, "json"), (3_000_000, "json")])
def test_values_of_a_namespace_are_set_and_read(rest: Rest, size: int, kind: str) -> None:
    """Bytes and JSON, small ones and such as pass in pieces, arrive as they were."""
    data = os.urandom(size) if kind == "octet-stream" else json.dumps(list(range(size // 5)), separators=(",", ":")).encode()
    headers = {"Content-Type": f"application/{kind}"}
    assert rest.ask("PUT", "engines/all/namespace/value_of_mine", data, headers).status == 204
    answer = rest.ask("GET", "engines/1/namespace/value_of_mine")
    assert answer.status == 200
    assert answer.body == data
    assert kind in answer.headers["Content-Type"]
    names = rest.get("engines/0/namespace")["engines"][0]["names"]
    assert names["value_of_mine"] in ("bytes", "list")


def test_results_of_python_clients_are_told_as_far_as_they_are_plain(
    rest: Rest, client: Client
) -> None:
    """What needs a class to be opened is not opened here, and that is said."""
    view = client.load_balanced_view()
    plain, of_a_class = view.apply_async(lambda: {"a": (1, None)}), view.apply_async(lambda: ValueError)
    assert rest.get(f"tasks/{plain.msg_id}/result?wait=60")["value"] == {"a": [1, None]}
    told = rest.get(f"tasks/{of_a_class.msg_id}/result?wait=60")
    assert told["value"] is None
    assert told["error"]["type"] == "OfAClass"


def test_the_state_of_the_hub_is_told(viewer: Rest) -> None:
    """Hub, engines, queues, sets and sessions; to who may only look as well."""
    assert viewer.get("hub")["engines"] == 2
    assert [each["id"] for each in viewer.get("engines")["engines"]] == [0, 1]
    assert viewer.get("engines/1")["now"]["tasks"] == []
    assert {each["id"] for each in viewer.get("queues")["engines"]} == {0, 1}
    assert viewer.get("sets")["sets"] == [{"name": "local", "engines": [0, 1]}]
    assert any(each["state"] == "attached" for each in viewer.get("sessions")["sessions"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "tasks"), ("POST", "engines/all/execute"), ("POST", "engines/all/restart"), ("POST", "tasks/cancel"),
        ("POST", "hub/shutdown"), ("PUT", "engines/0/namespace/x"), ("GET", "engines/0/namespace"),
        ("DELETE", "sessions/5"),
    ],
)  # fmt: skip
def test_who_may_look_changes_nothing(viewer: Rest, method: str, path: str) -> None:
    """And runs nothing, reading a namespace included: that is code on an engine."""
    assert viewer.ask(method, path, {"function": "os:abort", "code": "x"} if method != "GET" else None).status == 403


def test_who_submits_stops_its_own_and_is_told_of_what_is_not(client: Client, rest: Rest) -> None:
    """403 for what others have, and nothing of it is stopped; what nobody has is unknown, as to an admin."""
    submitter = rest_of(client, "submit")
    [theirs] = rest.post("tasks", {"function": "time:sleep", "args": [60]}, 202)["ids"]
    [own] = submitter.post("tasks", {"function": "time:sleep", "args": [60]}, 202)["ids"]
    for path, body in ((f"tasks/{theirs}/cancel", None), ("tasks/cancel", {"ids": [own, theirs]})):
        answer = submitter.ask("POST", path, body)
        assert (answer.status, answer.json["error"]["code"]) == (403, "forbidden")
    assert rest.get(f"tasks/{own}")["state"] in ("queued", "running")
    nothing = {"cancelled": [], "interrupted": [], "finished": [], "unknown": ["1-1"]}
    assert submitter.post("tasks/1-1/cancel") == rest.post("tasks/1-1/cancel") == nothing
    stopped = submitter.post("tasks/cancel", {"ids": [own, "1-1"]})
    assert (stopped["cancelled"] + stopped["interrupted"], stopped["unknown"]) == ([own], ["1-1"])
    rest.post(f"tasks/{theirs}/cancel")
    for name in (own, theirs):
        assert rest.get(f"tasks/{name}/result?wait=60")["state"] == "cancelled"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "tasks/1-1", None, 404, "result_lost"),
        ("GET", "tasks/1-1/result", None, 404, "result_lost"),
        ("GET", "tasks/nonsense", None, 404, "not_found"),
        ("GET", "engines/77", None, 404, "invalid_engine_id"),
        ("POST", "engines/77/execute", {"code": ""}, 404, "invalid_engine_id"),
        ("POST", "tasks", {"function": "f", "target": 1}, 400, "invalid_request"),
        ("POST", "tasks", [], 400, "invalid_request"),
        ("POST", "tasks?wait=1000", {"function": "f"}, 400, "invalid_request"),
        ("GET", "tasks?sort=x", None, 400, "invalid_request"),
        ("GET", "results?ids=1-1..1-99999999", None, 409, "no_range"),
        ("GET", "results?ids=1-9..1-3", None, 409, "no_range"),
        ("GET", "results?ids=1-1..2-3", None, 409, "no_range"),
        ("GET", "results?ids=1-1...1-3", None, 400, "invalid_request"),
        ("POST", "engines/0/signal", {"signal": "SIGNOTHING"}, 400, "invalid_request"),
        ("GET", "engines/0/namespace/no_such_name", None, 404, "not_found"),
        ("DELETE", "sessions/7", None, 404, "no_such_session"),
        ("POST", "sets/none_such/scale", {"engines": 1}, 404, "not_found"),
    ],
)
def test_what_is_wrong_has_a_status_and_a_word(
    rest: Rest, method: str, path: str, body: object, status: int, code: str
) -> None:
    """Errors have one form, and say what is wrong."""
    answer = rest.ask(method, path, body)
    assert answer.status == status, answer
    error = answer.json["error"]
    assert error["message"]
    assert code in (None, error["code"])


def test_what_is_wrong_is_told_in_words_on_a_line_of_its_own(rest: Rest) -> None:
    """No pattern for ids, and a name for the body; an answer of JSON is a whole line."""
    assert "the id of a request, such as 7-42" in rest.ask("GET", "tasks/xyz").json["error"]["message"]
    assert "the body must be a list" in rest.ask("POST", "tasks", 5).json["error"]["message"]
    for path in ("hub", "tasks"):
        assert rest.ask("GET", path).body.endswith(b"}\n")
    assert rest.ask("POST", "tasks?wait=60", {"function": "os:getpid"}).body.endswith(b"}\n")


def test_script_in_labels_and_errors_is_told_as_text(rest: Rest) -> None:
    """It is JSON of no page: the type says so, and that it is not to be guessed."""
    label = "<script>alert(1)</script>"
    ended = rest.ask("POST", "tasks?wait=60", {"function": "abs", "args": [label], "label": label})
    assert ended.headers["Content-Type"].startswith("application/json")
    assert ended.headers["X-Content-Type-Options"] == "nosniff"
    assert rest.get(f"tasks/{ended.json['id']}")["label"] == label


def test_displays_come_as_they_are(rest: Rest) -> None:
    """What is displayed has its types; bytes of pictures are base64."""
    code = "from IPython.display import display, Image\ndisplay(Image(data=b'\\x89PNG\\r\\n\\x1a\\nx', format='png'))"
    [done] = rest.post("engines/0/execute?wait=60", {"code": code})["results"]
    assert done["state"] == "done", done
    [shown] = done["displays"]
    assert b64decode(shown["data"]["image/png"]).startswith(b"\x89PNG")


def test_a_set_is_scaled_and_engines_are_signalled_and_drained(rest: Rest) -> None:
    """One more engine comes, takes a signal, runs what it is given, and leaves in good order."""
    scaled = rest.post("sets/local/scale", {"engines": 3, "wait": True})
    assert (scaled["set"], len(scaled["engines"])) == ("local", 3)
    new = scaled["engines"][-1]
    assert rest.post(f"engines/{new}/signal", {"signal": "SIGCONT"})["engines"] == [new]
    [done] = rest.post(f"engines/{new}/apply?wait=60", {"function": "os.getpid"})["results"]
    assert done["value"] == rest.get(f"engines/{new}")["pid"]
    assert rest.post(f"engines/{new}/drain", {"timeout": 5}, 202)["engines"] == [new]
    until(lambda: len(rest.get("engines")["engines"]) == 2, "it has left")


def test_a_session_that_was_left_is_ended(rest: Rest, cluster: Cluster) -> None:
    """Its tasks are stopped; one that a client is attached to is not ended."""
    left = cluster.connect_client_sync()
    asked = left.load_balanced_view().apply_async(time.sleep, 60)
    attached = rest.ask("DELETE", f"sessions/{left.session}")
    assert (attached.status, attached.json["error"]["code"]) == (409, "session_attached")
    number = left.detach()
    assert rest.ask("DELETE", f"sessions/{number}").status == 204
    until(lambda: rest.ask("GET", f"tasks/{asked.msg_id}").json.get("state") != "running", "it was stopped")
    assert number not in [each["session"] for each in rest.get("sessions")["sessions"]]
