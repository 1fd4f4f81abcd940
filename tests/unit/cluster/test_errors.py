"""What the errors of clusters say."""

from __future__ import annotations

from ctrlhub.cluster.errors import StartFailed


def test_a_failed_start_shows_the_log() -> None:
    """The reason stands in what the user sees, not in a file to be found."""
    text = str(StartFailed("the hub ended with exit code 5", "one\ntwo"))

    assert text == "the hub ended with exit code 5; its last lines:\n  | one\n  | two"


def test_without_a_log_nothing_is_quoted() -> None:
    """A process that wrote nothing is not quoted."""
    assert str(StartFailed("too late")) == "too late"
