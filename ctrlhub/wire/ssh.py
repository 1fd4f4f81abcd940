"""Where to log in with ssh, and the command that does."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

NO_SSH = "none"
"""In place of an ssh server: there is none on the way."""

_OPTIONS = (
    "BatchMode=yes",  # nobody is there to answer
    "ExitOnForwardFailure=yes",
    "StreamLocalBindUnlink=yes",
    "ServerAliveInterval=5",
    "ConnectTimeout=20",
)

_PLACE = re.compile(
    r"(?P<user>[^-@\s\[\]][^@\s\[\]]*@)?(?:\[(?P<address>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^-@:\s\[\]][^@:\s\[\]]*))"
    r"(?::(?P<port>[0-9]{1,5}))?"
)


@dataclass(frozen=True, slots=True)
class SSHServer:
    """Where to log in.

    Parameters
    ----------
    destination
        What ssh calls it: a host, or ``user@host``.
    port
        Its port; None leaves that to ssh and its configuration.
    key
        The file of a private key; None leaves that to ssh.
    """

    destination: str
    port: int | None = None
    key: str | None = None

    @classmethod
    def parse(cls, text: str, key: str | os.PathLike[str] | None = None) -> SSHServer:
        """Read ``user@host:port``, of which user and port may be missing; IPv6 stands in brackets.

        Raises
        ------
        ValueError
            It is something else.
        """
        found = _PLACE.fullmatch(text)
        if found is None or (found["port"] and not 0 < int(found["port"]) < 1 << 16):
            raise ValueError(
                "an ssh server is 'host', 'user@host' or 'user@host:port', with an IPv6 address in "
                f"brackets, not {text!r:.80}"
            )
        destination = f"{found['user'] or ''}{found['address'] or found['host']}"
        port = found["port"]
        return cls(destination, int(port) if port else None, None if key is None else os.fspath(key))

    def command(self, forwards: Sequence[tuple[str, str]]) -> list[str]:
        """Return the command that forwards, from addresses here to addresses there."""
        command = ["ssh", "-T"]
        for option in _OPTIONS:
            command += ["-o", option]
        if self.port is not None:
            command += ["-p", str(self.port)]
        if self.key is not None:
            command += ["-i", os.path.expanduser(self.key)]
        for here, there in forwards:
            command += ["-L", f"{here}:{there}"]
        return [*command, "--", self.destination, "cat"]
