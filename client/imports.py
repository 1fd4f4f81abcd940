"""Imports here and on engines at once: ``with view.sync_imports(): import numpy``."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from types import FrameType, ModuleType, TracebackType
from typing import Any

from ctrlhub.client.async_result import AsyncResult


class SyncImports:
    """A context in which the imports of the block itself are made on engines, too.

    What the imported modules import in their turn is theirs alone, and so are imports of other
    threads. Names given with ``as`` are known here only.

    Parameters
    ----------
    execute
        Runs code on the engines.
    local
        Import here, too. Otherwise the names here stand for what is there: they cannot be used.
    quiet
        Do not tell of it.
    """

    def __init__(
        self, execute: Callable[[str], AsyncResult], local: bool = True, quiet: bool = False
    ) -> None:
        self._execute = execute
        self._local = local
        self._quiet = quiet
        self._frame: FrameType | None = None
        self._original: Any = None
        self._results: dict[str, AsyncResult] = {}

    def __enter__(self) -> None:
        self._frame = sys._getframe(1)
        self._original = builtins.__import__
        builtins.__import__ = self._import  # type: ignore[assignment]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        builtins.__import__ = self._original
        self._frame = None
        results, self._results = self._results, {}
        if error is None:
            for result in results.values():
                result.get()

    def _import(
        self,
        name: str,
        names: Any = None,
        local_names: Any = None,
        parts: Any = (),
        level: int = 0,
    ) -> Any:
        # Relative imports have a meaning in their package only, which no engine runs in.
        if level > 0 or sys._getframe(1) is not self._frame:
            return self._original(name, names, local_names, parts, level)
        found = (
            self._original(name, names, local_names, parts, level)
            if self._local
            else _Elsewhere(name.partition(".")[0])
        )
        listed = ", ".join(parts or ())
        code = f"from {name} import {listed}" if listed else f"import {name}"
        if code not in self._results:
            if not self._quiet:
                print(f"importing {f'{listed} from ' if listed else ''}{name} on engine(s)")
            self._results[code] = self._execute(code)
        return found


class _Elsewhere(ModuleType):
    """Stands for a module that was imported on engines only."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Elsewhere(f"{self.__name__}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            f"{self.__name__} was imported on the engines only: use it in what runs there, or "
            "import it with local=True"
        )
