"""Tokens: which one a request has, what stands of them in the file, and what a file of somebody else's is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.gateway.access.roles import ROLES, Role, allows
from ctrlhub.gateway.access.tokens import MOST, Token, TokenBook, hash_of, made

SECRETS = ("a" * 43, "b" * 43, "c" * 43)
NOW = 1_000.0


def book(*expires: float | None) -> TokenBook:
    """Return a book with a token for each secret."""
    ends = expires or (None, None, None)
    tokens = [
        made(f"t{n}", ROLES[n], secret, f"id{n}", NOW, ends[n], kept=n == 0)
        for n, secret in enumerate(SECRETS)
    ]
    return TokenBook(tuple(tokens), b"k" * 32)


def test_each_secret_is_its_own_token() -> None:
    """Whichever of them it is."""
    for number, secret in enumerate(SECRETS):
        found = book().find(secret, NOW)
        assert found is not None
        assert (found.name, found.role) == (f"t{number}", ROLES[number])


@pytest.mark.parametrize("wrong", ["", "d" * 43, SECRETS[0][:-1], SECRETS[0] + "a", "a" * 100_000, "ü\udc80"])
def test_what_is_no_token_is_none(wrong: str) -> None:
    """Nothing else is let in: not a beginning, not more, not what no header can have."""
    assert book().find(wrong, NOW) is None


def test_a_token_is_good_until_it_expires() -> None:
    """From that moment on it is none, neither by its secret nor by its id."""
    tokens = book(NOW + 10, None, None)
    assert tokens.find(SECRETS[0], NOW + 9.9) == tokens.of_id("id0", NOW + 9.9) is not None
    assert tokens.find(SECRETS[0], NOW + 10) is None
    assert tokens.of_id("id0", NOW + 10) is None


def test_all_tokens_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long it takes does not tell which one was nearly right: each is compared, also behind the right one."""
    from ctrlhub.gateway.access import tokens

    compared = []

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(tokens.hmac, "compare_digest", compare)
    assert book().find(SECRETS[0], NOW) is not None
    assert [one for one, _ in compared] == [hash_of(secret) for secret in SECRETS]


def test_only_what_is_shown_is_kept() -> None:
    """Of other tokens the file has a hash, and nothing else of the secret."""
    data = book().to_json()
    assert SECRETS[0].encode() in data
    assert not any(secret.encode() in data for secret in SECRETS[1:])
    assert TokenBook.from_json(data) == book()


def test_a_name_is_taken_once() -> None:
    """Until its token is revoked, or has expired."""
    more = made("t0", Role.VIEW, "e" * 43, "id9", NOW, kept=False)
    with pytest.raises(ValueError, match="there is a token 't0' already"):
        book().with_token(more, NOW)
    assert book().without("t0").with_token(more, NOW).find("e" * 43, NOW) == more
    assert book(NOW + 1, None, None).with_token(more, NOW + 2).find("e" * 43, NOW + 2) == more


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", "a" * 65, "<script>", "a\nb", "ü"])
def test_a_name_is_plain(name: str) -> None:
    """It is shown on terminals and pages."""
    with pytest.raises(ValueError, match="is no name of a token"):
        book().with_token(made(name, Role.VIEW, "e" * 43, "id9", NOW, kept=False), NOW)


def test_there_are_not_more_than_so_many() -> None:
    """Each is compared for each request."""
    token = made("x", Role.VIEW, "e" * 43, "x", NOW, kept=False)
    full = TokenBook(tuple(dataclasses.replace(token, name=f"n{n}", id=f"n{n}") for n in range(MOST)), b"k" * 32)
    with pytest.raises(ValueError, match="revoke some"):
        full.with_token(dataclasses.replace(token, name="one-more"), NOW)


def test_who_is_not_there_cannot_be_revoked() -> None:
    """The error says how to find what there is."""
    with pytest.raises(LookupError, match="token list"):
        book().without("nobody")


def test_a_weak_secret_is_no_token() -> None:
    """Nobody makes one by hand."""
    with pytest.raises(ValueError, match="at random"):
        made("x", Role.VIEW, "secret", "x", NOW, kept=False)


def _damage(change: Callable[[dict[str, Any]], None]) -> bytes:
    said = json.loads(book().to_json())
    change(said)
    return json.dumps(said).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"{}", b"null", b"[" * 100_000,
        _damage(lambda said: said.update(cookie_key="00")),
        _damage(lambda said: said.update(cookie_key="no hex")),
        _damage(lambda said: said["tokens"].append(7)),
        _damage(lambda said: said["tokens"][0].update(role="engine")),
        _damage(lambda said: said["tokens"][0].update(role="king")),
        _damage(lambda said: said["tokens"][0].update(hash="00")),
        _damage(lambda said: said["tokens"][0].update(secret="f" * 43)),
        _damage(lambda said: said["tokens"][0].update(expires="soon")),
        _damage(lambda said: said["tokens"][0].pop("id")),
    ],
)  # fmt: skip
def test_a_file_that_is_not_ours_is_refused(data: bytes) -> None:
    """Whole: what is damaged lets nobody in."""
    with pytest.raises(ValueError, match="not a file of tokens"):
        TokenBook.from_json(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing that stands in a file ends the gateway."""
    try:
        TokenBook.from_json(data)
    except ValueError:
        return


def test_roles_are_in_order() -> None:
    """Who may do more may do all that others may."""
    assert [allows(role, needed) for role in ROLES for needed in ROLES] == [
        True, True, True, False, True, True, False, False, True,
    ]  # fmt: skip


def test_a_token_does_not_say_its_secret() -> None:
    """Not where it is shown by accident, in a log say."""
    token: Token = book().tokens[0]
    assert SECRETS[0] not in repr(token)
