"""What notebooks show of a client and what belongs to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from ctrlhub import Client, Cluster
from ctrlhub.client.html import MAX_ROWS, bar, panel, table
from tests.unit.client.support import HubLink

VOID = {"br", "hr", "img"}


class Balance(HTMLParser):
    """Takes note of tags that are open, and of what would be fetched."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open it."""
        if tag not in VOID:
            self.open.append(tag)
        self.fetched += [name for name, _ in attrs if name in ("src", "href")]
        if tag in ("script", "link", "iframe"):
            self.fetched.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close it."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Take text."""
        self.texts.append(data)


def check(text: str) -> str:
    """Check that HTML is well-formed and fetches nothing; return its text."""
    seen = Balance(text)
    assert seen.open == []
    assert seen.fetched == []
    return " ".join(seen.texts)


@pytest.fixture
def client() -> Iterator[Client]:
    """A client of a hub with two engines."""
    with HubLink(engines=2).client() as client:
        yield client


def test_everything_is_escaped() -> None:
    """Text stays text, also where it looks like HTML."""
    evil = "<script>alert('&')</script>"
    shown = panel(evil, evil, table((evil,), [(evil,)]))
    assert "<script" not in shown
    assert check(shown).count(evil) == 4


def test_a_long_table_is_cut() -> None:
    """Of many rows the first are shown, and the rest are counted."""
    shown = table(("n",), [(n,) for n in range(MAX_ROWS + 3)])
    assert "… and 3 more" in check(shown)
    assert len(re.findall("<tr>", shown)) == MAX_ROWS + 2


def test_a_bar_of_nothing() -> None:
    """A bar of an empty map is no error in HTML."""
    assert 'max="1"' in bar(0, 0)


def test_a_client_shows_its_engines(client: Client) -> None:
    """A client lists its engines; a closed one says that it is."""
    assert "2 engines" in check(client._repr_html_())
    client.close()
    assert "closed" in check(client._repr_html_())


def test_views_show_their_flags(client: Client) -> None:
    """A view tells its targets and whether it blocks; a label is escaped."""
    shown = check(client.direct_view(1, label="<b>").set_flags(block=True)._repr_html_())
    assert "DirectView" in shown
    assert "<b>" in shown
    assert "retries" in check(client.load_balanced_view()._repr_html_())


def test_a_result_shows_how_far_it_is(client: Client) -> None:
    """A result tells what was called and how it stands."""
    result = client[:].apply_async(abs, -1)
    result.get()
    shown = check(result._repr_html_())
    assert "AsyncResult" in shown
    assert "AsyncMapResult" in check(client[:].map_async(abs, range(3))._repr_html_())
    assert repr(client[:].execute("1")).startswith("<AsyncResult: execute")
    assert "abs" in shown
    assert "done" in shown


def test_a_cluster_shows_its_state() -> None:
    """A cluster that is not running says so, and how many engines it would have."""
    shown = check(Cluster(3)._repr_html_())
    assert "not running" in shown
    assert "3" in shown
