"""Uploaded modules, as an engine has them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from ctrlhub.engine.uploads import Uploads
from tests.support.engine_bench import Bench

NAME = "uploaded_in_a_test"


@pytest.fixture
def uploads(tmp_path: Path) -> Iterator[Uploads]:
    """Uploads, and nothing left of them in this process."""
    path = list(sys.path)
    yield Uploads(tmp_path / "uploads")
    sys.path[:] = path
    for name in [n for n in sys.modules if n.startswith(NAME)]:
        del sys.modules[name]
    importlib.invalidate_caches()


def module(uploads: Uploads, source: str) -> ModuleType:
    """Upload a module and import it."""
    uploads.install(NAME, {f"{NAME}.py": source.encode()})
    return importlib.import_module(NAME)


def package(uploads: Uploads, **sources: str) -> None:
    """Upload a package."""
    files = {f"{NAME}/{name}.py": source.encode() for name, source in sources.items()}
    uploads.install(NAME, files)


def test_it_can_be_imported_and_is_private(uploads: Uploads, tmp_path: Path) -> None:
    """It is not imported before somebody does."""
    uploads.install(NAME, {f"{NAME}.py": b"x = 5\n"})
    assert NAME not in sys.modules

    assert importlib.import_module(NAME).x == 5
    assert (tmp_path / "uploads").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "uploads" / f"{NAME}.py").stat().st_mode & 0o777 == 0o600


def test_what_was_imported_is_replaced(uploads: Uploads) -> None:
    """Also where the new source has the same size and comes in the same second."""
    first = module(uploads, "x = 1\ny = 1\ndef f(): return x\n")
    second = module(uploads, "x = 2\nz = 1\ndef f(): return x\n")

    assert second.f() == 2
    assert not hasattr(second, "y")
    assert (first.x, first.f()) == (2, 2)  # who holds the one of before sees the new one


def test_a_package_is_imported_anew_as_a_whole(uploads: Uploads) -> None:
    """In whatever order its parts need each other; what is no more part of it goes."""
    package(uploads, __init__="from . import b, a", a="from .b import one", b="one = 1", c="")
    importlib.import_module(f"{NAME}.c")
    package(uploads, __init__="from . import b, a", a="from .b import two", b="two = 2")

    assert importlib.import_module(f"{NAME}.a").two == 2
    assert f"{NAME}.c" not in sys.modules
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"{NAME}.c")


def test_a_module_may_become_a_package(uploads: Uploads) -> None:
    """And nothing of it stays."""
    module(uploads, "x = 1")
    package(uploads, __init__="x = 2")
    assert importlib.import_module(NAME).x == 2


def test_one_that_cannot_be_imported_anew(uploads: Uploads) -> None:
    """It raises; what was there before is still there, for who imports it first, too."""
    first = module(uploads, "x = 1")
    with pytest.raises(ZeroDivisionError):
        module(uploads, "1 / 0")

    assert sys.modules[NAME] is first
    assert first.x == 1
    del sys.modules[NAME]
    assert importlib.import_module(NAME).x == 1


def test_another_of_its_name_is_hidden(
    uploads: Uploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one in the directory in which the engine was started."""
    (tmp_path / f"{NAME}.py").write_text("x = 'other'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    other = importlib.import_module(NAME)

    assert module(uploads, "x = 'uploaded'").x == "uploaded"
    assert other.x == "uploaded"


@pytest.mark.parametrize("path", ["/tmp/x.py", "../x.py", "a/../../x.py", ""])
def test_it_is_written_nowhere_else(uploads: Uploads, path: str) -> None:
    """By no mistake of the sender's."""
    with pytest.raises(ValueError, match="cannot be written"):
        uploads.install(NAME, {path: b""})


def test_functions_that_were_used_before_are_loaded_again(uploads: Uploads) -> None:
    """An engine keeps what it has loaded: after an upload that may be of the former module."""
    from ctrlhub.engine.work import TaskWork
    from ctrlhub.wire.messages import Action
    from ctrlhub.wire.serialize import dumps
    from tests.support.engine_bench import function, value

    bench = Bench()
    bench.executor._acts._uploads = uploads
    upload = {"name": NAME, "files": {f"{NAME}.py": b"def f(): return 1\n"}}
    bench.command(Action.UPLOAD, upload)
    shared = function(importlib.import_module(NAME).f)
    (first,) = bench.run([TaskWork(1, 0, shared, dumps(((), {})))])

    upload["files"] = {f"{NAME}.py": b"def f(): return 2\n"}
    bench.command(Action.UPLOAD, upload)
    (second,) = bench.run([TaskWork(2, 0, shared, dumps(((), {})))])

    assert [value(first), value(second)] == [1, 2]
