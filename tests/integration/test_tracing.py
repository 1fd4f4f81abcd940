"""Traces of tasks, through client, hub and engine, as a collector gets them from real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ctrlhub import Cluster
from ctrlhub.wire.ids import number_of, session_of
from tests.support.collector import Collected, Collector, collecting
from tests.support.processes import until
from tests.support.rest import rest_of
from tests.support.state import own_state

PRODUCER, CONSUMER, INTERNAL, ERROR = 4, 5, 1, 2

PROGRAM = '''
import sys
from opentelemetry import trace
from ctrlhub import Client

def traced(n):
    from opentelemetry import trace
    with trace.get_tracer("mine").start_as_current_span("inside", attributes={"n": n}):
        return n * n

def fails(n):
    raise ValueError(f"no {n}")

with Client(sys.argv[1]) as client:
    view = client.load_balanced_view()
    with trace.get_tracer("program").start_as_current_span("program"):
        assert view.apply_async(traced, 3).get() == 9
        assert list(view.map_async(traced, range(5), label="five")) == [n * n for n in range(5)]
        assert list(view.map_async(traced, range(6), chunksize=3)) == [n * n for n in range(6)]
    view.retries = 1
    failed = view.apply_async(fails, 1)
    try:
        failed.get()
    except ValueError:
        print("failed as it should")
'''


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Collector:
    """A cluster and a program that runs tasks on it, both of which have ended; what they have exported."""
    place = tmp_path_factory.mktemp("state")
    program = place / "program.py"
    program.write_text(PROGRAM)
    with collecting() as collector, own_state(place), pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with Cluster(n=1):
            [file] = place.rglob("connection-client.json")
            done = subprocess.run(
                [sys.executable, str(program), str(file)],
                env=dict(os.environ), capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout == "failed as it should\n"
        until(lambda: len(collector.named("run fails")) == 2, "the engine has exported what it had when it ended")
    return collector


def one(spans: list[Collected]) -> Collected:
    """Return the only one."""
    [span] = spans
    return span


def test_client_hub_and_engine_are_one_trace(traced: Collector) -> None:
    """Each in the one before it, by their own names of services, and in the order of time."""
    program = one(traced.named("program"))
    submit, *_ = traced.named("submit traced")
    assert (submit.parent, submit.trace, submit.kind) == (program.id, program.trace, PRODUCER)
    queue = one([span for span in traced.named("queue") if span.parent == submit.id])
    run = one([span for span in traced.named("run traced") if span.parent == queue.id])
    inside = one([span for span in traced.named("inside") if span.parent == run.id])
    assert {span.trace for span in (submit, queue, run, inside)} == {program.trace}
    assert [span.service for span in (submit, queue, run, inside)] == [
        "ctrl-hub client", "ctrl-hub hub", "ctrl-hub engine", "ctrl-hub engine",
    ]  # fmt: skip
    assert (queue.kind, run.kind) == (INTERNAL, CONSUMER)
    assert program.start <= submit.start <= queue.end <= run.start <= inside.start <= inside.end <= run.end <= program.end
    assert inside.attributes == {"n": 3}
    assert submit.attributes["ctrlhub.tasks"] == 1
    assert run.attributes["ctrlhub.engine"] == 0
    assert session_of(number_of(run.attributes["ctrlhub.task"])) == submit.attributes["ctrlhub.session"]


def test_a_map_is_one_submission_of_many_runs(traced: Collector) -> None:
    """One span of the client's, which says how many; a run for each task, or chunk."""
    _, five, chunks = traced.named("submit traced")
    assert (five.attributes["ctrlhub.tasks"], five.attributes["ctrlhub.label"]) == (5, "five")
    for submit, tasks, calls in ((five, 5, 5), (chunks, 2, 6)):
        queues = [span for span in traced.named("queue") if span.parent == submit.id]
        assert len(queues) == tasks == submit.attributes["ctrlhub.tasks"]
        runs = [span for span in traced.spans if span.parent in {each.id for each in queues}]
        assert len(runs) == tasks
        assert len([s for s in traced.named("inside") if s.parent in {each.id for each in runs}]) == calls


def test_a_failure_and_its_retry_are_two_runs(traced: Collector) -> None:
    """Both in the trace of the one submission, each with what it raised."""
    submit = one(traced.named("submit fails"))
    assert submit.parent == ""
    runs = traced.named("run fails")
    assert [span.attributes["ctrlhub.attempt"] for span in runs] == [0, 1]
    for run in runs:
        assert (run.trace, run.status) == (submit.trace, ERROR)
        assert run.message == "ValueError: no 1"
        assert run.events["exception"]["exception.type"] == "ValueError"
        queue = one([span for span in traced.named("queue") if span.id == run.parent])
        assert queue.parent == submit.id
        assert queue.attributes["ctrlhub.attempt"] == run.attributes["ctrlhub.attempt"]


def test_nothing_is_imported_where_nobody_asks(tmp_path: Path) -> None:
    """Neither a client nor an engine loads OpenTelemetry, and `OTEL_SDK_DISABLED` is heeded."""
    program = (
        "import sys\nfrom ctrlhub import Cluster\n"
        "def loaded():\n import sys\n return 'opentelemetry' in sys.modules\n"
        "with Cluster(n=1) as client:\n"
        " print(client.load_balanced_view().apply_sync(loaded), 'opentelemetry' in sys.modules)\n"
    )
    for extra in ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}):
        env = {**os.environ, "CTRLHUB_STATE_DIR": str(tmp_path), **extra}
        done = subprocess.run(
            [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout == "False False\n", done.stderr


def test_a_trace_begins_with_who_asks_over_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The header of W3C's is the parent of what is submitted; runs have the names of functions, and ids as text."""
    trace, span = f"{0xABC:032x}", f"{0xDEF:016x}"
    with collecting() as collector, own_state(tmp_path):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with Cluster(n=1) as client:
            rest = rest_of(client, "submit")
            body = {"function": "math:hypot", "map": [[3, 4], [5, 12]]}
            headers = {"traceparent": f"00-{trace}-{span}-01", "Idempotency-Key": "traced", "tracestate": "vendor=opaque,other=1"}
            done = rest.ask("POST", "tasks?wait=60", body, headers)
            assert [each["value"] for each in done.json["results"]] == [5, 13]
            for wrong in ("nonsense", f"00-{'0' * 32}-{span}-01"):
                assert rest.ask("POST", "tasks?wait=60", {"function": "os:getpid"}, {"traceparent": wrong}).status == 200
            assert rest.ask("POST", "tasks", body, {"traceparent": "0" * 129}).status == 400
            assert rest.ask("POST", "tasks", body, {"tracestate": "0" * 513}).status == 400
        until(lambda: len(collector.named("submit call_by_name")) == 3, "the gateway has exported, as it ended")
        until(lambda: len(collector.named("run math:hypot")) == 2, "so has the engine")
    submit = one([each for each in collector.named("submit call_by_name") if each.parent == span])
    runs = collector.named("run math:hypot")
    queues = [each for each in collector.named("queue") if each.parent == submit.id]
    assert {each.trace for each in (submit, *queues, *runs)} == {trace}
    assert {each.state for each in (submit, *queues, *runs)} == {"vendor=opaque,other=1"}
    assert {each.state for each in collector.named("run os:getpid")} == {""}
    assert {each.parent for each in runs} == {each.id for each in queues}
    assert {each.attributes["ctrlhub.task"] for each in runs} == {each["id"] for each in done.json["results"]}
    assert {each.trace for each in collector.named("run os:getpid")}.isdisjoint({trace})
