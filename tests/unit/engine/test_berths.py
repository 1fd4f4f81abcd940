"""What a nanny has for each slot, and leaves to the one that follows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctrlhub.engine.berths import Berths, recorded
from ctrlhub.engine.config import NannyConfig
from ctrlhub.wire.security import KeyPair


@pytest.fixture
def config(tmp_path: Path) -> NannyConfig:
    """What an elastic nanny of two engines is told."""
    tmp_path.chmod(0o700)
    return NannyConfig(
        "connection", 2, str(tmp_path), keys=(KeyPair.generate(), KeyPair.generate()),
        resources=({"gpu": 1.0}, {"gpu": 2.0}), elastic=True, record=str(tmp_path / "record.json"),
    )  # fmt: skip


def test_who_follows_has_the_engines_that_were_left(config: NannyConfig) -> None:
    """With their keys and resources: those that came later, too, and not those that were retired."""
    first = Berths(config, cores=4)
    first.grow(4)
    first.record([1, 3])

    told = recorded(Path(config.record), config)

    assert told.engines == 2
    assert [pair.public for pair in told.keys] == [first.key_of(1), first.key_of(3)]
    assert told.keys[0] == config.keys[1]
    assert told.resources == ({"gpu": 2.0}, {"gpu": 2.0})
    assert NannyConfig.from_json(told.to_json()) == told


def test_who_follows_one_that_was_told_nothing_begins_as_it_did(config: NannyConfig) -> None:
    """There is no record then."""
    assert recorded(Path(config.record), config) is config


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"keys": {}}]', "nonsense"])
def test_a_damaged_record_is_none(config: NannyConfig, text: str) -> None:
    """It is said in the log, and costs no more than the engines that came later."""
    record = Path(config.record)
    record.write_text(text)
    record.chmod(0o600)

    told = recorded(record, config)

    assert told is config or told.engines == 0


def test_cores_are_shared_out_among_those_there_are(config: NannyConfig) -> None:
    """So the numerical libraries of engines that come later do not use all cores each."""
    berths = Berths(config, cores=8)

    assert berths.begin(0, active=2).threads == 4
    berths.grow(4)
    assert berths.begin(3, active=4).threads == 2
    assert berths.begin(3, active=100).threads == 1


def test_each_process_has_an_incarnation_of_its_own(config: NannyConfig) -> None:
    """By it the hub tells one that takes another's place."""
    berths = Berths(config, cores=1)

    one, other = berths.begin(0, 1), berths.begin(0, 1)

    assert one.public == other.public == berths.key_of(0)
    assert one.incarnation != other.incarnation == berths.incarnation_of(0).hex()
    assert berths.slot_of(one.public) == 0
    assert berths.slot_of("another") is None
