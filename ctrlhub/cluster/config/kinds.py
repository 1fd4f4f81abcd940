"""Kinds of values that settings have: how each is read from a text and from TOML, and written.

An option and an environment variable are texts; a configuration file has values of its own. Whatever
is wrong is a `ValueError` that says what it should look like.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from ctrlhub.wire.ssh import NO_SSH, SSHServer

_HOST_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9])?")
_PORTS = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
_SIZE = re.compile(r"([0-9]{1,15})([KMGT]?)B?", re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")

YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
"""What an environment variable says of what is on or off, in letters of any size."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value.

    Parameters
    ----------
    metavar
        What stands for it in ``--help``.
    read
        Makes a value of a text.
    take
        Makes a value of what a TOML file has.
    plain
        Makes of a value what TOML and JSON can say, from which `take` makes the same again.
    choices
        The values there are, where they are few.
    is_switch
        It is on or off.
    is_list
        It is several texts: an option is given once for each.
    """

    metavar: str
    read: Callable[[str], Any]
    take: Callable[[Any], Any]
    plain: Callable[[Any], Any] = lambda value: value
    choices: tuple[str, ...] = ()
    is_switch: bool = False
    is_list: bool = False


def _taken_as_text(read: Callable[[str], Any]) -> Callable[[Any], Any]:
    """Take a text from TOML, and read it as an option is."""

    def take(value: Any) -> Any:
        if type(value) is not str:
            raise ValueError(f"{_shown(value)} is not a text in quotes")
        return read(value)

    return take


def _shown(value: Any) -> str:
    return f"{value!r:.80}"


# ---------------------------------------------------------------- texts


def text(metavar: str, check: Callable[[str], object] = lambda value: None) -> Kind:
    """Give the kind of a text; `check` raises a `ValueError` where it will not do."""

    def read(value: str) -> str:
        check(value)
        return value

    return Kind(metavar, read, _taken_as_text(read))


def choice(*names: str) -> Kind:
    """Give the kind of one of a few words."""

    def read(value: str) -> str:
        if value not in names:
            raise ValueError(f"{value!r} is not one of {', '.join(names)}")
        return value

    return Kind(f"[{'|'.join(names)}]", read, _taken_as_text(read), choices=names)


def directory(metavar: str = "DIRECTORY") -> Kind:
    """Give the kind of a directory; in a file it has to stand on its own feet."""

    def take(value: Any) -> str:
        if type(value) is not str:
            raise ValueError(f"{_shown(value)} is not a text in quotes")
        if not Path(value).expanduser().is_absolute():
            raise ValueError(f"{value!r} is not a whole path, such as /scratch/me or ~/scratch")
        return read(value)

    def read(value: str) -> str:
        return str(Path(value).expanduser().absolute())

    return Kind(metavar, read, take)


def _read_address(value: str) -> str:
    if _HOST_NAME.fullmatch(value):
        return value
    try:
        ipaddress.ip_address(value)
    except ValueError as error:
        raise ValueError(
            f"{value!r} is not an address: use one of this machine, such as 127.0.0.1 or what "
            "`hostname -I` shows, without a port"
        ) from error
    return value


ADDRESS = Kind("ADDRESS", _read_address, _taken_as_text(_read_address))


def _read_ssh(value: str) -> str:
    if value != NO_SSH:
        SSHServer.parse(value)
    return value


SSH = Kind("USER@HOST:PORT", _read_ssh, _taken_as_text(_read_ssh))


# ---------------------------------------------------------------- numbers


def whole(low: int, high: int | None = None, metavar: str = "N") -> Kind:
    """Give the kind of a whole number."""
    within = f"from {low} on" if high is None else f"within {low} ... {high}"

    def check(number: int) -> int:
        if number < low or (high is not None and number > high):
            raise ValueError(f"{number} is not a whole number {within}")
        return number

    def read(value: str) -> int:
        if not _WHOLE.fullmatch(value.strip()):
            raise ValueError(f"{value!r} is not a whole number {within}")
        return check(int(value))

    def take(value: Any) -> int:
        if type(value) is not int:
            raise ValueError(f"{_shown(value)} is not a whole number {within}")
        return check(value)

    return Kind(metavar, read, take)


def whole_or(word: str, low: int) -> Kind:
    """Give the kind of a whole number, or a word in place of one."""
    number = whole(low)

    def wrong(value: Any) -> ValueError:
        return ValueError(f"{_shown(value)} is neither a number of at least {low} nor {word!r}")

    def read(value: str) -> int | str:
        try:
            return word if value == word else int(number.read(value))
        except ValueError:
            raise wrong(value) from None

    def take(value: Any) -> int | str:
        try:
            return word if value == word else int(number.take(value))
        except ValueError:
            raise wrong(value) from None

    return Kind(f"N|{word}", read, take)


def _check_seconds(number: float) -> float:
    if not (isfinite(number) and number > 0):
        raise ValueError(f"{number} is not a number of seconds above 0")
    return number


def _read_seconds(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a number of seconds") from None
    return _check_seconds(number)


def _take_seconds(value: Any) -> float:
    if type(value) not in (int, float):
        raise ValueError(f"{_shown(value)} is not a number of seconds")
    return _check_seconds(float(value))


SECONDS = Kind("SECONDS", _read_seconds, _take_seconds)


def _read_rate(value: str) -> float:
    try:
        return _check_rate(float(value))
    except ValueError:
        raise ValueError(f"{value!r} is not a number above 0") from None


def _take_rate(value: Any) -> float:
    if type(value) not in (int, float):
        raise ValueError(f"{_shown(value)} is not a number above 0")
    return _check_rate(float(value))


def _check_rate(number: float) -> float:
    if not (isfinite(number) and number > 0):
        raise ValueError(f"{number} is not a number above 0")
    return number


RATE = Kind("N", _read_rate, _take_rate)
"""So many in a second."""


def _read_size(value: str) -> int:
    found = _SIZE.fullmatch(value)
    if found is None:
        raise ValueError(f"{value!r} is not a size, such as 512M or 4G")
    return int(found[1]) << 10 * " KMGT".index(found[2].upper() or " ")


def _take_size(value: Any) -> int:
    if type(value) is str:
        return _read_size(value)
    if type(value) is not int or value < 0:
        raise ValueError(f"{_shown(value)} is not a size, such as \"512M\", or a number of bytes")
    return value


SIZE = Kind("SIZE", _read_size, _take_size)


def _check_ports(first: int, last: int) -> tuple[int, int]:
    if not 1 <= first <= last <= 65535:
        raise ValueError(f"{first}-{last} is not a range of ports within 1-65535")
    return first, last


def _read_ports(value: str) -> tuple[int, int]:
    found = _PORTS.fullmatch(value)
    if found is None:
        raise ValueError(f"{value!r} is not FIRST-LAST, such as 40000-40003")
    return _check_ports(int(found[1]), int(found[2]))


PORTS = Kind(
    "FIRST-LAST",
    _read_ports,
    _taken_as_text(_read_ports),
    lambda ports: f"{ports[0]}-{ports[1]}",
)


# ---------------------------------------------------------------- others


def _read_switch(value: str) -> bool:
    if value.lower() in YES:
        return True
    if value.lower() in NO:
        return False
    raise ValueError(f"{value!r} is neither true nor false")


def _take_switch(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(f"{_shown(value)} is neither true nor false")
    return value


SWITCH = Kind("", _read_switch, _take_switch, is_switch=True)


def _read_words(value: str) -> tuple[str, ...]:
    return tuple(word for each in value.split(",") if (word := each.strip()))


def _take_words(value: Any) -> tuple[str, ...]:
    if type(value) is not list or not all(type(each) is str for each in value):
        raise ValueError(f"{_shown(value)} is not a list of texts, such as [\"one\", \"other\"]")
    return tuple(value)


WORDS = Kind("NAME,...", _read_words, _take_words, list)


def _read_lines(value: str) -> tuple[str, ...]:
    return tuple(line for line in value.splitlines() if line.strip())


LINES = Kind("LINE", _read_lines, _take_words, list, is_list=True)
"""Several texts; where only one is possible, in an environment variable, each on a line of its own."""


def _check_amounts(amounts: dict[str, float]) -> dict[str, float]:
    from ctrlhub.wire.errors import InvalidRequest
    from ctrlhub.wire.options import checked_resources

    try:
        checked_resources(amounts)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None
    return amounts


def _read_amounts(value: str) -> dict[str, float]:
    """Read ``gpu=1,memory=16``."""
    found: dict[str, float] = {}
    for part in filter(None, value.split(",")):
        name, sign, amount = part.partition("=")
        try:
            found[name.strip()] = float(amount) if sign else 1.0
        except ValueError:
            raise ValueError(f"{amount!r} is not an amount, in {part!r}") from None
    return _check_amounts(found)


def _take_amounts(value: Any) -> dict[str, float]:
    if type(value) is not dict:
        raise ValueError(f"{_shown(value)} is not a table of amounts, such as {{gpu = 1}}")
    if wrong := [name for name, each in value.items() if type(each) not in (int, float)]:
        raise ValueError(f"{_shown(value[wrong[0]])} is not an amount, of {wrong[0]!r}")
    return _check_amounts({name: float(each) for name, each in value.items()})


AMOUNTS = Kind("NAME=AMOUNT,...", _read_amounts, _take_amounts, dict)


# ---------------------------------------------------------------- TOML


def toml(value: Any) -> str:
    """Write a plain value as TOML.

    Raises
    ------
    ValueError
        TOML has no such value.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and isfinite(value):
        return repr(value)
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for one character that JSON leaves as it is.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{toml(str(k))} = {toml(v)}' for k, v in value.items())}}}"
    raise ValueError(f"{_shown(value)} cannot be written as TOML")
