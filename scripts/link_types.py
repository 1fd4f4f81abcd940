"""Build ``build/types/ctrlhub``: the import package as one folder, out of links.

The sources of ``ctrlhub.controller``, ``ctrlhub.engine`` and ``ctrlhub.client`` stand at the top
of the tree. Python finds them through the editable install's import hook, which mypy and
import-linter cannot follow; they are shown this folder instead. No link is kept in git.
"""

from __future__ import annotations

import os
import shutil
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "ctrlhub"


def sources(root: Path) -> dict[str, Path]:
    """Name every entry of the import package, and where it really is."""
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    entries = {path.name: path for path in (root / PACKAGE).iterdir() if path.name != "__pycache__"}
    for package, folder in settings["package-dir"].items():
        entries[package.removeprefix(f"{PACKAGE}.")] = root / folder
    return entries


def link(root: Path) -> Path:
    """Make the folder anew and return it."""
    target = root / "build" / "types" / PACKAGE
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name, source in sources(root).items():
        (target / name).symlink_to(os.path.relpath(source, target))
    return target


if __name__ == "__main__":
    print(link(ROOT))
