"""How nannies and engines write their logs, and what they trace: told as options here, and as variables elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctrlhub.link.log_file import LOG_BYTES
from ctrlhub.link.tracing import handed_on

if TYPE_CHECKING:
    from ctrlhub.controller.config import HubConfig

LEVEL = "INFO"

LEVEL_VARIABLE, FORM_VARIABLE, MOST_VARIABLE = "CTRLHUB_HUB_LOG_LEVEL", "CTRLHUB_LOG_FORMAT", "CTRLHUB_LOG_MAX_BYTES"
"""Those of the settings, which ``ctrl-hub engine`` reads."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How a nanny and its engines write their logs.

    Parameters
    ----------
    level, form, most
        As `log_level`, `log_format` and `log_max_bytes` of `HubConfig`; an empty form is text.
    """

    level: str = LEVEL
    form: str = ""
    most: int = LOG_BYTES

    @classmethod
    def of(cls, hub: HubConfig) -> LogOptions:
        """Return what the options of their hub say."""
        return cls(hub.log_level, hub.log_format, hub.log_max_bytes)

    def variables(self) -> dict[str, str]:
        """Return the variables that say so to a ``ctrl-hub engine``; what is as by default is left to where it runs."""
        said = {
            LEVEL_VARIABLE: "" if self.level.upper() == LEVEL else self.level.upper(),
            FORM_VARIABLE: self.form,
            MOST_VARIABLE: "" if self.most == LOG_BYTES else str(self.most),
        }
        return {name: value for name, value in said.items() if value}


def handed_over(environ: Mapping[str, str], options: LogOptions) -> dict[str, str]:
    """Return what engines that a launcher starts find in their environment: of logs, and of traces.

    Parameters
    ----------
    environ
        The environment of who starts them.
    options
        Of their logs; what they do not say, the environment may.
    """
    ours = {name: environ[name] for name in (LEVEL_VARIABLE, FORM_VARIABLE, MOST_VARIABLE) if environ.get(name)}
    return {**handed_on(environ), **ours, **options.variables()}
