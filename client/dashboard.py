"""The dashboard of a client's hub, as far as it is known without asking."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from ctrlhub.client.html import link
from ctrlhub.wire.liveness import pid_exists
from ctrlhub.wire.private import StateError, read_private
from ctrlhub.wire.served import LINK_VARIABLE, Served, linked

log = logging.getLogger(__name__)

_MOST_BYTES = 4096

HOW = "dashboard: client.dashboard_link starts it"
"""What is said where none is served."""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Where it is.

    Parameters
    ----------
    profile
        The name of the hub's profile.
    directory
        The profile's directory; None where it is not known, or elsewhere.
    url
        The gateway's URL, for a client that came through it.
    """

    profile: str = ""
    directory: Path | None = None
    url: str = ""

    def link_to(self, url: str) -> str:
        """Return the link to a gateway of this URL, as the template says."""
        served = self._served()
        template = os.environ.get(LINK_VARIABLE, served.link if served is not None else "")
        try:
            return linked(template, url, self.profile, os.environ)
        except ValueError as error:
            log.warning("the link to the dashboard is its own URL: %s", error)
            return url

    def known_link(self) -> str:
        """Return the link, if a gateway serves; nobody is asked. Empty if none does, or that is not known."""
        if self.url:
            return self.link_to(self.url)
        served = self._served()
        return "" if served is None or not pid_exists(served.pid) else self.link_to(served.url)

    def note(self) -> str:
        """Return HTML with the link, or how to get one."""
        known = self.known_link()
        return f"<div>{link(known, 'dashboard')}</div>" if known else f"<div><small>{HOW}</small></div>"

    def mention(self) -> str:
        """Return HTML with the link, if there is one."""
        known = self.known_link()
        return f"<div>{link(known, 'dashboard')}</div>" if known else ""

    def _served(self) -> Served | None:
        if self.directory is None:
            return None
        path = self.directory / "gateway.json"
        try:
            return Served.from_json(read_private(path, _MOST_BYTES))
        except FileNotFoundError:
            return None
        except (StateError, OSError, ValueError) as error:
            log.debug("%s does not say where the gateway serves: %s", path, error)
            return None
