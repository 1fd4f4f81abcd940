"""The stream of figures: one for all browsers, none without browsers, and not for those that do not read."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ctrlhub.gateway.dashboard import feed as feeds
from ctrlhub.gateway.dashboard import logs
from ctrlhub.gateway.dashboard.feed import MOST_UNSENT, REFUSED_FOR, Feed, Lately, trouble_of
from ctrlhub.wire.closing import FAILED, TOO_SLOW
from ctrlhub.wire.errors import HubUnavailable
from ctrlhub.wire.places import Profile
from ctrlhub.wire.telemetry import Telemetry
from tests.support.made_up_telemetry import looks

STATUS = {"hub": {"trouble": ["the disk is full"], "refused": 3}, "store": {"trouble": "no room"}, "start_hooks": [{"name": "h", "failed": {1: "no"}}]}


class Source:
    """The hub's figures, as the gateway has them."""

    def __init__(self) -> None:
        self.listener: Callable[[Telemetry], None] | None = None
        self.trouble = ""

    def subscribe(self, listener: Callable[[Telemetry], None]) -> Callable[[], None]:
        """Take a listener; return what ends that."""
        self.listener = listener

        def leave() -> None:
            self.listener = None

        return leave


class Browser:
    """One that takes what it is told, or does not."""

    def __init__(self, reads: bool = True) -> None:
        self.reads = reads
        self.told: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None

    def tell(self, text: str) -> int:
        """Take what it is told."""
        self.told.append(json.loads(text))
        return 0 if self.reads else len(self.told)

    def let_go(self, code: int, reason: str) -> None:
        """Take note of how it was closed."""
        self.closed = code, reason

    def kinds(self) -> list[str]:
        """Return what it was told of."""
        return [each["kind"] for each in self.told]


class Hub:
    """What the gateway asks of the hub."""

    async def status(self) -> dict[str, Any]:
        """Say how the hub is."""
        if self.is_gone:
            raise HubUnavailable("gone")
        return STATUS

    is_gone = False


def made(tmp_path: Path) -> tuple[Feed, Source, Hub]:
    """Return a feed, where its figures come from, and its hub."""
    source, hub = Source(), Hub()

    async def of(role: Any) -> Hub:
        return hub

    gateway: Any = SimpleNamespace(profile=Profile.named("p", tmp_path), telemetry=source, clients=SimpleNamespace(of=of))
    return Feed(gateway), source, hub


async def turned(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something holds."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


def test_all_browsers_are_told_the_same_and_nobody_is_asked_without_any(tmp_path: Path) -> None:
    """Each gets all there is, then what is new; when the last has gone the hub is asked no more."""

    async def scenario() -> None:
        feed, source, _ = made(tmp_path)
        said = looks(2, 10, 1000.0)
        first, second = Browser(), Browser()
        feed.join(first)
        await turned(lambda: source.listener is not None)
        assert source.listener is not None
        source.listener(next(said))
        await turned(lambda: len(first.told) == 2)
        feed.join(second)
        assert second.kinds() == ["whole"]
        assert [row["id"] for row in second.told[0]["engines"]["changed"]] == [0, 1]
        source.listener(next(said))
        await turned(lambda: len(second.told) == 2)
        assert first.told[-1] == second.told[-1]
        assert "nothing can be stored: no room" in first.told[-1]["trouble"]
        feed.leave(first)
        feed.leave(second)
        source.listener(next(said))
        await turned(lambda: source.listener is None)
        assert len(first.told) == 3

    asyncio.run(scenario())


def test_who_does_not_read_is_let_go(tmp_path: Path) -> None:
    """With the reason, and the others go on."""

    async def scenario() -> None:
        feed, source, _ = made(tmp_path)
        said = looks(2, 10, 1000.0)
        good, slow = Browser(), Browser(reads=False)
        feed.join(good)
        feed.join(slow)
        await turned(lambda: source.listener is not None)
        for n in range(MOST_UNSENT + 3):
            assert source.listener is not None
            source.listener(next(said))
            await turned(lambda n=n: len(good.told) == n + 2)  # type: ignore[misc]
        assert slow.closed == (TOO_SLOW, "this browser reads too slowly")
        assert len(slow.told) == MOST_UNSENT + 1
        assert good.closed is None
        feed.leave(good)

    asyncio.run(scenario())


def test_a_hub_that_does_not_answer_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is known of why, also to a browser that comes then; its figures come when it is back."""
    monkeypatch.setattr(feeds, "PATIENCE", 0.001)

    async def scenario() -> None:
        feed, source, hub = made(tmp_path)
        hub.is_gone = True
        source.trouble = "it was killed"
        browser = Browser()
        feed.join(browser)
        assert browser.kinds() == ["whole", "hub"]
        await turned(lambda: len(browser.told) > 3)
        assert browser.told[-1] == {"kind": "hub", "is_here": False, "why": "it was killed"}
        assert source.listener is not None
        source.listener(next(looks(1, 1, 1.0)))
        await turned(lambda: "figures" in browser.kinds())
        source.trouble = ""  # it is asked, and has not answered yet
        await turned(lambda: browser.told[-1]["kind"] == "hub" and browser.told[-1]["why"] != "it was killed")
        assert browser.told[-1]["why"] == "nothing has come for 0 s, and it is asked again each second"
        feed.leave(browser)

    asyncio.run(scenario())


def test_logs_are_told_to_those_that_show_them(tmp_path: Path) -> None:
    """Their ends first; who does not show them is not told."""

    async def scenario() -> None:
        feed, source, _ = made(tmp_path)
        place = Profile.named("p", tmp_path).logs
        place.mkdir(parents=True)
        (place / "hub.log").write_text("one\ntwo\n")
        said = looks(2, 10, 1000.0)
        shows, does_not = Browser(), Browser()
        feed.join(shows)
        feed.join(does_not)
        feed.want_logs(shows, True)
        await turned(lambda: source.listener is not None)
        assert source.listener is not None
        source.listener(next(said))
        await turned(lambda: "logs" in shows.kinds())
        [told] = [each for each in shows.told if each["kind"] == "logs"]
        assert [(line["who"], line["text"]) for line in told["lines"]] == [("hub", "one"), ("hub", "two")]
        assert "logs" not in does_not.kinds()
        feed.leave(shows)
        feed.leave(does_not)
        source.listener(next(said))
        await turned(lambda: source.listener is None)

    asyncio.run(scenario())


def test_logs_are_opened_while_those_of_others_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is let go for it: who comes gets their ends with the next look."""
    reads, goes_on = threading.Event(), threading.Event()
    dated = logs._dated

    def slowly(log: Any) -> Any:
        reads.set()
        assert goes_on.wait(30)
        return dated(log)

    monkeypatch.setattr(logs, "_dated", slowly)

    async def scenario() -> None:
        feed, source, _ = made(tmp_path)
        place = Profile.named("p", tmp_path).logs
        place.mkdir(parents=True)
        for name in ("hub", "gateway"):
            (place / f"{name}.log").write_text("one\n")
        said = looks(2, 10, 1000.0)
        first, second = Browser(), Browser()
        feed.join(first)
        feed.join(second)
        feed.want_logs(first, True)
        await turned(lambda: source.listener is not None)
        assert source.listener is not None
        source.listener(next(said))
        await turned(reads.is_set)
        feed.want_logs(second, True)
        goes_on.set()
        await turned(lambda: "logs" in first.kinds())
        source.listener(next(said))
        await turned(lambda: "logs" in second.kinds())
        assert (first.closed, second.closed) == (None, None)
        [told] = [each for each in second.told if each["kind"] == "logs"]
        assert told["whole"]
        assert len(told["lines"]) == 2
        feed.leave(first)
        feed.leave(second)
        source.listener(next(said))
        await turned(lambda: source.listener is None)

    asyncio.run(scenario())


def test_a_bug_does_not_leave_browsers_in_the_dark(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They are let go of, with the reason, and come again; the log has what was wrong."""

    async def scenario() -> None:
        feed, source, _ = made(tmp_path)
        browser = Browser()
        feed.join(browser)
        await turned(lambda: source.listener is not None)
        assert source.listener is not None
        source.listener(None)  # type: ignore[arg-type]
        await turned(lambda: browser.closed is not None)
        assert browser.closed == (FAILED, "the dashboard failed: see the gateway's log")
        await turned(lambda: source.listener is None)

    asyncio.run(scenario())
    assert "the dashboard failed" in caplog.text


def test_trouble_is_told_in_words() -> None:
    """Of the hub, the store, what was refused, and start hooks; a hub that is well has none."""
    assert trouble_of(STATUS, 3) == [
        "the disk is full",
        "nothing can be stored: no room",
        "3 messages were refused in the last 5 minutes: see the hub's log",
        "engine 1 gets no tasks: start hook 'h' failed: no",
    ]
    assert trouble_of({"hub": {}}, 1) == ["1 message was refused in the last 5 minutes: see the hub's log"]
    assert trouble_of({"hub": {"refused": 9}}) == []


def test_what_was_refused_long_ago_is_told_no_more() -> None:
    """Only what came in the last minutes is, though the hub counts all; another hub counts anew."""
    lately = Lately()
    assert lately.of(3, 0.0) == 3
    assert lately.of(4, REFUSED_FOR / 2) == 4
    assert lately.of(4, REFUSED_FOR) == 1
    assert lately.of(4, 2 * REFUSED_FOR) == 0
    assert lately.of(2, 2 * REFUSED_FOR + 1) == 2
