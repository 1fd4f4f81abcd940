"""Cookies: ours are read, and nothing else is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.gateway.access.cookies import Login, is_same, read

KEY, OTHER = b"k" * 32, b"o" * 32
LOGIN = Login("79db4f08523dbc80", "c8a649f8b5232081", 1_000)


def test_what_was_signed_is_read() -> None:
    """Until it is over."""
    assert read(LOGIN.signed(KEY), KEY, 999.9) == LOGIN
    assert read(LOGIN.signed(KEY), KEY, 1_000.0) is None


def test_another_key_is_another_gateway() -> None:
    """A cookie of another profile, or from before the tokens were thrown away, is none."""
    assert read(LOGIN.signed(OTHER), KEY, 0.0) is None


@given(st.integers(0, 200), st.characters(codec="ascii"))
def test_a_changed_cookie_is_none(place: int, letter: str) -> None:
    """Wherever it was changed: token, end or seal."""
    value = LOGIN.signed(KEY)
    place %= len(value)
    changed = value[:place] + letter + value[place + 1 :]
    assert read(changed, KEY, 0.0) == (LOGIN if changed == value else None)


@given(st.text(max_size=300))
def test_any_text_is_read_or_none(text: str) -> None:
    """What strangers send raises nothing."""
    assert read(text, KEY, 0.0) is None


def test_a_page_says_what_its_own_cookie_says() -> None:
    """The word against forgery belongs to one login, and is not its cookie."""
    other = Login(LOGIN.token, "0" * 16, LOGIN.expires)
    assert is_same(LOGIN.csrf(KEY), LOGIN.csrf(KEY))
    assert len({LOGIN.csrf(KEY), other.csrf(KEY), LOGIN.csrf(OTHER), LOGIN.signed(KEY).rpartition(".")[2]}) == 4
