"""What an upload consists of."""

from __future__ import annotations

import json
import math
import sys
import textwrap
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

import pytest

from ctrlhub.client import uploads
from ctrlhub.client.uploads import upload_of


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with a part of its own, data, and what is not sent."""
    made = tmp_path / "pack"
    for directory in ("sub", "__pycache__", ".git"):
        (made / directory).mkdir(parents=True)
    (made / "__init__.py").write_text("")
    (made / "sub" / "__init__.py").write_text("x = 1\n")
    (made / "data.csv").write_bytes(b"1,2\xff")
    (made / "__pycache__" / "old.pyc").write_bytes(b"x")
    (made / ".git" / "config").write_text("x")
    return made


def test_a_file(tmp_path: Path) -> None:
    """By its path, as text or not."""
    file = tmp_path / "mine.py"
    file.write_text("x = 1\n")

    for path in (file, str(file)):
        found = upload_of(path)
        assert (found.name, found.files) == ("mine", {"mine.py": b"x = 1\n"})


def test_a_package(package: Path) -> None:
    """All that it has, but for what Python and others keep beside."""
    assert upload_of(package).files == {
        "pack/__init__.py": b"",
        "pack/data.csv": b"1,2\xff",
        "pack/sub/__init__.py": b"x = 1\n",
    }


def test_a_path_may_be_relative(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the one that is no name by itself."""
    monkeypatch.chdir(package)
    assert upload_of(".").name == "pack"


def test_a_module() -> None:
    """A single one, or a package with all its parts."""
    assert set(upload_of(textwrap).files) == {"textwrap.py"}
    assert set(upload_of(json).files) >= {"json/__init__.py", "json/decoder.py"}


def test_what_is_not_there(tmp_path: Path) -> None:
    """It is said what to give instead."""
    with pytest.raises(FileNotFoundError, match="or an imported module"):
        upload_of(tmp_path / "nothing.py")


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (sys, "has no file"),
        (sys.modules["__main__"], "travels with what uses it"),
        (json.decoder, "upload that package"),
        (math, "has no file|compiled"),
    ],
)
def test_modules_that_are_not_uploaded(module: ModuleType, words: str) -> None:
    """With what to do about it."""
    with pytest.raises(ValueError, match=words):
        upload_of(module)


def test_directories_and_files_that_are_no_modules(tmp_path: Path) -> None:
    """Without __init__, without source, with a name that cannot be imported."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "data.txt").touch()
    (tmp_path / "my-module.py").touch()
    for name, words in (
        ("plain", "no __init__.py"),
        ("data.txt", "no Python source"),
        ("my-module.py", "no name of a module"),
    ):
        with pytest.raises(ValueError, match=words):
            upload_of(tmp_path / name)


def test_compiled_parts(package: Path, tmp_path: Path) -> None:
    """They belong to one machine."""
    suffix = EXTENSION_SUFFIXES[0]
    (tmp_path / f"fast{suffix}").touch()
    with pytest.raises(ValueError, match="compiled: install it"):
        upload_of(tmp_path / f"fast{suffix}")

    (package / "sub" / f"fast{suffix}").touch()
    with pytest.raises(ValueError, match="compiled part, sub/fast"):
        upload_of(package)


def test_a_mistake_is_found_before_it_is_sent(package: Path) -> None:
    """With its place."""
    (package / "sub" / "wrong.py").write_text("x = = 1\n")
    with pytest.raises(SyntaxError) as caught:
        upload_of(package)
    assert caught.value.filename == "pack/sub/wrong.py"


def test_there_is_a_limit(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data belongs into files."""
    monkeypatch.setattr(uploads, "MOST_BYTES", 5)
    with pytest.raises(ValueError, match="more than 5 bytes"):
        upload_of(package)


@pytest.mark.parametrize("what", [5, None, b"mine.py"])
def test_what_is_nothing_of_the_kind(what: object) -> None:
    """It is a matter of types."""
    with pytest.raises(TypeError, match="upload takes"):
        upload_of(what)  # type: ignore[arg-type]
