from __future__ import annotations

import json
import pickle
from fractions import Fraction
from typing import Any

import pytest

from ctrlhub.client.rows import TaskCancelled, failed
from ctrlhub.gateway.api import outcomes
from ctrlhub.gateway.api.outcomes import (
    Outcome,
    is_refused,
    outcome_of,
    pieces,
    plain,
    refusal_in,
    when,
)
from ctrlhub.gateway.api.resources import OUTCOME
from ctrlhub.wire.encoded import JSON, OCTETS, Encoded
from ctrlhub.wire.errors import (
    EngineError,
    LimitExceeded,
    OutOfMemory,
    PermissionDenied,
    ResultLost,
    StoreError,
    TaskTimeout,
)
from ctrlhub.wire.failure import Failure, pack_failure
from ctrlhub.wire.messages import Status
from ctrlhub.wire.serialize import dumps


def row(status: Status, payload: Any, engine: int = 2, extras: Any = None) -> tuple[Any, ...]:
    """Return a row as it comes."""
    return (7 << 40 | 42, int(status), payload, engine, 1000.0, 0.5, extras)


def told(outcome: Outcome) -> dict[str, Any]:
    """Return what is told of an outcome, which has the shape that is described."""
    made = json.loads(b"".join(bytes(each) for each in pieces(outcome)))
    OUTCOME.check(made)
    return dict(made)


def test_a_value_that_the_engine_encoded_is_passed_on_as_it_is() -> None:
    """Its JSON stands in the answer, byte for byte."""
    outcome = outcome_of(row(Status.OK, dumps(Encoded(JSON, b'{"a": [1,2]}'))))
    assert told(outcome)["value"] == {"a": [1, 2]}
    assert (outcome.state, outcome.engine) == ("done", 2)


def test_a_long_value_is_told_in_parts() -> None:
    """So that who reads slowly holds one of them, and not all of it."""
    said = b'["' + b"x" * (3 * outcomes.PART) + b'"]'
    outcome = outcome_of(row(Status.OK, dumps(Encoded(JSON, said))))
    assert max(len(each) for each in pieces(outcome)) <= outcomes.PART
    assert told(outcome)["value"] == json.loads(said)


def test_times_are_iso_8601_in_utc() -> None:
    """Also the moment at which it ended; what did not run has none."""
    made = told(outcome_of(row(Status.OK, dumps(None))))
    assert made["started"] == "1970-01-01T00:16:40.000000Z"
    assert made["completed"] == "1970-01-01T00:16:40.500000Z"
    assert when(0) is None


def test_bytes_are_told_by_their_size() -> None:
    """They are no JSON, and are fetched by themselves."""
    made = told(outcome_of(row(Status.OK, dumps(Encoded(OCTETS, b"\xff" * 10)))))
    assert made["value"] is None
    assert made["body"] == {"media_type": OCTETS, "bytes": 10}


@pytest.mark.parametrize("value", [None, [1, "x", {"a": True}], {"s": {1}}, 2**80, (1, 2)])
def test_plain_values_of_python_clients_are_told_as_well(value: Any) -> None:
    """What needs no class is made JSON of here."""
    assert told(outcome_of(row(Status.OK, dumps(value))))["error"] is None


def test_a_value_of_a_class_is_not_opened() -> None:
    """The request is done; why there is no value, and of which class it is, is told."""
    made = told(outcome_of(row(Status.OK, dumps(Fraction(1, 3)))))
    assert made["state"] == "done"
    assert made["value"] is None
    assert "fractions.Fraction" in made["error"]["message"]


def test_a_value_that_names_itself_a_thousand_times_is_refused() -> None:
    """A few bytes of pickle do not become gigabytes of JSON."""
    value: Any = "x" * 100
    for _ in range(30):
        value = [value] * 10
    made = told(outcome_of(row(Status.OK, pickle.dumps(value))))
    assert made["error"]["type"] == "TooLarge"


@pytest.mark.parametrize("media_type", ["text/html", "text/html; charset=utf-8", "", "application/json\r\nX: y"])
def test_a_value_is_json_or_bytes_and_nothing_else(media_type: str) -> None:
    """Else a task could have the gateway show a page of its own, and so act with whatever its visitors may."""
    outcome = outcome_of(row(Status.OK, dumps(Encoded(media_type, b"<h1>Log in</h1>"))))
    assert outcome.value is None
    assert told(outcome)["error"]["type"] == "NotAsSaid"


NO_JSON = [
    b"", b"<h1>", b'1}, {"state": "done"', b"NaN", b"[1] 2", b"\xff", '"x"'.encode("utf-16"), b'"\n"', b"[" * 9,
]  # fmt: skip


@pytest.mark.parametrize("data", NO_JSON)
def test_what_is_no_json_does_not_stand_in_ours(data: bytes) -> None:
    """The request is told all the same, with the reason in place of its value."""
    made = told(outcome_of(row(Status.OK, dumps(Encoded(JSON, data)))))
    assert (made["state"], made["value"]) == ("done", None)
    assert made["error"]["type"] == "NotAsSaid"


def test_json_that_is_too_much_to_look_through_is_told_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many bytes, parts or levels: it can be fetched by itself."""
    deep = b"[" * 5000 + b"]" * 5000
    assert told(outcome_of(row(Status.OK, dumps(Encoded(JSON, deep)))))["body"]["bytes"] == 10_000
    monkeypatch.setattr(outcomes, "MOST_PARTS", 10)
    monkeypatch.setattr(outcomes, "MOST_JSON", 100)
    for data in (b"[" + b"1," * 20 + b"1]", b'"' + b"x" * 200 + b'"'):
        made = told(outcome_of(row(Status.OK, dumps(Encoded(JSON, data)))))
        assert made["error"] is None
        assert made["body"] == {"media_type": JSON, "bytes": len(data)}


def test_what_is_no_encoded_value_is_not_taken_for_one() -> None:
    """A media type that is no text, or data that are no bytes."""
    for args in ((JSON, 5), (7, b"x"), (JSON, ["x"]), (JSON,)):
        made = told(outcome_of(row(Status.OK, pickle.dumps(Claims(args), 5))))
        assert made["error"]["type"] == "SerializationError"


class Claims:
    def __init__(self, args: tuple[Any, ...]) -> None:
        self.args = args

    def __reduce__(self) -> Any:
        return Encoded, self.args


def test_an_error_comes_with_type_message_traceback_and_engine() -> None:
    """As the engine told it; the pickled exception in it is left alone."""
    failure = Failure("remote", "ZeroDivisionError", "division", "Traceback …", 3, "apply", b"\x80evil")
    made = told(outcome_of(row(Status.ERROR, pack_failure(failure))))
    assert made["state"] == "failed"
    assert made["error"] == {
        "type": "ZeroDivisionError", "message": "division", "traceback": "Traceback …", "engine": 3,
    }  # fmt: skip


@pytest.mark.parametrize("payload", [b"", b"\xc1nonsense", (b"", b"x")])
def test_an_error_that_cannot_be_read_is_an_error(payload: Any) -> None:
    """Nothing that comes from an engine makes the gateway fail."""
    assert told(outcome_of(row(Status.ERROR, payload)))["error"]["type"] == "InvalidReply"


def test_cancelled_lost_and_partly_failed_requests_have_a_state() -> None:
    """Of errors that came to be here the type and the text are told."""
    assert told(outcome_of(row(Status.CANCELLED, b"")))["state"] == "cancelled"
    assert told(outcome_of(row(Status.PARTLY, b"")))["state"] == "failed"
    lost = told(outcome_of(failed(5, ResultLost("gone"))))
    assert (lost["state"], lost["error"]["type"]) == ("failed", "ResultLost")
    dead = told(outcome_of(failed(5, EngineError("it died", engine_id=4))))
    assert dead["error"]["engine"] == 4


def test_output_comes_along() -> None:
    """Text as text, and displays with bytes as base64."""
    extras = {"stdout": "a\n", "outputs": [{"data": {"image/png": b"\xff"}}], "data": {"x": b"p"}}
    made = told(outcome_of(row(Status.OK, dumps(None), extras=extras)))
    assert made["stdout"] == "a\n"
    assert made["displays"] == [{"data": {"image/png": "/w=="}}]


def test_anything_of_the_wire_can_be_told() -> None:
    """Keys become text, and what JSON does not know its text."""
    assert plain({1: b"a", "b": (None, 2.0)}) == {"1": "YQ==", "b": [None, 2.0]}


def test_what_is_told_is_json_whatever_an_engine_has_said() -> None:
    """Numbers that are none are null in what was shown, and so are times of a broken clock."""
    shown = [{"data": {"application/json": {"x": float("nan"), "y": [float("inf"), 1.5]}}}]
    said = row(Status.OK, dumps(None), extras={"outputs": shown, "execute_result": {"data": {"z": -float("inf")}}})
    for started, elapsed in ((1e300, 0.5), (float("nan"), 0.5), (float("inf"), 0.5), (1000.0, 1e300), (-1e300, 0.0)):
        text = b"".join(bytes(each) for each in pieces(outcome_of((*said[:4], started, elapsed, said[6]))))
        made = json.loads(text, parse_constant=pytest.fail)
        assert made["displays"] == [{"data": {"application/json": {"x": None, "y": [None, 1.5]}}}]
        assert made["execute_result"] == {"data": {"z": None}}
        assert made["completed"] is None


def test_a_refusal_is_told_from_what_became_of_a_request() -> None:
    """By a result of the hub's own, or by a message; an engine's errors are outcomes, whatever they are."""
    full = pack_failure(Failure.from_error(LimitExceeded("full")))
    refused = [row(Status.ERROR, full, engine=-1), failed(5, PermissionDenied("no")), failed(5, StoreError("away"))]
    assert [type(refusal_in(each)) for each in refused] == [LimitExceeded, PermissionDenied, StoreError]
    timed_out = pack_failure(Failure.from_error(TaskTimeout("late")))
    taken = [
        row(Status.ERROR, full, engine=2),
        row(Status.ERROR, timed_out, engine=-1),
        row(Status.CANCELLED, b"", engine=-1),
        failed(5, OutOfMemory("no memory for the result here")),
        failed(5, TaskCancelled("it was cancelled")),
    ]
    assert [refusal_in(each) for each in taken] == [None] * len(taken)


def test_a_record_tells_a_refusal_too() -> None:
    """It did not run, and says what there was against it."""
    record = {"error": "LimitExceeded: full", "engine_id": None, "started": None}
    assert is_refused(record)
    assert not is_refused({**record, "engine_id": 1, "started": 5.0})
    assert not is_refused({**record, "error": None})
    assert not is_refused({**record, "error": "TaskTimeout: late"})
