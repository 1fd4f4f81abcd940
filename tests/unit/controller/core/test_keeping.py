"""The gateway is kept: started when wanted, and again when it dies."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.controller.core.alarm import Alarm
from ctrlhub.controller.core.effects import Outbox, StartGateway
from ctrlhub.controller.core.keeping import (
    ATTEMPTS,
    LONGEST,
    MOST_WAITING,
    PATIENCE,
    STEADY,
    GatewayKeeper,
    GatewayState,
    Outlook,
)
from ctrlhub.controller.core.later import Later
from ctrlhub.wire.errors import CtrlHubError, GatewayError, LimitExceeded

URL = "http://127.0.0.1:8000"


class Scene:
    """A keeper, and what it has begun."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.keeper = GatewayKeeper(self.outbox, Alarm())
        self.keeper.why_never = ""
        self.now = 100.0

    def starts(self) -> int:
        """Return how many were begun since the last look."""
        return sum(type(effect) is StartGateway for effect in self.outbox.take())

    def ask(self, within: float = 10.0) -> list[Any]:
        """Ask, and return the list that the answer comes into."""
        answers: list[Any] = []
        found = self.keeper.ask(within, self.now)
        if isinstance(found, Later):
            found.on_answer(lambda value, error: answers.append(value if error is None else error))
        else:
            answers.append(found)
        return answers


@pytest.fixture
def scene() -> Scene:
    """A scene."""
    return Scene()


def test_none_is_started_before_somebody_wants_one(scene: Scene) -> None:
    """A hub without a gateway has nothing to do for it."""
    scene.keeper.tick(1e9)
    assert (scene.starts(), scene.keeper.described(), scene.keeper.next_deadline()) == (0, None, None)


def test_whoever_asks_gets_the_url_of_one(scene: Scene) -> None:
    """It is started once for all who ask, and from then on known."""
    answers = [scene.ask(), scene.ask()]
    assert (scene.starts(), answers) == (1, [[], []])
    scene.keeper.started(7)
    scene.keeper.serves(URL, scene.now)
    assert answers == [[URL], [URL]]
    assert scene.ask() == [URL]
    assert scene.starts() == 0
    assert scene.keeper.described() == {"state": "serving", "url": URL, "pid": 7, "deaths": 0, "trouble": ""}


def test_one_that_dies_is_started_again_at_once(scene: Scene) -> None:
    """Who asks meanwhile waits for the next one."""
    scene.keeper.want(scene.now)
    scene.keeper.serves(URL, scene.now)
    scene.starts()
    scene.keeper.ended("killed", scene.now + STEADY)
    answers = scene.ask()
    assert scene.keeper.state is GatewayState.WAITING
    assert scene.keeper.why_not() == "the HTTP gateway does not serve: killed"
    scene.keeper.tick(scene.now + STEADY)
    assert scene.starts() == 1
    scene.keeper.serves(URL, scene.now)
    assert (answers, scene.keeper.why_not(), scene.keeper.deaths) == ([URL], "", 1)


def test_one_that_keeps_dying_is_started_ever_later_and_given_up(scene: Scene) -> None:
    """Until somebody asks for it again."""
    scene.keeper.want(scene.now)
    pauses = []
    for _ in range(ATTEMPTS):
        scene.keeper.ended("no module", scene.now)
        due = scene.keeper.next_deadline()
        assert due is not None
        pauses.append(due - scene.now)
        scene.now = due
        scene.keeper.tick(scene.now)
    assert pauses[0] == 0.0
    assert pauses == sorted(pauses)
    assert max(pauses) <= LONGEST
    scene.keeper.ended("no module", scene.now)
    assert (scene.keeper.state, scene.keeper.next_deadline()) == (GatewayState.FAILED, None)
    assert "no module" in scene.keeper.why_not()
    scene.starts()
    scene.ask()
    assert (scene.keeper.state, scene.starts()) == (GatewayState.STARTING, 1)


def test_one_that_says_that_it_is_hopeless_is_not_tried_again(scene: Scene) -> None:
    """Whoever waits is told why: its port is taken, say."""
    answers = scene.ask()
    scene.keeper.ended("port 80 is taken", scene.now, Outlook.HOPELESS)
    assert isinstance(answers[0], GatewayError)
    assert "port 80 is taken" in str(answers[0])
    scene.keeper.tick(scene.now + 1e6)
    assert (scene.keeper.state, scene.starts()) == (GatewayState.FAILED, 1)


def test_one_whose_trouble_passes_is_tried_until_it_has(scene: Scene) -> None:
    """For as long as it takes, and not too seldom; who asks meanwhile is told why there is none."""
    scene.keeper.want(scene.now)
    for _ in range(2000):
        scene.keeper.ended("no room", scene.now, Outlook.PASSES)
        due = scene.keeper.next_deadline()
        assert due is not None
        assert due - scene.now <= LONGEST
        scene.now = due
        scene.keeper.tick(scene.now)
    answers = scene.ask()
    scene.keeper.ended("no room", scene.now, Outlook.PASSES)
    assert "no room" in str(answers[0])
    scene.now += LONGEST
    scene.keeper.tick(scene.now)
    assert scene.keeper.state is GatewayState.STARTING


def test_who_waits_is_answered_in_time(scene: Scene) -> None:
    """Also if nothing happens, and however long it wants to wait."""
    answers = [scene.ask(within=3.0), scene.ask(within=1e9)]
    assert scene.keeper.next_deadline() == scene.now + 3.0
    scene.keeper.tick(scene.now + 3.0)
    assert isinstance(answers[0][0], GatewayError)
    assert answers[1] == []
    scene.keeper.tick(scene.now + PATIENCE)
    assert isinstance(answers[1][0], GatewayError)


def test_a_hub_within_a_program_starts_none(scene: Scene) -> None:
    """Nor does one that was told not to; the error says so."""
    for keeper in (GatewayKeeper(scene.outbox, Alarm()), scene.keeper):
        scene.keeper.why_never = keeper.why_never or "HTTP is off here"
        with pytest.raises(GatewayError, match=r"within another program|off"):
            scene.ask()
    assert scene.starts() == 0


def test_what_is_no_step_is_none(scene: Scene) -> None:
    """One that there is not cannot end: who tells so has a bug."""
    with pytest.raises(RuntimeError, match="off -> waiting"):
        scene.keeper.ended("it died", scene.now)
    assert scene.keeper.state is GatewayState.OFF


OUTLOOKS = {"hopeless": Outlook.HOPELESS, "no room": Outlook.PASSES}
STEPS = st.lists(st.tuples(st.sampled_from(["ask", "serve", "die", *OUTLOOKS, "wait"]), st.floats(0, 30)), max_size=40)


@given(STEPS)
def test_any_order_of_events(steps: list[tuple[str, float]]) -> None:
    """There is at most one process at a time, and each question is answered exactly once."""
    scene, running, asked = Scene(), 0, list[list[Any]]()
    for what, seconds in steps:
        if what == "ask":
            asked.append(scene.ask(seconds))
        elif what == "serve" and running:
            scene.keeper.serves(URL, scene.now)
        elif what in ("die", *OUTLOOKS) and running:
            running -= 1
            scene.keeper.ended("it died", scene.now, OUTLOOKS.get(what, Outlook.UNKNOWN))
        elif what == "wait":
            scene.now += seconds
            scene.keeper.tick(scene.now)
        running += scene.starts()
        assert running in (0, 1)
        serves = scene.keeper.state is GatewayState.SERVING
        assert bool(scene.keeper.url) == serves
        assert not serves or running
    scene.now += PATIENCE
    scene.keeper.tick(scene.now)
    assert all(len(answers) == 1 for answers in asked)
    assert all(answers[0] == URL or isinstance(answers[0], CtrlHubError) for answers in asked)


def test_so_many_wait_for_it(scene: Scene) -> None:
    """And no more: who asks without end has the hub keep no list without end. Those that wait have their answer."""
    answers = [scene.ask() for _ in range(MOST_WAITING)]
    with pytest.raises(LimitExceeded, match="ask again later"):
        scene.ask()
    scene.keeper.serves(URL, scene.now)
    assert answers == [[URL]] * MOST_WAITING
    assert scene.ask() == [URL]
