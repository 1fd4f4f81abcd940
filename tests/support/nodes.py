"""Cluster nodes: network namespaces with addresses of their own, and a switch between them."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_NETWORK = "10.77.0"


def can_have_nodes() -> bool:
    """Say whether this process may make network namespaces and join them."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        return False
    name = f"ctrlhub-{os.getpid()}-try"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        return False
    _ip("netns", "del", name)
    return True


class Nodes:
    """Nodes that are connected by a switch. Their names are this process's own.

    Parameters
    ----------
    names
        What they are called in tests.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._made: list[str] = []

    def __enter__(self) -> Nodes:
        try:
            self._make()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _make(self) -> None:
        switch = self._namespace("switch")
        self._add(switch)
        _ip("-n", switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", switch, "link", "set", "br0", "up")
        for name in self._names:
            node = self._namespace(name)
            self._add(node)
            _ip("-n", node, "link", "add", "eth0", "type", "veth", "peer", "name", name)
            _ip("-n", node, "link", "set", name, "netns", switch)
            _ip("-n", node, "address", "add", f"{self.address(name)}/24", "dev", "eth0")
            _ip("-n", node, "link", "set", "lo", "up")
            _ip("-n", node, "link", "set", "eth0", "up")
            _ip("-n", switch, "link", "set", name, "master", "br0", "up")

    def _add(self, namespace: str) -> None:
        _ip("netns", "add", namespace)
        self._made.append(namespace)

    def close(self) -> None:
        """Remove all."""
        for namespace in self._made:
            _ip("netns", "del", namespace)
        self._made.clear()

    def address(self, name: str) -> str:
        """Return the address of a node."""
        return f"{_NETWORK}.{1 + self._names.index(name)}"

    def cut(self, name: str) -> None:
        """Pull a node's plug at the switch: neither side sees anything but silence."""
        _ip("-n", self._namespace("switch"), "link", "set", name, "nomaster")

    def heal(self, name: str) -> None:
        """Put the plug back."""
        _ip("-n", self._namespace("switch"), "link", "set", name, "master", "br0")

    def ip(self, name: str, *arguments: str) -> None:
        """Change something of a node's network."""
        _ip("-n", self._namespace(name), *arguments)

    def command(self, name: str, *command: str) -> list[str]:
        """Return the command that runs another one on a node, in the same process."""
        return ["ip", "netns", "exec", self._namespace(name), *command]

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Let this thread, and those that it starts meanwhile, open their sockets on a node."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self._namespace(name)}", os.O_RDONLY)
        try:
            _join(there)
            try:
                yield
            finally:
                _join(own)
        finally:
            os.close(there)
            os.close(own)

    def peers_of(self, pid: int) -> set[str]:
        """Return the addresses with which a process's node has TCP connections."""
        found = set()
        tables = [Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6")]
        for line in "".join(tables).splitlines():
            columns = line.split()
            if columns[3] == "01":  # established; an IPv6 address may end with one of IPv4
                number = bytes.fromhex(columns[2].partition(":")[0][-8:])
                found.add(".".join(str(part) for part in reversed(number)))
        return found

    def _namespace(self, name: str) -> str:
        return f"ctrlhub-{os.getpid()}-{name}"


def _ip(*arguments: str) -> None:
    result = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"ip {' '.join(arguments)}: {result.stderr}"


def _join(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
