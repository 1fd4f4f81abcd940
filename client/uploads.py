"""What an upload consists of: the source of a module or package, as data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

MOST_BYTES = 64 * 1024 * 1024
"""The most bytes of an upload."""

NOT_SENT = ("__pycache__",)
"""Directories that are left out, beside hidden ones."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A module or package to be uploaded.

    Attributes
    ----------
    name
        Its name.
    files
        The contents of its files, by path: ``name.py``, or all in ``name/``.
    """

    name: str
    files: dict[str, bytes]


def upload_of(what: ModuleType | str | os.PathLike[str]) -> Upload:
    """Read the source of a module, a file or a package directory.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It has no Python source, or is too large; the message says what to do.
    TypeError
        It is nothing of the kind.
    """
    if isinstance(what, ModuleType):
        return _read(_place_of(what))
    if isinstance(what, str | os.PathLike):
        return _read(Path(what).expanduser())
    raise TypeError(
        f"upload takes a module, or the path of a .py file or package, not {type(what).__name__}"
    )


def _place_of(module: ModuleType) -> Path:
    name, file = module.__name__, getattr(module, "__file__", None)
    if name == "__main__":
        raise ValueError("what is defined in __main__ travels with what uses it: no need to upload it")
    if "." in name:
        package = name.partition(".")[0]
        raise ValueError(f"{name} is a part of {package}: upload that package")
    if file is None:
        raise ValueError(
            f"{name} has no file: it is built into Python, or a directory without __init__.py"
        )
    return Path(file).parent if hasattr(module, "__path__") else Path(file)


def _read(path: Path) -> Upload:
    if not path.exists():
        raise FileNotFoundError(
            f"there is no {path}: give the path of a .py file or package, or an imported module"
        )
    path = path.resolve()
    name = path.stem if path.is_file() else path.name
    if _is_extension(path):
        raise ValueError(f"{path} is compiled: install it where the engines run")
    if path.is_file() and path.suffix != ".py":
        raise ValueError(f"{path} is no Python source: upload takes .py files and packages")
    if path.is_dir() and not (path / "__init__.py").is_file():
        raise ValueError(f"{path} is no package: it has no __init__.py")
    if not name.isidentifier():
        raise ValueError(f"{path} cannot be imported: {name!r} is no name of a module")
    files = {} if path.is_dir() else {path.name: path.read_bytes()}
    for file in _files_in(path):
        files[file.relative_to(path.parent).as_posix()] = file.read_bytes()
        if sum(map(len, files.values())) > MOST_BYTES:
            raise ValueError(
                f"{path} has more than {MOST_BYTES} bytes: leave its data out, and have the engines "
                "read that from a file"
            )
    for place, source in files.items():
        if place.endswith(".py"):
            compile(source, place, "exec", dont_inherit=True)  # a mistake is found before it is sent
    return Upload(name, files)


def _files_in(package: Path) -> Iterator[Path]:
    """Yield the files of a package, and refuse what is compiled for this machine."""
    for directory, inner, names in os.walk(package):
        inner[:] = sorted(n for n in inner if n not in NOT_SENT and not n.startswith("."))
        for name in sorted(names):
            file = Path(directory) / name
            if _is_extension(file):
                raise ValueError(
                    f"{package.name} has a compiled part, {file.relative_to(package)}: install it "
                    "where the engines run"
                )
            if file.is_file() and not name.endswith(".pyc") and not name.startswith("."):
                yield file


def _is_extension(path: Path) -> bool:
    return path.name.endswith((*EXTENSION_SUFFIXES, ".so", ".pyd"))
