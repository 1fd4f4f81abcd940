"""What makes engines ready for work: running files, importing modules."""

from __future__ import annotations

import os
import tokenize
from typing import Any

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.imports import SyncImports
from ctrlhub.client.targets import Targets
from ctrlhub.client.view import View
from ctrlhub.wire.by_value import CLOUDPICKLE, DILL, use, used


class EngineSetup(View):
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

    def use_dill(self) -> Any:
        """Pickle with dill, here and on the engines, what plain pickle cannot.

        It holds for this whole program, and for the engines of this view until they are restarted.

        Returns
        -------
        AsyncResult
            Done when the engines have changed over; with the view's `block` their values.

        Raises
        ------
        SerializationError
            Dill is not installed here; or, when the result is had, on an engine. If this waits for
            the engines, and one has none, all stays as it was here.
        """
        return self._pickle_with(DILL)

    def use_cloudpickle(self) -> Any:
        """Pickle with cloudpickle, here and on the engines, what plain pickle cannot.

        So it is from the beginning; this takes back `use_dill`.
        """
        return self._pickle_with(CLOUDPICKLE)

    def use_pickle(self) -> Any:
        """Take back `use_dill`: plain pickle for all it can do, and cloudpickle for the rest."""
        return self._pickle_with(CLOUDPICKLE)

    def _pickle_with(self, name: str) -> Any:
        former = used()
        use(name)
        try:
            return self.apply(use, name)
        except BaseException:
            use(former)
            raise
