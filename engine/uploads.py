"""Modules that clients upload: written where this engine finds them, in place of what was there before.

An upload replaces a module that was imported. All of it is imported anew, in the order that its own
imports ask for; the module objects of before are made to show the same, so that whoever holds one, an
`import` of user code or another module, sees what is new. What was taken out of them
(``from module import function``) stays what it was, as after `importlib.reload`.
"""

from __future__ import annotations

import importlib
import importlib.util
import linecache
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from types import ModuleType

FORMER = ".former"
"""Where the files of before are while those of an upload are tried."""


class Uploads:
    """The uploaded modules of one engine.

    Parameters
    ----------
    directory
        Where to keep them, private to this engine; None makes a temporary one.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory

    def install(self, name: str, files: Mapping[str, bytes]) -> None:
        """Make a module or package importable, and import it anew if it was imported.

        Parameters
        ----------
        name
            Its name.
        files
            The contents of its files, by path: ``name.py``, or all in ``name/``.

        Raises
        ------
        Exception
            Whatever the module raises as it is imported anew: then everything is as before.
        """
        home, former = self._home(), self._home() / FORMER
        _remove(former)
        former.mkdir(mode=0o700)
        places = (name, f"{name}.py")
        _move(places, home, former)
        try:
            for path, content in files.items():
                _write(home, path, content)
            if str(home) not in sys.path:
                sys.path.insert(0, str(home))  # before what has the same name elsewhere
            _forget_caches(home)
            _import_anew(name)
        except BaseException:
            for place in places:
                _remove(home / place)
            _move(places, former, home)
            _forget_caches(home)
            raise
        finally:
            _remove(former)

    def _home(self) -> Path:
        if self._directory is None:
            import tempfile

            self._directory = Path(tempfile.mkdtemp(prefix="ctrlhub-"))
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._directory


def _move(places: Iterable[str], here: Path, there: Path) -> None:
    for place in places:
        if (here / place).exists():
            (here / place).rename(there / place)


def _forget_caches(home: Path) -> None:
    # Compiled files are told from outdated ones by a second and a size, which may be the same.
    _remove(home / "__pycache__")
    importlib.invalidate_caches()
    linecache.checkcache()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write(home: Path, path: str, content: bytes) -> None:
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or PurePosixPath(path).is_absolute():
        raise ValueError(f"an upload cannot be written to {path!r}")
    file = home.joinpath(*parts)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as opened:
        opened.write(content)


def _import_anew(name: str) -> None:
    """Import a module and its submodules anew, as far as they were imported."""
    former = {
        each: module
        for each, module in list(sys.modules.items())
        if each == name or each.startswith(f"{name}.")
    }
    if name not in former:
        return
    for each in former:
        del sys.modules[each]
    try:
        importlib.import_module(name)
        for each in former:
            if each != name and importlib.util.find_spec(each) is not None:
                importlib.import_module(each)
    except BaseException:
        for each in [n for n in sys.modules if n == name or n.startswith(f"{name}.")]:
            del sys.modules[each]
        sys.modules.update(former)
        raise
    for each, module in former.items():
        _show(module, sys.modules.get(each))


def _show(former: ModuleType, module: ModuleType | None) -> None:
    """Have a module object of before show what its successor has."""
    if module is None or module is former:
        return
    vars(former).clear()
    vars(former).update(vars(module))
