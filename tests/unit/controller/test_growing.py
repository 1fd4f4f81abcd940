"""Who starts the engines that a set is to have more."""

from __future__ import annotations

import pytest

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.interfaces.growing import MOST_HELD
from ctrlhub.wire import messages as m
from tests.support.exchange import Exchange, Line
from tests.support.multiengine import HUB, a_peer
from tests.support.peers import registration


@pytest.fixture
def exchange() -> Exchange:
    """A hub that registers a few engines."""
    return Exchange(HubConfig(store="memory", max_engines=8))


@pytest.fixture
def client(exchange: Exchange) -> Line:
    """A client."""
    return a_peer(exchange, "client", m.Role.ADMIN)


def a_nanny(
    exchange: Exchange, name: str, engine_set: str, host: str, *keys: str, elastic: bool = True
) -> Line:
    """Return a nanny that vouches for these keys."""
    made = Line(exchange, name)
    made.register(m.Role.NANNY, engine_set=engine_set, host=host, elastic=elastic)
    made.say(HUB, m.Beat(keys))
    made.heard()
    return made


def ordered(nanny: Line) -> list[int]:
    """Return how many engines a nanny was told to start."""
    return [each.count for each in nanny.heard(m.StartEngines) if isinstance(each, m.StartEngines)]


def test_the_nannies_of_a_set_share_it_out(exchange: Exchange, client: Line) -> None:
    """Who has the fewest starts the most, and no other set is touched."""
    full = a_nanny(exchange, "full", "a", "one", "k1", "k2", "k3")
    empty = a_nanny(exchange, "empty", "a", "two", "k4")
    other = a_nanny(exchange, "other", "b", "one")

    answer = client.call("control", "start_engines", count=4, engine_set="a")

    assert answer.value == 4
    assert (ordered(full), ordered(empty), ordered(other)) == ([1], [3], [])


def test_of_two_on_a_host_the_later_one_is_told(exchange: Exchange, client: Line) -> None:
    """The other has died, although the hub may not have heard of it yet."""
    dead = a_nanny(exchange, "dead", "a", "one", "k1")
    lives = a_nanny(exchange, "lives", "a", "one", "k1")

    assert client.call("control", "start_engines", count=2, engine_set="a").value == 2
    assert (ordered(dead), ordered(lives)) == ([], [2])


@pytest.mark.parametrize("engine_set", ["b", ""])
def test_a_set_that_nobody_makes_larger(exchange: Exchange, client: Line, engine_set: str) -> None:
    """It is said, with what to do; a nanny that is not elastic is none that could."""
    fixed = a_nanny(exchange, "fixed", engine_set, "one", elastic=False)

    answer = client.call("control", "start_engines", count=1, engine_set=engine_set)

    assert answer.code == "engine_error"
    assert "ctrl-hub engines start" in answer.message
    assert ordered(fixed) == []


def test_more_than_the_hub_registers_are_refused(exchange: Exchange, client: Line) -> None:
    """Before any is started, with the numbers."""
    nanny = a_nanny(exchange, "nanny", "a", "one")
    a_peer(exchange, "engine", m.Role.ENGINE)

    answer = client.call("control", "start_engines", count=8, engine_set="a")

    assert answer.code == "too_many_engines"
    assert "max_engines=8: 1 are registered" in answer.message
    assert ordered(nanny) == []


def test_a_nanny_that_is_on_its_way_is_waited_for(exchange: Exchange, client: Line) -> None:
    """The answer comes when it has been told, or when the time is over."""
    call = m.Call(1, "control", "start_engines", {"count": 2, "engine_set": "a", "within": 5.0})
    client.say(HUB, call)
    client.say(HUB, m.Call(2, "control", "start_engines", {"count": 1, "engine_set": "b", "within": 5.0}))
    assert client.heard(m.Answer) == []

    said = Line(exchange, "nanny").say(
        HUB, registration(m.Role.NANNY, "nanny", engine_set="a", elastic=True)
    )
    assert said[1:] == [m.StartEngines(2)]
    assert client.one(m.Answer) == m.Answer(1, 2)
    exchange.pass_time(5.0)
    refused = client.one(m.Answer)

    assert (refused.id, refused.code) == (2, "engine_error")
    assert ordered(a_nanny(exchange, "late", "b", "one")) == []


def test_who_leaves_orders_nothing_any_more(exchange: Exchange, client: Line) -> None:
    """What waited is forgotten; and not more than so many wait."""
    for number in range(MOST_HELD + 1):
        wish = {"count": 1, "engine_set": "a", "within": 5.0}
        client.say(HUB, m.Call(number, "control", "start_engines", wish))
    assert client.one(m.Answer).code == "limit_exceeded"
    client.say(HUB, m.Goodbye())

    assert ordered(a_nanny(exchange, "nanny", "a", "one")) == []


@pytest.mark.parametrize("within", [-1.0, "1", None, float("nan")])
def test_what_is_no_time(exchange: Exchange, client: Line, within: object) -> None:
    """Is refused as such."""
    answer = client.call("control", "start_engines", count=1, engine_set="a", within=within)

    assert answer.code == "invalid_request"


@pytest.mark.parametrize("count", [0, -1, True, 1.0, "1", None])
def test_what_is_no_number_of_engines(exchange: Exchange, client: Line, count: object) -> None:
    """Is refused as such."""
    answer = client.call("control", "start_engines", count=count, engine_set="a")

    assert answer.code == "invalid_request"
