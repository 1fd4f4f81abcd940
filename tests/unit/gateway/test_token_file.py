"""The file of tokens: private, changed while others read it, and never half."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ctrlhub.gateway.access.roles import ROLES, Role
from ctrlhub.gateway.token_file import TokenFile
from ctrlhub.wire.private import StateError


@pytest.fixture
def file(tmp_path: Path) -> TokenFile:
    """A file that is not there yet, in a private directory."""
    tmp_path.chmod(0o700)
    return TokenFile(tmp_path / "tokens.json")


def test_there_is_one_of_each_role(file: TokenFile) -> None:
    """Made once, and the same from then on, for whoever reads it."""
    book = file.ensure()
    assert [token.role for token in book.tokens] == list(ROLES)
    assert len({token.secret for token in book.tokens}) == len({token.id for token in book.tokens}) == 3
    assert all(len(token.secret) >= 43 for token in book.tokens)
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert TokenFile(file.path).ensure() == file.ensure() == book


def test_what_another_has_changed_is_seen(file: TokenFile) -> None:
    """At the next look, and without one nothing is read again."""
    file.ensure()
    seen = file.now()
    assert file.now() is seen
    secret = TokenFile(file.path).create("guest", Role.VIEW, None)
    found = file.now().find(secret, time.time())
    assert found is not None
    assert (found.name, found.role, found.secret) == ("guest", Role.VIEW, "")
    TokenFile(file.path).revoke("guest")
    assert file.now().find(secret, time.time()) is None


def test_a_file_that_is_gone_lets_nobody_in(file: TokenFile) -> None:
    """Until others are made, which are others."""
    former = file.ensure()
    file.path.unlink()
    assert file.now().find(former.tokens[0].secret, time.time()) is None
    assert not {each.secret for each in file.ensure().tokens} & {each.secret for each in former.tokens}


def test_a_file_that_cannot_be_looked_at_is_an_error_that_says_so(file: TokenFile) -> None:
    """Such as a link that leads to itself."""
    file.path.symlink_to(file.path)
    with pytest.raises(StateError, match="cannot look at"):
        file.now()


def test_what_is_damaged_or_open_to_others_is_refused(file: TokenFile) -> None:
    """With what to do."""
    file.ensure()
    file.path.chmod(0o644)
    with pytest.raises(StateError, match="open to other users"):
        TokenFile(file.path).now()
    file.path.chmod(0o600)
    file.path.write_bytes(b"{}")
    with pytest.raises(StateError, match="remove it"):
        file.now()
    with pytest.raises(StateError, match="remove it"):
        file.create("guest", Role.VIEW, None)


def test_one_that_is_opened_to_others_is_refused_from_then_on(file: TokenFile) -> None:
    """Though nothing in it has changed; and taken again once it is closed."""
    book = file.ensure()
    file.path.chmod(0o644)
    with pytest.raises(StateError, match="open to other users"):
        file.now()
    file.path.chmod(0o600)
    assert file.now() == book


def test_many_change_it_at_once(file: TokenFile) -> None:
    """None of the changes is lost."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: TokenFile(file.path).create(f"t{n}", Role.VIEW, None), range(24)))
    assert {token.name for token in file.now().tokens} >= {f"t{n}" for n in range(24)}


def test_one_that_is_shown_is_replaced(file: TokenFile) -> None:
    """By one of its name and role, with another secret."""
    before = file.ensure().shown(Role.ADMIN)
    after = file.revoke("admin")
    assert before is not None
    assert after is not None
    assert (after.name, after.role) == ("admin", Role.ADMIN)
    assert after.secret != before.secret
    assert file.now().find(before.secret, time.time()) is None
    assert file.revoke("view") is not None
    file.create("guest", Role.VIEW, None)
    assert file.revoke("guest") is None
