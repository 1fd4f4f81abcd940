"""Versions: of Python, of ctrl-hub, and of what it stands on."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import metadata

from ctrlhub.cli.checks.finding import Finding, ok, warning, wrong

OLDEST = (3, 11)
"""The oldest Python that works."""

BESIDE = ("cloudpickle", "numpy", "ipython", "ipykernel", "psycopg", "mpi4py")
"""What is told if it is there: engines should have the same."""


def software() -> Iterator[Finding]:
    """Look at the software of this environment."""
    from ctrlhub import __version__

    yield python(sys.version_info[:3], platform.python_implementation(), sys.executable)
    yield ok("ctrl-hub", f"{__version__}, in {__file__.rpartition('/cli/')[0]}")
    import zmq

    yield libzmq(zmq.zmq_version_info(), zmq.__version__, has_curve=zmq.has("curve"), has_ipc=zmq.has("ipc"))
    import msgpack

    yield packer(metadata.version("msgpack"), msgpack.Packer.__module__)
    found = []
    for name in BESIDE:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    yield ok("beside it", ", ".join(found) + "; engines should have the same")


def python(version: tuple[int, int, int], implementation: str, executable: str) -> Finding:
    """Judge the Python that runs this."""
    text = f"{implementation} {'.'.join(map(str, version))}, {executable}"
    if version[:2] < OLDEST:
        return wrong("Python", text, f"ctrl-hub needs {'.'.join(map(str, OLDEST))} or later")
    if implementation != "CPython":
        return warning("Python", text, "ctrl-hub is tested with CPython")
    return ok("Python", text)


def libzmq(version: tuple[int, int, int], binding: str, *, has_curve: bool, has_ipc: bool) -> Finding:
    """Judge libzmq: without CURVE (libsodium) no other host can be let in."""
    text = f"pyzmq {binding}, libzmq {'.'.join(map(str, version))}"
    if not has_ipc:
        return wrong("ZeroMQ", f"{text}, without ipc", "reinstall pyzmq from a wheel: `pip install --force-reinstall pyzmq`")
    if not has_curve:
        return wrong(
            "ZeroMQ",
            f"{text}, without CURVE (libsodium)",
            "--listen needs it: reinstall pyzmq from a wheel, `pip install --force-reinstall pyzmq`",
        )
    return ok("ZeroMQ", f"{text}, with CURVE (libsodium)")


def packer(version: str, module: str) -> Finding:
    """Judge msgpack: its fallback in Python is many times slower."""
    if "fallback" in module:
        return warning(
            "msgpack",
            f"{version}, in Python: each message takes many times longer",
            "install a wheel with the C extension, and see that MSGPACK_PUREPYTHON is not set",
        )
    return ok("msgpack", f"{version}, with its C extension")
