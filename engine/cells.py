"""Which code runs in IPython's shell, and when that is made.

Plain statements run as they are, and an engine that sees nothing else never imports IPython. A cell,
and what only IPython understands, make the shell; from then on it runs all code, in the same
namespace. So does the first import of IPython by user code: what it displays from then on is rich.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Protocol

from ctrlhub.engine.interrupts import Gate

IPYTHON = "IPython"

_MARKS = re.compile(r"^\s*[%!?]|=\s*[%!]|\?\s*$|\b(await|async)\b", re.MULTILINE)
"""What only IPython understands: magics, commands of the system, help, await outside of functions."""

_NAMES = re.compile(r"(?<![.\w])(get_ipython|display)\s*\(")
"""What IPython has for every cell."""


class Shell(Protocol):
    """IPython's shell on an engine."""

    def execute(self, code: str, silent: bool) -> dict[str, Any] | None:
        """Run code; return the value that it ends with, as it travels."""

    def traceback_of(self, error: BaseException) -> str | None:
        """Return the traceback of the error that code ended with, as IPython writes it."""

    def start_afresh(self) -> None:
        """Take note that the namespace was emptied."""


class Cells:
    """Finds the shell that some code is to run in.

    Parameters
    ----------
    make
        Makes the shell; imports IPython.
    gate
        Holds interrupts back meanwhile: a shell that is half made could not be mended.

    Attributes
    ----------
    shell : Shell or None
        The shell, once there is one.
    """

    def __init__(self, make: Callable[[], Shell], gate: Gate) -> None:
        self.shell: Shell | None = None
        self._make = make
        self._gate = gate
        self._making = False

    def shell_for(self, code: str, silent: bool) -> Shell | None:
        """Return the shell for a piece of code that can be compiled; None if it needs none."""
        if self.shell is None and (not silent or _NAMES.search(code)):
            return self.make()
        return self.shell

    def shell_for_ipython(self, code: str) -> Shell | None:
        """Return the shell for code that Python cannot compile; None if IPython could not either.

        Raises
        ------
        ModuleNotFoundError
            It would take IPython, which is not installed.
        """
        if self.shell is not None or not _MARKS.search(code):
            return self.shell
        shell = self.make()
        if shell is None:
            raise ModuleNotFoundError(
                "this code is IPython's (a magic, a command of the system, or await outside of a "
                "function), and this engine has no IPython: pip install 'ctrl-hub[jupyter]' there",
                name=IPYTHON,
            )
        return shell

    def make(self) -> Shell | None:
        """Make the shell, if there is none, and return it; None if IPython is not installed."""
        if self.shell is None and not self._making and find_spec(IPYTHON) is not None:
            self._making = True
            try:
                with self._gate.undisturbed():
                    self.shell = self._make()
            finally:
                self._making = False
        return self.shell

    def watch_imports(self) -> None:
        """Make the shell as well when user code imports IPython."""
        sys.meta_path.insert(0, _Watch(self))


class _Watch(MetaPathFinder):
    """Looks for the first import of IPython, and finds nothing else."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find IPython, as Python does."""
        if fullname != IPYTHON:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenShell(spec.loader, self)
        return spec


class _ThenShell(Loader):
    """Loads IPython, then has the shell made."""

    def __init__(self, loader: Loader, watch: _Watch) -> None:
        self._loader = loader
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave it to the loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Load it."""
        self._loader.exec_module(module)
        if self._watch in sys.meta_path:
            sys.meta_path.remove(self._watch)
            self._watch.cells.make()
