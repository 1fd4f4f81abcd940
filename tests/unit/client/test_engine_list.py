"""The engines of the moment: events, gaps, and when the list is known to be whole."""

from __future__ import annotations

from typing import Any

from ctrlhub.client.engine_list import RETURN, EngineList
from ctrlhub.wire.messages import EngineEvent
from tests.unit.client.support import registered


def joined(**changes: Any) -> EngineList:
    """Return the list of a client that has just been let in; two engines, two events."""
    engines = EngineList()
    engines.joined(registered(**changes), 0.0)
    return engines


def came(number: int, engine: int) -> EngineEvent:
    """Return the news of an engine."""
    return EngineEvent(number, "registered", {"id": engine})


def now(events: int, *ids: int) -> dict[str, Any]:
    """Return what the hub tells who asks for the engines."""
    return {"engines": [{"id": each} for each in ids], "events": events}


def test_before_the_subscription_nothing_is_sure() -> None:
    """What is published meanwhile does not come."""
    engines = joined()
    assert not engines.is_current
    assert engines.subscribed(2)
    assert engines.is_current


def test_what_was_published_before_the_subscription_is_missing() -> None:
    """Until the hub is asked."""
    engines = joined()
    assert not engines.subscribed(3)
    assert not engines.is_current
    assert engines.told(now(3, 0, 1, 2), 0.0)
    assert engines.is_current
    assert sorted(engines.by_id) == [0, 1, 2]


def test_a_result_may_come_before_the_news_of_its_engine() -> None:
    """Then the list is known to be behind, until the news come."""
    engines = joined()
    engines.subscribed(2)
    engines.heard_of(3)
    assert not engines.is_current
    assert engines.take(came(3, 2))
    assert engines.is_current
    engines.heard_of(2)
    assert engines.is_current


def test_after_a_gap_the_list_is_behind() -> None:
    """The event behind the gap is not taken: what it changes may depend on what is missing."""
    engines = joined()
    engines.subscribed(2)
    assert not engines.take(came(4, 5))
    assert not engines.is_current
    assert engines.told(now(4, 0, 1, 2, 5), 0.0)
    assert engines.is_current


def test_another_hub_counts_anew() -> None:
    """What is known of the former one's events says nothing, and its subscription is gone."""
    engines = joined()
    engines.subscribed(2)
    engines.heard_of(900)
    engines.joined(registered(events=0), 0.0, another_hub=True)
    assert not engines.is_current
    assert engines.subscribed(0)
    assert engines.is_current


def test_engines_may_come_later_to_another_hub() -> None:
    """Until they have, or could have, the list is not whole."""
    engines = joined()
    engines.joined(registered(events=0, engines=()), 10.0, another_hub=True)
    engines.subscribed(0)
    assert engines.awaits_others
    assert not engines.is_current
    engines.take(came(1, 0))
    assert engines.awaits_others
    engines.take(came(2, 1))
    assert not engines.awaits_others
    assert engines.is_current


def test_engines_that_do_not_come_are_given_up() -> None:
    """The hub is asked once more, and what it has then is what there is."""
    engines = joined()
    engines.joined(registered(events=0, engines=({"id": 1},)), 10.0, another_hub=True)
    engines.subscribed(0)
    assert engines.told(now(0, 1), 10.5)
    assert not engines.is_current
    assert engines.due == 10.0 + RETURN
    assert engines.told(now(0, 1), engines.due)
    assert engines.is_current
