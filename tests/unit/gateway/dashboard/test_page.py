"""The page's own files, and what it takes from Bokeh."""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path

import pytest

from ctrlhub.gateway.dashboard import bokeh_parts, handlers
from ctrlhub.gateway.dashboard.errors import NoBokeh

STATIC = handlers.STATIC


def test_the_page_makes_no_html_of_strings() -> None:
    """Labels, logs and tracebacks are others' to write: nothing in the page's scripts can make elements of them."""
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|createContextualFragment|srcdoc")
    scripts = sorted(STATIC.glob("*.js"))
    assert len(scripts) > 8
    assert [path.name for path in scripts if forbidden.search(path.read_text())] == []


def test_the_page_needs_no_other_server_and_no_inline_script() -> None:
    """All addresses are relative, so that it works below any path; a strict policy lets it run."""
    page = (STATIC / "index.html").read_text()
    addresses = re.findall(r'(?:src|href)="([^"#][^"]*)"', page)
    assert addresses
    assert all(address.startswith("dashboard/") for address in addresses)
    assert {address.removeprefix("dashboard/") for address in addresses} <= set(handlers.parts())
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=", page)
    for path in (*STATIC.glob("*.js"), *STATIC.glob("*.css")):
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", path.read_text()), path


def test_each_element_that_scripts_ask_for_is_in_the_page() -> None:
    """By its id; those that are made of names are of the four plots."""
    page = (STATIC / "index.html").read_text()
    ids = set(re.findall(r'\bid="([^"]+)"', page))
    made = {f"tile-{name}" for name in re.findall(r'^  \["(\w+)", "', (STATIC / "overview.js").read_text(), re.M)}
    asked = {each for path in STATIC.glob("*.js") for each in re.findall(r'byId\("([^"]+)"\)', path.read_text())}
    assert len(asked) > 30
    assert asked <= ids | made
    assert {f"plot-{name}" for name in json.loads(bokeh_parts.document())["plots"]} <= ids


def test_the_plots_are_empty_and_named() -> None:
    """Each has its data under a name that the page knows, and no code."""
    described = json.loads(bokeh_parts.document())
    assert sorted(described["plots"]) == ["latency", "queue", "stream", "throughput"]
    text = bokeh_parts.document().decode()
    assert all(f"{name}-data" in text for name in described["plots"])
    assert "CustomJS" not in text
    assert [line["field"] for line in described["legends"]["latency"]] == ["p99", "p95", "p50"]


def test_bokeh_s_script_is_here() -> None:
    """Packed, and of the version that its address says."""
    script, version = bokeh_parts.script()
    assert b"Bokeh" in gzip.decompress(script)
    assert json.loads(bokeh_parts.document())["version"] == version


def test_without_bokeh_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named; the page itself needs no Bokeh."""
    bokeh_parts.script.cache_clear()
    bokeh_parts.document.cache_clear()
    for name in [each for each in sys.modules if each.split(".")[0] == "bokeh"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "bokeh", None)
    for ask in (bokeh_parts.script, bokeh_parts.document):
        with pytest.raises(NoBokeh, match=r"ctrl-hub\[dashboard\]"):
            ask()
    assert Path("index.html").name in handlers.parts()
