"""The distribution: what it lists, what it names, what importing it costs."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import ctrlhub

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]
HEAVY = ("IPython", "asyncio", "numpy", "sqlalchemy", "tornado", "zmq")


def packages_on_disk() -> set[str]:
    """Every package that stands in the tree, by the name it is imported under."""
    roots = {"ctrlhub": "ctrlhub", **SETUPTOOLS["package-dir"]}
    return {
        ".".join((package, *init.parent.relative_to(ROOT / folder).parts))
        for package, folder in roots.items()
        for init in (ROOT / folder).rglob("__init__.py")
    }


def errors_defined() -> set[str]:
    """The public exception classes of ``ctrlhub.wire.errors``."""
    errors = importlib.import_module("ctrlhub.wire.errors")
    return {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type)
        and issubclass(value, errors.CtrlHubError)
        and not name.startswith("_")
    }


def names_for_type_checkers() -> set[str]:
    """The names that ``ctrlhub/__init__.py`` imports under TYPE_CHECKING."""
    tree = ast.parse((ROOT / "ctrlhub" / "__init__.py").read_text())
    return {
        alias.asname or alias.name
        for branch in tree.body
        if isinstance(branch, ast.If)
        for statement in branch.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


def test_every_package_on_disk_is_listed() -> None:
    """A package missing from the list would be missing from the wheel."""
    assert set(SETUPTOOLS["packages"]) == packages_on_disk()


def test_every_folder_with_python_files_is_a_package() -> None:
    """A folder of modules without ``__init__.py`` would be missing from the wheel, too."""
    folders = ("ctrlhub", *SETUPTOOLS["package-dir"].values())
    modules = [module for folder in folders for module in (ROOT / folder).rglob("*.py")]
    assert modules
    assert [str(m) for m in modules if not (m.parent / "__init__.py").exists()] == []


def test_version_is_the_distributions() -> None:
    """The version is written once, and the installed distribution has it."""
    assert importlib.metadata.version("ctrl-hub") == ctrlhub.__version__


def test_import_is_light() -> None:
    """``import ctrlhub`` brings none of the heavy libraries, nor its own programs."""
    script = "import sys, ctrlhub; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "ctrlhub" in loaded
    assert [name for name in loaded if name in HEAVY or name.startswith("ctrlhub.")] == []


@pytest.mark.parametrize("name", ctrlhub.__all__)
def test_public_name_resolves(name: str) -> None:
    """Each public name is there when it is asked for, and is kept."""
    value = getattr(ctrlhub, name)
    assert value is getattr(ctrlhub, name)
    assert vars(ctrlhub)[name] is value
    assert not isinstance(value, ModuleType)


def test_every_public_error_is_exported() -> None:
    """Whoever catches an error finds it as ``ctrlhub.<Error>``."""
    assert errors_defined() - set(ctrlhub.__all__) == set()


def test_type_checkers_see_every_public_name() -> None:
    """The imports for type checkers and the names resolved at run time are the same."""
    assert names_for_type_checkers() == set(ctrlhub.__all__) - {"__version__", "version_info"}


def test_dir_lists_public_names() -> None:
    """Tab completion offers names that are not imported yet."""
    assert set(ctrlhub.__all__) <= set(dir(ctrlhub))


def test_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name is the ordinary error, with the name in it."""
    with pytest.raises(AttributeError, match="NoSuchThing"):
        ctrlhub.NoSuchThing  # noqa: B018


@pytest.mark.parametrize(
    "entry", importlib.metadata.distribution("ctrl-hub").entry_points, ids=lambda e: e.name
)
def test_entry_point_loads(entry: importlib.metadata.EntryPoint) -> None:
    """The command and every interface are where the distribution says they are."""
    assert callable(entry.load())


def test_readme_files_are_in_the_sdist_manifest() -> None:
    """What a build needs beside the packages is named in MANIFEST.in."""
    manifest = (ROOT / "MANIFEST.in").read_text()
    for needed in ("tests", "scripts", "Makefile", "LICENSE"):
        assert needed in manifest
