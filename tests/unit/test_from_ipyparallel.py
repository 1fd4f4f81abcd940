"""The guide for programs written for ipyparallel says what is there, and what is not.

That is about names alone; what they do is held by the suites of the behaviour itself.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ctrlhub
from tests.unit.client.support import HubLink

GUIDE = Path(__file__).parents[2] / "docs" / "from-ipyparallel.md"
STATES = {"same", "differs", "missing", "new"}


def rows() -> list[tuple[str, str]]:
    """Return each name of the tables with its state."""
    found = []
    for line in GUIDE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 5 and cells[2] in STATES:
            found += [(name, cells[2]) for name in re.findall(r"`([^`]+)`", cells[1])]
    return found


ROWS = rows()
API = [row for row in ROWS if not row[0].startswith("%")]
MAGICS = [name for name, _ in ROWS if name.startswith("%")]


@pytest.fixture(scope="module")
def objects() -> Iterator[dict[str, Any]]:
    """One object of each class: some names are attributes of instances only."""
    with HubLink(engines=2).client() as client:
        result = client[0].apply_async(abs, -1)
        result.get()
        yield {
            "Client": client,
            "DirectView": client[:],
            "BroadcastView": client.broadcast_view(),
            "LoadBalancedView": client.load_balanced_view(),
            "AsyncResult": result,
            "Cluster": ctrlhub.Cluster(1),
        }


def is_there(name: str, objects: dict[str, Any]) -> bool:
    """Whether a name leads somewhere."""
    owner, dot, member = name.partition(".")
    if dot:
        return hasattr(objects[owner], member)
    is_module = importlib.util.find_spec(f"ctrlhub.{name}") is not None
    return hasattr(ctrlhub, name) or is_module


def test_the_tables_are_read() -> None:
    """The guide names the API, in tables that this test understands."""
    assert len(ROWS) > 150
    assert {state for _, state in ROWS} == STATES
    assert len({name for name, _ in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("name", "state"), API)
def test_what_is_said_of_a_name_is_so(name: str, state: str, objects: dict[str, Any]) -> None:
    """What is said to be there is, and what is said to be missing is not."""
    assert is_there(name, objects) == (state != "missing")


def test_the_magics_are_those_of_the_table(objects: dict[str, Any]) -> None:
    """Exactly the magics of the guide are registered."""
    from ctrlhub.client.magics import ParallelMagics

    registered = []

    class Shell:
        def register_magic_function(self, function: Any, kind: str, name: str) -> None:
            registered.append(("%" if kind == "line" else "%%") + name)

    ParallelMagics(Shell(), objects["DirectView"]).register()
    assert sorted(registered) == sorted(MAGICS)


def test_every_part_of_the_api_has_a_section() -> None:
    """None of the tables was dropped."""
    text = GUIDE.read_text(encoding="utf-8")
    for section in ("Client", "Views", "Results", "Functions", "Magics", "Cluster"):
        assert f"### {section}" in text
