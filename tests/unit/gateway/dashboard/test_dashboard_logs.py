"""The ends of logs, for the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctrlhub.gateway.dashboard import logs as module
from ctrlhub.gateway.dashboard.logs import FIRST_LINES, LINES, LogEnds
from ctrlhub.wire.places import Profile


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """A profile with room for logs."""
    found = Profile.named("p", tmp_path)
    found.logs.mkdir(parents=True)
    return found


def test_lines_of_several_logs_come_by_their_dates(profile: Profile) -> None:
    """Those without a date stay behind the one before; each says whose it is, and how grave."""
    (profile.logs / "hub.log").write_text(
        '{"time": "2026-11-27T12:00:01+00:00", "level": "info", "logger": "l", "message": "first"}\n'
        '{"time": "2026-11-27T12:00:03+00:00", "level": "error", "logger": "l", "message": "last"}\n'
    )
    ends = LogEnds(profile)
    first = ends.read()
    assert first["whole"] is True
    assert [(line["who"], line["level"], line["text"].rpartition(" ")[2]) for line in first["lines"]] == [("hub", 20, "first"), ("hub", 40, "last")]
    ends.close()
    when = first["lines"][0]["text"][:17]
    (profile.logs / "engine-0.log").write_text(f"{when}02,000 INFO x: joined as engine 5 \nprinted\n")
    lines = ends.read()["lines"]
    assert [(line["who"], line["text"].split()[-1]) for line in lines] == [
        ("hub", "first"), ("engine 5", "5"), ("engine 5", "printed"), ("hub", "last"),
    ]  # fmt: skip
    ends.close()


def test_what_is_written_comes_once(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a log that is new; nothing is told where nothing was written."""
    monkeypatch.setattr(module, "NEW", 0.0)
    path = profile.logs / "hub.log"
    path.write_text("old\n" * (FIRST_LINES + 5))
    ends = LogEnds(profile)
    assert len(ends.read()["lines"]) == FIRST_LINES
    assert ends.read() == {"kind": "logs", "whole": False, "lines": [], "left_out": 0}
    with path.open("a") as file:
        file.write("new\n")
    (profile.logs / "nanny.log").write_text("come\n")
    assert sorted(line["text"] for line in ends.read()["lines"]) == ["come", "new"]
    ends.close()


def test_a_flood_is_cut_and_counted(profile: Profile) -> None:
    """The last lines are shown, and how many are not; a line that is very long is cut."""
    path = profile.logs / "hub.log"
    path.write_text("")
    ends = LogEnds(profile)
    ends.read()
    with path.open("a") as file:
        file.writelines(f"{n} {'x' * 9000 if n == LINES + 9 else ''}\n" for n in range(LINES + 10))
    told = ends.read()
    assert (len(told["lines"]), told["left_out"]) == (LINES, 10)
    assert len(told["lines"][-1]["text"]) == module.LINE
    ends.close()
