"""Output: there while it runs, complete when it is done."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from ctrlhub import Client
from tests.contract.conftest import ENGINES
from tests.support.processes import until
from tests.support.work import Work

WAIT = 60.0


def talking(work: Work) -> Callable[[], None]:
    """A function that prints, waits to be released, and prints again."""
    held = work.held("talking")

    def talk() -> None:
        print("before")
        held()
        print("after")

    return talk


def test_output_of_commands_is_there_while_they_run(
    client: Client, work: Work, printing: AbstractContextManager[None]
) -> None:
    """On every engine; with the result all of it is."""
    with printing:
        result = client[:].apply_async(talking(work))
        until(lambda: result.stdout == ["before\n"] * ENGINES, "all engines have printed")

        assert not result.done()
        work.release("talking")
        result.get(WAIT)

    assert result.stdout == ["before\nafter\n"] * ENGINES


def test_output_of_tasks_is_there_while_they_run(
    client: Client, work: Work, printing: AbstractContextManager[None]
) -> None:
    """As of commands."""
    with printing:
        result = client.load_balanced_view().apply_async(talking(work))
        until(lambda: result.stdout == "before\n", "the task has printed")

        assert (result.done(), result.engine_id in client.ids) == (False, True)
        work.release("talking")
        result.get(WAIT)

    assert result.stdout == "before\nafter\n"


def test_output_of_a_task_that_runs_once_more_begins_anew(
    client: Client, work: Work, tmp_path: Path, printing: AbstractContextManager[None]
) -> None:
    """Nothing of the attempt that failed stands in it, live or with the result."""
    before, held_first, held_second = tmp_path / "ran", work.held("first"), work.held("second")

    def talk() -> None:
        if before.exists():
            print("twice")
            held_second()
            print("done")
        else:
            before.touch()
            print("the first time")
            held_first()
            raise ValueError("and once more")

    with printing:
        result = client.load_balanced_view(retries=1).apply_async(talk)
        until(lambda: result.stdout == "the first time\n", "the first attempt has printed")
        work.release("first")
        until(lambda: result.stdout == "twice\n", "only the second attempt's is there")
        work.release("second")
        result.get(WAIT)

    assert result.stdout == "twice\ndone\n"


def test_output_is_streamed_as_it_comes(
    client: Client,
    work: Work,
    needs_processes: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What came before the block, what comes in it, and the rest with the result: each once."""
    result = client[0].apply_async(talking(work))
    until(lambda: result.stdout == "before\n", "it has printed")
    seen = ""

    def shown() -> str:
        nonlocal seen
        seen += capsys.readouterr().out
        return seen

    with result.stream_output():
        until(lambda: shown() == "before\n", "what came before is shown")
        work.release("talking")
        result.get(WAIT)

    assert shown() == "before\nafter\n"


def test_only_who_asked_gets_the_output(
    client: Client, other: Client, work: Work, printing: AbstractContextManager[None]
) -> None:
    """Another client's request on the same engine has its own."""
    with printing:
        first = client[0].apply_async(talking(work))
        until(lambda: first.stdout == "before\n", "the first has printed")
        second = other[0].apply_async(print, "of another")
        assert second.stdout == ""
        work.release("talking")
        client.wait(first, WAIT)
        second.get(WAIT)

    assert (first.stdout, second.stdout) == ("before\nafter\n", "of another\n")


def test_too_much_output_is_cut_and_nothing_else_is_lost(
    client: Client, needs_processes: None
) -> None:
    """The value is there, the engine goes on, and the text says how much is missing."""

    def flood() -> int:
        for _ in range(100):
            print("x" * 100_000)
        return 5

    result = client[0].apply_async(flood)

    assert result.get(WAIT) == 5
    assert "more characters were printed" in result.stdout[-200:]
    assert len(result.stdout) < 3_000_000
    assert client[0].apply_sync(sum, [1, 2]) == 3
