"""The texts of widgets."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctrlhub.client.html import MAX_ROWS
from ctrlhub.cluster.listing import Kind, Listed, State
from ctrlhub.cluster.looks import ClusterLook, EngineLook, Phase, engines_from
from ctrlhub.cluster.widgets.drawing import clusters, engines, heading, news, options

EVIL = "<script>alert('&')</script><img src=x onerror=alert(1)>"


def look(*states: str, n: int = 2, link: str = "") -> ClusterLook:
    """A cluster with engines in these states, all of whose names are evil."""
    there = tuple(EngineLook(id, state, EVIL, EVIL, 7, 0, 0) for id, state in enumerate(states))
    return ClusterLook(EVIL, Phase.RUNNING, n, EVIL, EVIL, EVIL, there, link)


def test_what_others_choose_is_text() -> None:
    """Markup in names of hosts, sets and profiles, in errors and in help is shown as text."""
    shown = look("idle", link="https://hub/")
    listed = Listed(EVIL, State.RUNNING, Kind.PROGRAM, 1, 1, 0.0, EVIL, Path("/tmp"))
    texts = [
        heading(shown), engines(shown), clusters([listed]), options([(EVIL, EVIL, EVIL)]), news(EVIL, EVIL),
    ]  # fmt: skip
    for text in texts:
        assert "&lt;script&gt;" in text
        assert "<script" not in text
        assert "<img" not in text


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "ftp://x", " https://x"])
def test_only_pages_are_linked(address: str) -> None:
    """What is no address of a web page is no link."""
    assert "href" not in heading(look(link=address))
    assert "dashboard" in heading(look(link=address))


def test_a_link_cannot_break_out() -> None:
    """Quotes in an address stay in the address."""
    assert 'href="/proxy/1/?a=&quot;&gt;&lt;b&gt;"' in heading(look(link='/proxy/1/?a="><b>'))


def test_engines_are_counted_by_their_states() -> None:
    """The head says how many engines there are, how they are, and on how many hosts."""
    assert look("idle", "busy").counted() == "2 engines: 1 busy, 1 idle"
    assert look("idle").counted() == "1 of 2 engines: 1 idle"
    assert look("idle", n=1).counted() == "1 engine: 1 idle"
    two = engines_from([{"id": 1, "host": "a"}, {"id": 0, "host": "b"}])
    assert [each.id for each in two] == [0, 1]
    assert ClusterLook(None, Phase.RUNNING, 2, "local", "", engines=two).counted() == "2 engines, on 2 hosts"


def test_engines_with_trouble_come_first() -> None:
    """Of many engines those are shown that are not idle; the rest are counted."""
    text = engines(look(*["idle"] * 600, "busy", "suspect"))
    assert text.index("<td>suspect</td>") < text.index("<td>busy</td>") < text.index("<td>idle</td>")
    assert f"… and {602 - MAX_ROWS} more" in text
    assert engines(look()) == ""


def test_nothing_is_going_on() -> None:
    """Where nothing is being done and nothing went wrong, nothing is said."""
    assert news("", "") == ""
    assert 'role="alert"' in news("", "it broke")
    assert "none are running" in clusters([])
