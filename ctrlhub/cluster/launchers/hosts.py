"""Lists of hosts, and how many engines each of them gets."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HOST = re.compile(r"(?P<name>(?:[^\s@:,\[\]-][^\s@:,\[\]]*@)?(?:\[[0-9A-Fa-f:.%\w]+\]|[^\s@:,\[\]-][^\s@:,\[\]]*))(?::(?P<n>\d+))?")


@dataclass(frozen=True, slots=True)
class Host:
    """A host, as ssh calls it, and its engines.

    Parameters
    ----------
    name
        A host, or ``user@host``.
    engines
        How many engines it is for; 0 for a share of those that are left.
    """

    name: str
    engines: int = 0


def hosts_of(text: str) -> tuple[Host, ...]:
    """Read ``a,me@b:4,[::1]:2``.

    Raises
    ------
    ValueError
        It is something else, or a host is named twice.
    """
    found: list[Host] = []
    for part in filter(None, re.split(r"[,\s]+", text)):
        match = _HOST.fullmatch(part)
        if match is None or match["n"] == "0":
            raise ValueError(f"hosts: {part!r} is not HOST, USER@HOST or either with :ENGINES")
        found.append(Host(match["name"].replace("[", "").replace("]", ""), int(match["n"] or 0)))
    if not found:
        raise ValueError("hosts: say on which hosts, such as a,b:4,me@c:8")
    names = [host.name for host in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"hosts: {', '.join(twice)} is named twice: say HOST:ENGINES instead")
    return tuple(found)


def names_of(hosts: tuple[Host, ...]) -> str:
    """Write hosts, without numbers of engines, as `hosts_of` reads them."""
    written = []
    for host in hosts:
        user, at, name = host.name.rpartition("@")
        written.append(f"{user}{at}[{name}]" if ":" in name else host.name)
    return ",".join(written)


def shared_out(hosts: tuple[Host, ...], n: int) -> tuple[Host, ...]:
    """Give each host its engines, so that they are `n`; hosts that get none are left out.

    Raises
    ------
    ValueError
        Those that hosts are to have are not `n`.
    """
    fixed = sum(host.engines for host in hosts)
    open_ones = [host for host in hosts if not host.engines]
    left = n - fixed
    if left < 0 or (left and not open_ones):
        raise ValueError(f"hosts: they are to have {fixed} engines, and {n} are asked for")
    share, more = divmod(left, len(open_ones)) if open_ones else (0, 0)
    given = {host.name: share + (number < more) for number, host in enumerate(open_ones)}
    return tuple(
        Host(host.name, count) for host in hosts if (count := host.engines or given[host.name])
    )
