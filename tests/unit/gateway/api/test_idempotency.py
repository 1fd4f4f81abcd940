from __future__ import annotations

import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.gateway.api import idempotency, journal
from ctrlhub.gateway.api.idempotency import KEY_SECONDS, Keys, Stage, digest_of
from ctrlhub.gateway.api.journal import Journal
from ctrlhub.wire.private import StateError


def test_a_key_is_remembered_with_what_it_was_used_for() -> None:
    """The ids, and which body it was; and forgotten after a day."""
    keys = Keys()
    keys.claim("k", b"body", [5, 6, 7, 9], 100.0)
    found = keys.find("k", 101.0)
    assert found is not None
    assert found.numbers == [5, 6, 7, 9]
    assert found.digest == digest_of(b"body") != digest_of(b"other")
    assert keys.find("k", 100.0 + KEY_SECONDS) is None
    assert len(keys) == 0


def test_there_are_so_many_keys_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten."""
    monkeypatch.setattr(idempotency, "MOST_KEYS", 3)
    keys = Keys()
    for number in range(5):
        keys.claim(str(number), b"", [number], 0.0)
    assert [keys.find(str(n), 1.0) is not None for n in range(5)] == [False, False, True, True, True]


def test_a_journal_has_what_was_claimed_and_the_last_word_counts(tmp_path: Path) -> None:
    """Who reads it knows what who wrote it knew; the file is private."""
    path = tmp_path / "keys"
    book, keys = Journal(path), Keys()
    assert list(book.lines()) == []
    book.add(keys.claim("a", b"1", [1], 0.0), keys)
    book.add(keys.claim("b", b"2", [2], 0.0), keys)
    book.add(keys.claim("a", b"1", [3], 0.0), keys)
    assert path.stat().st_mode & 0o777 == 0o600
    read = Keys()
    read.read(Journal(path).lines(), 1.0)
    assert [each.line() for each in (read.find("a", 1.0), read.find("b", 1.0)) if each] == list(
        reversed(list(keys.lines()))
    )


def test_a_line_that_cannot_be_written_whole_spoils_no_other(tmp_path: Path) -> None:
    """As on a full disk: whoever submits is told, and what comes later can be read."""
    path = tmp_path / "keys"
    book, keys = Journal(path), Keys()
    book.add(keys.claim("a", b"1", [1], 0.0), keys)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, hard))
    try:
        with pytest.raises(StateError, match="cannot be written"):
            book.add(keys.claim("b", b"2", [2], 0.0), keys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    book.add(keys.claim("c", b"3", [3], 0.0), keys)
    read = Keys()
    read.read(Journal(path).lines(), 1.0)
    assert [read.find(name, 1.0) is not None for name in "abc"] == [True, False, True]


def test_a_journal_that_has_grown_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said again and again does not fill the disk."""
    monkeypatch.setattr(journal, "REWRITE", 1000)
    book, keys = Journal(tmp_path / "keys"), Keys()
    for _ in range(200):
        book.add(keys.claim("a", b"1", [1], 0.0), keys)
    assert (tmp_path / "keys").stat().st_size < 1500


def test_what_is_withdrawn_was_never_said_and_what_is_stored_stays(tmp_path: Path) -> None:
    """For whoever reads the journal, too; a key that was withdrawn may be used for another body."""
    book, keys = Journal(tmp_path / "keys"), Keys()
    claims = [keys.claim(name, b"1", [n, 0, 9], 0.0) for n, name in enumerate("abc", 1)]
    for claimed in (*claims, keys.stored(claims[0]), keys.withdraw(claims[1])):
        book.add(claimed, keys)
    read = Keys()
    read.read(Journal(tmp_path / "keys").lines(), 1.0)
    for known in (keys, read):
        found = [known.find(name, 1.0) for name in "abc"]
        assert [each and each.stage for each in found] == [Stage.STORED, None, Stage.CLAIMED]
        assert found[2] is not None
        assert found[2].numbers == [3, 0, 9]  # in the order of the tasks; one is lacking
    assert keys.claim("b", b"2", [5], 1.0).numbers == [5]


@given(st.lists(st.text(max_size=40)))
def test_a_spoilt_journal_is_read_as_far_as_it_can_be(lines: list[str]) -> None:
    """A line that was being written when its writer was killed is left out."""
    keys = Keys()
    good = keys.claim("a", b"1", [1], 0.0).line()
    read = Keys()
    read.read([*lines, good[:-5], good], 1.0)
    assert read.find("a", 1.0) is not None
