"""What makes engines ready for work: running files, importing modules."""

from __future__ import annotations

import os
import tokenize
from typing import Any

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.imports import SyncImports
from ctrlhub.client.targets import Targets


class EngineSetup:
    """The part of a `DirectView` that prepares its engines."""

    def execute(
        self,
        code: str,
        silent: bool = True,
        targets: Targets | None = None,
        block: bool | None = None,
        label: str | None = None,
    ) -> AsyncResult:
        """Run statements in the engines' namespaces."""
        raise NotImplementedError

    def run(
        self,
        filename: str | os.PathLike[str],
        targets: Targets | None = None,
        block: bool | None = None,
        label: str | None = None,
    ) -> AsyncResult:
        """Run a file of this machine on the engines.

        Parameters
        ----------
        filename
            The path of a Python file; its text is sent.
        targets, block, label
            As for `execute`.

        Raises
        ------
        OSError
            It cannot be read.
        SyntaxError
            It has no encoding that Python knows.
        """
        with tokenize.open(filename) as file:
            code = file.read()
        return self.execute(code, targets=targets, block=block, label=label)

    @property
    def importer(self) -> SyncImports:
        """The context ``with view.importer:``, as `sync_imports` without arguments."""
        return self.sync_imports()

    def sync_imports(self, local: bool = True, quiet: bool = False) -> SyncImports:
        """Import here and on the engines at once.

        Parameters
        ----------
        local
            Import here, too.
        quiet
            Do not print what is imported.

        Examples
        --------
        >>> with view.sync_imports():
        ...     import numpy
        importing numpy on engine(s)
        """
        return SyncImports(lambda code: self.execute(code, block=False), local, quiet)

    # ------------------------------------------------------------ serialization

    def use_cloudpickle(self) -> Any:
        """Have closures and what is defined in ``__main__`` sent by value: so it is always."""
        return self.execute("", block=None)

    def use_dill(self) -> Any:
        """Have closures and what is defined in ``__main__`` sent by value: so it is always.

        What only dill can pickle (running generators, open files) is not sent.
        """
        return self.execute("", block=None)

    def use_pickle(self) -> Any:
        """Do nothing: plain pickle is used for all it can do, and cloudpickle for the rest."""
        return self.execute("", block=None)
