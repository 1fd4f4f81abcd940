"""Where a hub's HTTP gateway serves, as it has written it down; and how that is linked. No I/O.

A browser may reach the gateway by another way than this host does: through a Jupyter server, on a hub of
many users. The template of links says how.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Self
from urllib.parse import urlsplit

LINK_VARIABLE = "CTRLHUB_HTTP_LINK"
"""Environment variable with a template of links, which wins over the gateway's."""

PREFIX_VARIABLE = "JUPYTERHUB_SERVICE_PREFIX"
"""Environment variable with the path under which a user's Jupyter server stands on a JupyterHub."""

FIELDS = ("url", "scheme", "host", "port", "profile", "prefix")
"""What stands for something in a template."""


@dataclass(frozen=True, slots=True)
class Served:
    """Where a gateway serves.

    Parameters
    ----------
    url
        Its URL, without a token.
    pid
        Its process, on the hub's host; 0 where that is not known.
    link
        The template of links; empty for the URL itself.
    """

    url: str
    pid: int = 0
    link: str = ""

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Return what a gateway has written down.

        Raises
        ------
        ValueError
            It is nothing like that.
        """
        try:
            said = json.loads(data)
            return cls(str(said["url"]), int(said["pid"]), str(said.get("link", "")))
        except (TypeError, LookupError, AttributeError, RecursionError) as error:
            raise ValueError(f"this does not say where a gateway serves ({error!r:.100})") from None

    def to_json(self) -> bytes:
        """Return what `from_json` takes."""
        return json.dumps({"url": self.url, "pid": self.pid, "link": self.link}).encode() + b"\n"


def linked(template: str, url: str, profile: str, environ: Mapping[str, str]) -> str:
    """Return the link to a dashboard.

    Parameters
    ----------
    template
        Text with `FIELDS` and names of environment variables in braces: ``{prefix}/proxy/{port}/``. Empty
        for the URL itself.
    url
        The gateway's URL.
    profile
        The name of its profile.
    environ
        The environment. Where it lacks a variable of the template, the link is the URL.

    Raises
    ------
    ValueError
        That is no template.
    """
    if not template:
        return url
    names = check_link(template)
    parts = urlsplit(url)
    values = {
        "url": url, "scheme": parts.scheme, "host": parts.hostname or "", "port": str(parts.port or ""),
        "profile": profile, "prefix": environ.get(PREFIX_VARIABLE, "").rstrip("/"),
    }  # fmt: skip
    for name in names:
        if name not in values:
            if name not in environ:
                return url
            values[name] = environ[name]
    return template.format_map(values)


def check_link(template: str) -> list[str]:
    """Return the names in a template.

    Raises
    ------
    ValueError
        It is none: names in braces are `FIELDS` and environment variables, and nothing more is in them.
    """
    try:
        parts = [(name, spec, way) for _, name, spec, way in Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise ValueError(f"the template of links {template!r:.100} is none: {error}") from None
    for name, spec, way in parts:
        if not name.isidentifier() or spec or way or (name not in FIELDS and not name.isupper()):
            raise ValueError(
                f"a template of links has {', '.join(f'{{{each}}}' for each in FIELDS)} and {{VARIABLES}}, "
                f"not {{{name}}}: {template!r:.100}"
            )
    return [name for name, _, _ in parts]
