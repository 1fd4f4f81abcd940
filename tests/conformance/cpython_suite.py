"""CPython's own tests of `concurrent.futures`, found and loaded.

They are a module up to Python 3.11 and a package since, of the standard library's `test`. Many builds
leave that out: Debian has it in ``libpython3.X-testsuite``, for the interpreter of the same version.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

NAME = "test.test_concurrent_futures"
DEBIAN = Path(f"/usr/lib/python{sys.version_info.major}.{sys.version_info.minor}/test")
PACKAGE = f"libpython{sys.version_info.major}.{sys.version_info.minor}-testsuite"

SHIM = f"""\
import importlib.util, os, sysconfig
own = os.path.join(sysconfig.get_path("stdlib"), "test")
__path__ = [path for path in (own, {str(DEBIAN)!r}) if os.path.isdir(path)]
"""
"""The package `test` of a process whose interpreter came without these tests."""


def load(directory: Path) -> list[ModuleType]:
    """Return the modules with the tests; none where they are not installed.

    Parameters
    ----------
    directory
        Where a package `test` is put that processes of these tests find first.
    """
    shim = directory / "test"
    shim.mkdir()
    (shim / "__init__.py").write_text(SHIM)
    try:
        import test
    except ImportError:
        return []
    if DEBIAN.is_dir() and str(DEBIAN) not in test.__path__:
        test.__path__.append(str(DEBIAN))
    try:
        whole = import_module(NAME)
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("test"):
            raise
        return []
    if not hasattr(whole, "__path__"):
        return [whole]
    names = ("util", "executor", "test_wait", "test_as_completed", "test_shutdown", "test_init")
    return [import_module(f"{NAME}.{n}") for n in (*names, "test_process_pool", "test_deadlock")]
