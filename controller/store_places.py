"""What ``--store`` may say, and how much of that may be shown."""

from __future__ import annotations

from posixpath import isabs
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

STORES = ("sqlite", "memory")
"""Those that need no place."""

SCHEMES = ("postgresql", "postgres")

_SECRETS = frozenset(("password", "sslpassword", "oauth_client_secret"))


def check_store(store: str) -> None:
    """See that a store can be meant.

    Raises
    ------
    ValueError
        It says what may stand there, and nothing of a password.
    """
    kind, colon, place = store.partition(":")
    if is_postgresql(store):
        _check_url(store)
    elif store not in STORES and not (kind == "sqlite" and colon and isabs(place)):
        raise ValueError(
            f"store must be {' or '.join(STORES)}, sqlite:DIRECTORY with an absolute path, or "
            f"postgresql://HOST/DATABASE, not {store!r:.80}"
        )


def is_postgresql(store: str) -> bool:
    """Say whether a store is a URL of PostgreSQL's."""
    scheme, separator, _ = store.partition("://")
    return bool(separator) and scheme in SCHEMES


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = None
    # Taken apart otherwise than it was meant, pieces of a password would be a host, or a database.
    if parts is None or url.count("@") > parts.netloc.count("@") or parts.netloc.count("@") > 1:
        raise ValueError(
            "store is no URL of PostgreSQL's: in user and password write %40 for @, %3A for :, %2F for "
            "/, %23 for # and %3F for ?; or leave the password to a file (~/.pgpass, PGPASSFILE)"
        )


def shown(url: str) -> str:
    """Return a URL without its secrets."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    query = [(name, value) for name, value in _query(parts.query) if name not in _SECRETS]
    asked = urlencode(query, safe="/")
    place = f"{parts.scheme}://{user.partition(':')[0]}{at}{hosts}{parts.path}"
    return f"{place}?{asked}" if asked else place


def secrets(url: str) -> set[str]:
    """Return what must not be shown of a URL, as it stands there and as it is meant."""
    parts = urlsplit(url)
    password = parts.netloc.rpartition("@")[0].partition(":")[2]
    found = {value for name, value in _query(parts.query) if name in _SECRETS}
    return {each for each in (password, unquote(password), *found) if each}


def _query(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)
