"""Progress bars, wherever their output goes."""

from __future__ import annotations

import io
import subprocess
import sys
from types import SimpleNamespace

import pytest

from ctrlhub.client import progress
from ctrlhub.client.progress import Progress
from tests.unit.client.support import HubLink


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in progress.QUIET:
        monkeypatch.delenv(name, raising=False)


def run(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    """Show three steps; return what was written."""
    monkeypatch.setattr(sys, "stderr", out)
    with Progress(3, "map") as bar:
        for done in range(4):
            bar.show(done)
    return out.getvalue()


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal the line is written over and over, and tells what is done."""
    text = run(Terminal(), monkeypatch)
    assert "map: 100%" in text
    assert "3/3" in text


def test_a_file_has_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a log there is a single line, at the end."""
    assert run(io.StringIO(), monkeypatch) == "map: 3 of 3 tasks\n"


@pytest.mark.parametrize("name", progress.QUIET)
def test_the_environment_can_turn_it_off(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ipyparallel's variable, or our own, there is no bar; with 0 there is."""
    monkeypatch.setenv(name, "1")
    assert run(Terminal(), monkeypatch) == ""
    monkeypatch.setenv(name, "0")
    assert run(Terminal(), monkeypatch) != ""


def test_a_widget_needs_ipywidgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ipywidgets a widget that was asked for is an error that says what to install."""
    monkeypatch.setattr(progress, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"ctrl-hub\[jupyter\]"):
        Progress(3, "map", widget=True)


def test_a_notebook_without_ipywidgets_has_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook, whose output is no terminal, the bar is a line where there are no widgets."""
    monkeypatch.setattr(progress, "find_spec", lambda name: None)
    monkeypatch.setattr(progress, "is_notebook", lambda: True)
    assert "map: 100%" in run(io.StringIO(), monkeypatch)


def test_widgets_are_not_imported_outside_notebooks() -> None:
    """Waiting with a bar in a script imports neither ipywidgets nor IPython nor asyncio."""
    script = (
        "import sys; from ctrlhub.client.progress import Progress\n"
        "with Progress(1, 'map') as bar: bar.show(1)\n"
        "print(*({'ipywidgets', 'IPython', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_waiting_shows_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """`wait_interactive` counts what is done, and says whether all is."""
    client = HubLink(engines=2).client()
    out = Terminal()
    monkeypatch.setattr(sys, "stderr", out)
    result = client.load_balanced_view().map_async(abs, [-1, -2, -3])
    assert result.wait_interactive(interval=0.01, timeout=20)
    assert "3/3" in out.getvalue()
    client.close()


def test_a_notebook_with_ipywidgets_has_a_widget(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook with ipywidgets the bar is a widget, unless a line is asked for."""
    made = []
    fake = SimpleNamespace(tqdm_notebook=lambda **options: made.append(options) or io.StringIO())
    monkeypatch.setitem(sys.modules, "tqdm.notebook", fake)  # type: ignore[arg-type]
    monkeypatch.setattr(progress, "find_spec", lambda name: object())
    monkeypatch.setattr(progress, "is_notebook", lambda: True)
    with Progress(3, "map"):
        pass
    assert [options["total"] for options in made] == [3]
    with Progress(3, "map", widget=False):
        pass
    assert len(made) == 1
