"""What holds: options win over the environment, this over the profile's file, that over the user's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ctrlhub.cluster.config.files import Found
from ctrlhub.cluster.config.settings import PREFIX, SECTIONS, SETTINGS, Setting


class Origin(StrEnum):
    """Who said what a setting is, from the strongest to the weakest."""

    OPTION = "option"
    ENVIRONMENT = "environment"
    PROFILE = "profile"
    USER = "user"
    DEFAULT = "default"


class VariableError(ValueError):
    """A variable of the environment has a wrong value; the message names it."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The value that holds for a setting.

    Parameters
    ----------
    setting
        The setting.
    value
        Its value.
    origin, where
        Who said so, and where.
    """

    setting: Setting
    value: Any
    origin: Origin
    where: str


@dataclass(frozen=True, slots=True)
class Layers:
    """What was said besides options.

    Parameters
    ----------
    environ
        Variables of the environment. An empty one says nothing.
    profile, user
        What the two files say, by the settings' whole names.
    """

    environ: Mapping[str, str] = field(default_factory=dict)
    profile: Mapping[str, Found] = field(default_factory=dict)
    user: Mapping[str, Found] = field(default_factory=dict)

    def resolve(self, setting: Setting, option: Found | None = None) -> Resolved:
        """Return what holds for a setting.

        Raises
        ------
        VariableError
            Its variable is set, and to something else than such a value.
        """
        for origin, found in (
            (Origin.OPTION, option),
            (Origin.ENVIRONMENT, self._of_environment(setting) if option is None else None),
            (Origin.PROFILE, self.profile.get(setting.name)),
            (Origin.USER, self.user.get(setting.name)),
        ):
            if found is not None:
                return Resolved(setting, found.value, origin, found.where)
        return Resolved(setting, setting.default, Origin.DEFAULT, setting.shown)

    def _of_environment(self, setting: Setting) -> Found | None:
        text = self.environ.get(setting.variable)
        if not text:
            return None
        try:
            return Found(setting.kind.read(text), setting.variable)
        except ValueError as error:
            raise VariableError(f"{setting.variable}: {error}") from None

    def strange(self) -> list[str]:
        """Name the variables that look like those of settings, and are of none."""
        known = {setting.variable for setting in SETTINGS}
        begins = tuple(f"{PREFIX}{section.upper()}_" for section in SECTIONS)
        return sorted(name for name in self.environ if name.startswith(begins) and name not in known)
