"""The example notebooks, in a real Jupyter kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from traitlets.config import Config

from tests.support.state import own_state

NOTEBOOKS = Path(__file__).parents[2] / "examples" / "notebooks"
NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
VIEW = "application/vnd.jupyter.widget-view+json"
"""The type of what stands for a widget."""

PATIENCE = 200
"""How long (seconds) a cell may take on a slow machine."""


def read(name: str) -> Any:
    """Read a notebook."""
    return nbformat.read(NOTEBOOKS / name, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    """Return the cells with code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs_after(notebook: Any, source: str) -> list[Any]:
    """Return the outputs of the cell that begins with a text."""
    [cell] = [cell for cell in code_cells(notebook) if cell.source.startswith(source)]
    outputs: list[Any] = cell.outputs
    return outputs


@pytest.fixture(scope="module", params=NAMES)
def executed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A notebook after all its cells have run without an error, and its name."""
    notebook = read(request.param)
    with (
        own_state(tmp_path_factory.mktemp("state")),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        resources = {"metadata": {"path": str(tmp_path_factory.mktemp("work"))}}
        # Not by TCP, where a port that was free may be another's by the time the kernel opens it.
        sockets = str(tmp_path_factory.mktemp("kernel") / "k")
        config = Config({"KernelManager": {"transport": "ipc", "ip": sockets}})
        NotebookClient(
            notebook, config=config, timeout=PATIENCE, startup_timeout=PATIENCE, resources=resources
        ).execute()
    return request.param, notebook


@pytest.mark.parametrize("name", NAMES)
def test_they_are_kept_without_outputs(name: str) -> None:
    """What is in the repository is what was written, and not what came of it once."""
    notebook = read(name)
    nbformat.validate(notebook)
    assert [cell for cell in code_cells(notebook) if cell.outputs or cell.execution_count] == []
    assert notebook.cells[0].cell_type == "markdown"


def test_they_run(executed: tuple[str, Any]) -> None:
    """Every cell runs, and leaves no process behind; what they are to show is shown."""
    name, notebook = executed
    SHOWN[name](notebook)


def first_steps(notebook: Any) -> None:
    """Text of each engine, values, figures, and errors that were caught."""
    thrown = "".join(each["text"] for each in outputs_after(notebook, "%%px\nrandom.seed"))
    assert all(f"[stdout:{engine}] process" in thrown for engine in range(4))
    figures = outputs_after(notebook, "%%px\nfrom IPython.display import SVG")
    assert sum("image/svg+xml" in each.get("data", {}) for each in figures) == 4
    values = outputs_after(notebook, "%%px --targets 0,1")
    assert sum("cores" in each.get("data", {}).get("text/plain", "") for each in values) == 2
    [error] = outputs_after(notebook, "try:\n    client[2]")
    assert "engine 2 says: invalid literal" in error["text"]
    [sides] = outputs_after(notebook, "%px_even")
    assert sides["data"]["text/plain"] == "['left', 'right', 'left', 'right']"


def load_balancing(notebook: Any) -> None:
    """A widget while waiting, and results in the order of their arrival."""
    bar = outputs_after(notebook, "result = tasks")[0]
    assert "application/vnd.jupyter.widget-view+json" in bar["data"]
    [share] = outputs_after(notebook, "pairs =")
    assert "probability 0.33" in share["text"]
    [mixed] = outputs_after(notebook, "mixed =")
    assert "ZeroDivisionError" in mixed["data"]["text/plain"]


def simulation(notebook: Any) -> None:
    """No heat is lost, whatever the engines do with it."""
    exchanged = outputs_after(notebook, "def exchange")
    assert float(exchanged[-1]["data"]["text/plain"]) == pytest.approx(30)
    steered = outputs_after(notebook, 'engines["alpha"]')
    assert float(steered[-1]["data"]["text/plain"]) == pytest.approx(40)


def clusters(notebook: Any) -> None:
    """The widgets of all clusters and of one, and what was in them when the notebook was saved."""
    models = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    for cell in ("import ctrlhub", "cluster = ctrlhub.Cluster"):
        output = outputs_after(notebook, cell)[-1]  # a progress bar is a widget, too
        assert output["data"][VIEW]["model_id"] in models
    assert "2 of 2" in output["data"]["text/html"]
    texts = [model["state"].get("value") for model in models.values() if model["model_name"] == "HTMLModel"]
    assert any("notebook" in str(text) for text in texts)
    [scaled] = outputs_after(notebook, "cluster.scale(3)")
    assert scaled["data"]["text/plain"] == "[0, 1, 2]"
    printed = "".join(each.get("text", "") for each in outputs_after(notebook, "%px import os"))
    assert printed.count("engine process") == 3


SHOWN = {
    "clusters.ipynb": clusters,
    "first-steps.ipynb": first_steps,
    "load-balancing.ipynb": load_balancing,
    "simulation.ipynb": simulation,
}


def test_each_is_looked_at() -> None:
    """There is something to look for in every notebook."""
    assert sorted(SHOWN) == NAMES
