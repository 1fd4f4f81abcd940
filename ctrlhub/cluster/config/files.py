"""Configuration files: reading one with what is wrong and in which line, and writing one to begin with.

There are two, both TOML with the same sections: the user's (``$XDG_CONFIG_HOME/ctrlhub/config.toml``, or
what ``CTRLHUB_CONFIG`` names), and the profile's (``config.toml`` in its directory), which wins.
"""

from __future__ import annotations

import os
import stat
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctrlhub.cluster.config.kinds import toml
from ctrlhub.cluster.config.settings import BY_NAME, SECTIONS, Setting, of_section
from ctrlhub.wire.private import StateError, this_uid

NAME = "config.toml"
USER_VARIABLE = "CTRLHUB_CONFIG"

MOST_BYTES = 1 << 20
"""The largest file that is read."""

_WIDTH = 96


class ConfigError(StateError):
    """A configuration file cannot be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value that somebody gave a setting.

    Parameters
    ----------
    value
        The value, of the setting's kind.
    where
        Where it stands, for people.
    """

    value: Any
    where: str


def user_file(environ: Mapping[str, str]) -> Path:
    """Return the user's configuration file, which may not exist."""
    named = environ.get(USER_VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_config_path("ctrlhub", appauthor=False)) / NAME


def load(path: Path) -> dict[str, Found]:
    """Read a configuration file; one that is missing says nothing.

    Returns
    -------
    dict
        What it says, by the settings' whole names.

    Raises
    ------
    ConfigError
        It cannot be read or understood, or others could have written it.
    """
    try:
        text = _text_of(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text in UTF-8: {error}") from error
    return understood(text, path)


def _text_of(path: Path) -> str:
    # A pipe would be waited for: nobody may ever write to it.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise ConfigError(f"{path} is no file: move it away, `ctrl-hub profile create` writes one")
        # It says what is run, and where: who can write it can run code as its reader.
        if os.name == "posix" and (about.st_mode & 0o022 or about.st_uid not in (0, this_uid())):
            raise ConfigError(
                f"{path} can be written by others: `chmod go-w {path}`, and it must be yours or root's"
            )
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ConfigError(f"{path} is larger than {MOST_BYTES} bytes")
    return data.decode()


def understood(text: str, path: Path) -> dict[str, Found]:
    """Return what the text of a configuration file says.

    Raises
    ------
    ConfigError
        It is no TOML, or names what there is not; all that is wrong is said, each with its line.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: it is nested too deeply") from error
    found: dict[str, Found] = {}
    wrong: list[tuple[int, str]] = []
    lines = lines_of(text)
    for section, key, value in _entries(data):
        line = lines[(section, key) if key else (section,)]
        try:
            setting, value = _read(section, key, value)
        except ValueError as error:
            wrong.append((line, str(error)))
        else:
            found[setting.name] = Found(value, f"{path}, line {line}")
    if wrong:
        raise ConfigError("\n".join(f"{path}, line {line}: {why}" for line, why in sorted(wrong)))
    return found


def _entries(data: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield section, key and value; without a key what is no section of ours."""
    for section, values in data.items():
        if section not in SECTIONS or not isinstance(values, dict):
            yield section, "", values
            continue
        for key, value in values.items():
            yield section, key, value


def _read(section: str, key: str, value: Any) -> tuple[Setting, Any]:
    if not key:
        if section in SECTIONS:
            raise ValueError(f"{section} is a section: write [{section}] on a line of its own")
        what = f"no section [{section}]" if isinstance(value, dict) else f"no setting {section!r} outside of a section"
        raise ValueError(f"there is {what}; the sections are {_alike(section, SECTIONS)}")
    setting = BY_NAME.get(f"{section}.{key}")
    if setting is None:
        keys = {each.key: "" for each in of_section(section)}
        raise ValueError(f"[{section}] has no {key!r}; it has {_alike(key, keys)}")
    try:
        return setting, setting.kind.take(value)
    except ValueError as error:
        raise ValueError(f"{section}.{key}: {error}") from None


def _alike(name: str, names: Mapping[str, str]) -> str:
    """Name the one that was probably meant, or all."""
    from difflib import get_close_matches

    near = get_close_matches(name, names, 1)
    return f"{near[0]!r}, which may be meant" if near else ", ".join(names)


def lines_of(text: str) -> dict[tuple[str, ...], int]:
    """Return the lines of TOML in which sections, and keys in them, begin.

    The standard library reads TOML without saying where a value stands. So it is read in the smallest
    pieces that are TOML themselves, each behind the head of its section.
    """
    found: dict[tuple[str, ...], int] = {}
    head, piece, first = "", "", 0
    for number, line in enumerate(text.split("\n"), 1):
        begun = line.strip()
        if not piece and (not begun or begun.startswith("#")):
            continue
        first = first if piece else number
        piece += f"{line}\n"
        try:
            data = tomllib.loads(head + piece)
        except tomllib.TOMLDecodeError:
            continue  # amid a value of several lines
        if piece.lstrip().startswith("["):
            head = piece
        piece = ""
        for section, values in data.items():
            found.setdefault((section,), first)
            for key in values if isinstance(values, dict) else ():
                found.setdefault((section, key), first)
    return found


# ---------------------------------------------------------------- writing


def template(profile: str, values: Mapping[str, Any]) -> str:
    """Write a configuration file to begin with: each setting, explained; those without a value commented out.

    Parameters
    ----------
    profile
        The profile's name.
    values
        What some settings are to have, by whole name.
    """
    lines = [
        f"# Configuration of profile {profile!r} of ctrl-hub.",
        "#",
        "# A line that begins with '#' says nothing: what it shows is the default. Options of commands win over",
        "# environment variables, these over this file, and this file over the user's own configuration;",
        f"# `ctrl-hub config show --profile {profile}` says what holds, and where it comes from.",
    ]
    for section, about in SECTIONS.items():
        lines += ["", "", f"# {about}", f"[{section}]"]
        for setting in of_section(section):
            lines += ["", *_entry(setting, values)]
    return "\n".join(lines) + "\n"


def _entry(setting: Setting, values: Mapping[str, Any]) -> list[str]:
    lines = textwrap.wrap(setting.help, _WIDTH, break_long_words=False, break_on_hyphens=False)
    if setting.shown:
        lines.append(f"By default: {setting.shown}.")
    lines.append(f"Also: {', '.join(setting.options)}, {setting.variable}")
    shown = [f"# {line}" for line in lines]
    if setting.name in values:
        return [*shown, f"{setting.key} = {toml(setting.kind.plain(values[setting.name]))}"]
    if setting.default is None:
        return [*shown, f"#{setting.key} ="]
    return [*shown, f"#{setting.key} = {toml(setting.kind.plain(setting.default))}"]
