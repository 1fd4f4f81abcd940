"""The file of tokens: 0600, one for each profile, changed by `ctrl-hub token` while the gateway runs."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ctrlhub.gateway.access.roles import ROLES, Role
from ctrlhub.gateway.access.tokens import Token, TokenBook, is_strong, made
from ctrlhub.wire.lock import HubLock
from ctrlhub.wire.private import StateError, read_private, write_private

MOST_BYTES = 1024 * 1024


class TokenFile:
    """The tokens of a profile.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, ...] | None = None
        self._book = TokenBook()

    def now(self) -> TokenBook:
        """Return the tokens as they are now; the file is read if it has changed.

        Raises
        ------
        StateError
            It cannot be used.
        """
        mark = self._mark()
        if mark != self._seen:
            self._book = self._read()
            self._seen = mark
        return self._book

    def ensure(self) -> TokenBook:
        """Return the tokens; those that a gateway needs are made if they are missing."""
        with self._changing():
            book = self._read()
            if not is_strong(book.cookie_key, book.tokens):
                book = _complete(book)
                write_private(self.path, book.to_json())
        return self.now()

    def create(self, name: str, role: Role, expires: float | None) -> str:
        """Make a token, keep its hash, and return it.

        Raises
        ------
        ValueError
            There is one of this name, or too many.
        """
        secret = secrets.token_urlsafe(32)
        now = time.time()
        token = made(name, role, secret, secrets.token_hex(8), now, expires, kept=False)
        self._change(lambda book: book.with_token(token, now))
        return secret

    def revoke(self, name: str) -> Token | None:
        """Forget a token; return the one that takes its place, if it was one that every gateway has.

        Raises
        ------
        LookupError
            There is none of this name.
        """
        book = self._change(lambda book: _complete(book.without(name)))
        return next((each for each in book.tokens if each.name == name), None)

    def _change(self, change: Callable[[TokenBook], TokenBook]) -> TokenBook:
        with self._changing():
            book = change(_complete(self._read()))
            write_private(self.path, book.to_json())
        return book

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Be alone with the file."""
        with HubLock(self.path.with_name("tokens.lock")).turn():
            yield

    def _mark(self) -> tuple[int, ...] | None:
        """Return what is different once its content is, or who may read it."""
        try:
            found = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StateError(f"cannot look at {self.path}: {error.strerror or error}") from error
        return found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode, found.st_uid

    def _read(self) -> TokenBook:
        try:
            return TokenBook.from_json(read_private(self.path, MOST_BYTES))
        except FileNotFoundError:
            return TokenBook()
        except ValueError as error:
            raise StateError(
                f"{self.path} is damaged ({error}): remove it, and new tokens are made"
            ) from error


def _complete(book: TokenBook) -> TokenBook:
    """Return a book with a key, and with one token of each role that can be shown."""
    if len(book.cookie_key) < 32:
        book = replace(book, cookie_key=secrets.token_bytes(32))
    now = time.time()
    for role in ROLES:
        if book.shown(role) is None:
            token = made(role.value, role, secrets.token_urlsafe(32), secrets.token_hex(8), now, kept=True)
            book = book.with_token(token, now)
    return book
