"""Which logs a profile has, and whose they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctrlhub.cluster.log_files import Writer, engine_of, log_files
from ctrlhub.wire.places import Profile

JOINED = "2026-11-27 09:29:16,524 INFO ctrlhub.engine.service: joined as engine {}\n"


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """A profile that nobody uses."""
    profile = Profile.named("default", tmp_path)
    profile.make()
    return profile


def write(profile: Profile, name: str, text: str = "") -> Path:
    """Make a log."""
    path = profile.logs / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_whose_they_are(profile: Profile) -> None:
    """In the order in which one looks: who leads first, and engines by their ids, not by their slots."""
    write(profile, "engine-0.log", JOINED.format(3))
    write(profile, "engine-1.log", JOINED.format(2))
    write(profile, "engine-2.log", "it never came so far\n")
    write(profile, "engine-1.old.log", JOINED.format(7))
    write(profile, "hub.log")
    write(profile, "supervisor.log")
    write(profile, "nanny.log")
    write(profile, "nanny-host-4711/engine-0.log", JOINED.format(10))
    write(profile, "sets/slurm/job.log")

    found = [(each.writer, each.name, each.engine) for each in log_files(profile)]

    assert found == [
        (Writer.SUPERVISOR, "supervisor", None),
        (Writer.HUB, "hub", None),
        (Writer.NANNY, "nanny", None),
        (Writer.SET, "sets/slurm/job", None),
        (Writer.ENGINE, "engine 2", 2),
        (Writer.ENGINE, "engine 3", 3),
        (Writer.ENGINE, "engine 10", 10),
        (Writer.ENGINE, "engine ? (engine-2.log)", None),
    ]


def test_the_last_id_counts(profile: Profile) -> None:
    """A slot's next engine may have another id; what was cut from the log may say it."""
    path = write(profile, "engine-0.log", JOINED.format(3) + "output\n" + JOINED.format(12) + "output\n")
    assert engine_of(path) == 12
    path = write(profile, "engine-1.log", "much output")
    write(profile, "engine-1.old.log", JOINED.format(5))
    assert engine_of(path) == 5
    assert engine_of(write(profile, "engine-2.log")) is None


def test_a_profile_without_logs(tmp_path: Path) -> None:
    """There are none, and nothing is made."""
    assert log_files(Profile.named("none", tmp_path)) == []
    assert list(tmp_path.iterdir()) == []
