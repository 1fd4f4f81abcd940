"""Where there are no widgets."""

from __future__ import annotations

import pytest

import ctrlhub
from ctrlhub import Cluster
from ctrlhub.cluster.widgets import opening


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without ipywidgets, in what looks like a notebook."""
    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    monkeypatch.setattr("ctrlhub.client.ipython.is_notebook", lambda: True)


@pytest.mark.usefixtures("bare")
def test_the_extra_is_named() -> None:
    """Who asks for a widget is told what to install."""
    for ask in (ctrlhub.widget, Cluster(1).widget):
        with pytest.raises(ImportError, match=r"ctrl-hub\[jupyter\]"):
            ask()


@pytest.mark.usefixtures("bare")
def test_a_cluster_is_a_table() -> None:
    """Shown is a table, and a line for who has no HTML."""
    shown = Cluster(2, profile="plain")._repr_mimebundle_()
    assert set(shown) == {"text/plain", "text/html"}
    assert shown["text/plain"] == "<Cluster(n=2, profile='plain'): not running>"
    assert "<table>" in shown["text/html"]


def test_a_terminal_has_no_widget() -> None:
    """Outside of notebooks nothing is made of ipywidgets, though it is there."""
    assert set(Cluster(1)._repr_mimebundle_()) == {"text/plain", "text/html"}
