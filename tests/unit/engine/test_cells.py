"""Which code runs in IPython's shell, and what is left to plain Python."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ctrlhub.engine.cells import Cells
from ctrlhub.engine.executor import Executor
from ctrlhub.wire.messages import Action
from tests.support.engine_bench import Bench, failure, value


class FakeShell:
    """Takes note of what it is to run."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, bool]] = []
        self.fresh = 0

    def execute(self, code: str, silent: bool) -> dict[str, Any] | None:
        """Take note, and raise what is asked for."""
        self.ran.append((code, silent))
        if code == "raise":
            raise ValueError("no")
        return {"data": {"text/plain": "shown"}, "metadata": {}, "execution_count": 1}

    def traceback_of(self, error: BaseException) -> str | None:
        """Return one that IPython might write."""
        return f"----> {error}"

    def start_afresh(self) -> None:
        """Count."""
        self.fresh += 1


class CellBench(Bench):
    """An executor whose shell is a fake."""

    def __init__(self) -> None:
        super().__init__()
        self.shell = FakeShell()
        self.cells = Cells(lambda: self.shell, self.gate)
        self.executor = Executor(
            self.gate, self.output, self.executor.namespace, self.board, self.cells
        )


@pytest.fixture
def bench() -> CellBench:
    """A fresh executor."""
    return CellBench()


@pytest.fixture
def no_ipython(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let IPython not be installed."""

    def found(name: str) -> ModuleSpec | None:
        return None if name == "IPython" else find_spec(name)

    monkeypatch.setattr("ctrlhub.engine.cells.find_spec", found)


@pytest.mark.parametrize("code", ["x = 1", "x = 7 % 2", "d.display()", "y = 'a' if 1 else b'?'"])
def test_plain_code_that_is_silent_needs_no_shell(bench: CellBench, code: str) -> None:
    """It runs as it is; whatever it raises is its own affair."""
    bench.execute(code, silent=True)

    assert bench.shell.ran == []
    assert bench.cells.shell is None


@pytest.mark.parametrize(
    "code",
    ["%time 1", "!ls", "a = !ls", "a = %pwd", "len?", "await f()", "get_ipython()", "display(1)",
     "async with a: pass"],
)  # fmt: skip
def test_what_only_ipython_understands_makes_the_shell(bench: CellBench, code: str) -> None:
    """Silent or not."""
    bench.execute(code, silent=True)

    assert bench.shell.ran == [(code, True)]


def test_a_mistake_in_plain_code_makes_no_shell(bench: CellBench) -> None:
    """It is reported as it is."""
    assert failure(bench.execute("for", silent=True)).ename == "SyntaxError"
    assert bench.cells.shell is None


def test_a_cell_makes_the_shell_which_runs_everything_from_then_on(bench: CellBench) -> None:
    """Plain statements as well; what it shows is the value."""
    row = bench.execute("1", silent=False)
    bench.execute("x = 1", silent=True)

    assert row[6]["execute_result"]["data"] == {"text/plain": "shown"}
    assert bench.shell.ran == [("1", False), ("x = 1", True)]


def test_an_error_of_a_cell_has_the_traceback_of_the_shell(bench: CellBench) -> None:
    """And is otherwise as any."""
    found = failure(bench.execute("raise", silent=False))

    assert (found.ename, found.evalue, found.traceback) == ("ValueError", "no", "----> no")


def test_clearing_tells_the_shell(bench: CellBench) -> None:
    """If there is one."""
    bench.command(Action.CLEAR)
    bench.execute("1", silent=False)
    bench.command(Action.CLEAR)

    assert bench.shell.fresh == 1


def test_without_ipython_a_cell_runs_as_plain_code(bench: CellBench, no_ipython: None) -> None:
    """Its value is shown as text."""
    row = bench.execute("x = 2\nx + 1", silent=False)

    assert row[6]["execute_result"]["data"] == {"text/plain": "3"}
    assert bench.shell.ran == []


def test_without_ipython_a_magic_says_what_to_install(bench: CellBench, no_ipython: None) -> None:
    """Instead of a mistake in the code."""
    found = failure(bench.execute("%time 1", silent=True))

    assert found.ename == "ModuleNotFoundError"
    assert "pip install 'ctrl-hub[jupyter]'" in found.evalue


def test_a_huge_value_is_cut(bench: CellBench, no_ipython: None) -> None:
    """It harms nothing."""
    row = bench.execute("'x' * 10_000_000", silent=False)

    assert len(row[6]["execute_result"]["data"]["text/plain"]) < 3_000_000


def test_a_value_whose_repr_raises_is_an_error(bench: CellBench, no_ipython: None) -> None:
    """Of the cell alone."""
    bench.execute("class Bad:\n    def __repr__(self): raise OSError('bad')", silent=True)

    assert failure(bench.execute("Bad()", silent=False)).ename == "OSError"
    assert value(bench.execute("5", silent=False)) is None


def test_the_first_import_of_ipython_makes_the_shell(
    bench: CellBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So what a function displays is rich, though no cell ever came; to look for it is no import."""
    (tmp_path / "IPython.py").write_text("version = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    for name in [n for n in sys.modules if n.partition(".")[0] == "IPython"]:
        monkeypatch.delitem(sys.modules, name)
    bench.cells.watch_imports()
    watch = sys.meta_path[0]

    assert find_spec("IPython") is not None
    assert bench.cells.shell is None
    exec("import IPython; assert IPython.version == 1")
    del sys.modules["IPython"]  # for good: what is patched out would come back for other tests

    assert bench.cells.shell is bench.shell
    assert watch not in sys.meta_path
