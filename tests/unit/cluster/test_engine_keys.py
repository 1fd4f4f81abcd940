"""Keys of engines that outlive their supervisor."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctrlhub.cluster.engine_keys import engine_keys


def test_the_same_engine_has_the_same_key(tmp_path: Path) -> None:
    """With fewer engines, and with more again."""
    path = tmp_path / "engine-keys.json"
    three = engine_keys(path, 3)
    assert len(set(three)) == 3
    assert engine_keys(path, 2) == three[:2]
    assert engine_keys(path, 4)[:3] == three
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"public": "x", "secret": "y"}]'])
def test_what_is_damaged_is_made_anew(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Ids are no reason not to start."""
    path = tmp_path / "engine-keys.json"
    path.write_text(text)
    path.chmod(0o600)
    keys = engine_keys(path, 1)
    assert "cannot be used" in caplog.text
    assert engine_keys(path, 1) == keys
