"""DirectView: commands to explicit engines."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any, TypeVar

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.blocking import waited_for
from ctrlhub.client.chunks import columns_of, tables_of
from ctrlhub.client.engine_setup import EngineSetup
from ctrlhub.client.function_book import name_of
from ctrlhub.client.ipython import running_shell
from ctrlhub.client.map_result import AsyncJoinedResult, AsyncMapResult
from ctrlhub.client.namespace_view import NamespaceView
from ctrlhub.client.partition import split
from ctrlhub.client.requests import About
from ctrlhub.client.targets import Targets, is_single
from ctrlhub.wire.each_row import EachRow
from ctrlhub.wire.messages import Action, Stream
from ctrlhub.wire.serialize import detached, dumps, dumps_call

M = TypeVar("M", bound=AsyncMapResult)


class DirectView(EngineSetup, NamespaceView):
    """Explicit engines: each does in turn what it is told.

    With one engine (an int as target) results are its values, with several lists of values in the
    order of the targets. Errors are raised once every engine has answered: of one engine, what was
    raised there; of several, a `CompositeError`.

    Attributes
    ----------
    targets : int, list of int, or 'all'
        The engines; ``'all'`` are those there are at each call.
    stop_on_error : bool
        Whether a call that fails on an engine clears what this client has given that engine behind
        it before it could know: those calls fail with `QueueCleared`, which names the failure.
        Otherwise (the default) they run. Other clients' calls run in any case.
    """

    # ------------------------------------------------------------ running code

    def execute(
        self,
        code: str,
        silent: bool = True,
        targets: Targets | None = None,
        block: bool | None = None,
        label: str | None = None,
        stop_on_error: bool | None = None,
    ) -> AsyncResult:
        """Run statements in the engines' namespaces.

        Parameters
        ----------
        code
            Python source.
        silent
            Run it as plain statements. False runs it as a cell: in IPython where the engine has it,
            with history, magics, and the value of a last expression (``execute_result``).
        targets, block, label, stop_on_error
            As the view's flags.

        Returns
        -------
        AsyncResult
            Of `ExecuteReply`, also when it blocks: then errors are raised here, and it is done.
        """
        if not isinstance(code, str):
            raise TypeError(f"code must be text, not {type(code).__name__}")
        from ctrlhub.client.execute_reply import AsyncExecution, AsyncExecutionGroup

        home = self._home
        wanted = self._flags["targets"] if targets is None else targets
        ids = self.client._resolve(wanted)
        about = About("execute", Stream.MULTIENGINE, self._label(label), code)
        first = home.next_ids(len(ids))
        result = (
            AsyncExecution(home, first, b"", about)
            if is_single(wanted)
            else AsyncExecutionGroup(home, about, first, len(ids))
        )
        payload = dumps({"code": code, "silent": bool(silent)})
        self._submit(first, ids, Action.EXECUTE, [payload], None, result, stop_on_error)
        if self._blocks(block):
            waited_for(result)
        return result

    def apply_async(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AsyncResult:
        """Call ``f(*args, **kwargs)`` on every target; return the results to come.

        Raises
        ------
        NoEnginesRegistered, InvalidEngineID
            The targets are not there.
        SerializationError
            The function or an argument cannot be pickled; nothing was sent.
        """
        function = self._home.functions.function(f)
        payload = detached(dumps_call(args, kwargs))
        return self._command(Action.APPLY, [payload], function=function, what=name_of(f))

    def map_async(  # type: ignore[override]
        self,
        f: Callable[..., Any],
        /,
        *sequences: Iterable[Any],
        track: bool | None = None,
        return_exceptions: bool = False,
        label: str | None = None,
    ) -> AsyncMapResult:
        """Call `f` with each row of items of the sequences: one block of rows for each target.

        Parameters
        ----------
        f
            The function.
        *sequences
            Its arguments: one sequence for each parameter. They end with the shortest.
        track
            As the view's flag.
        return_exceptions
            Have exceptions among the values instead of raising them.
        label
            As the view's flag.
        """
        if not sequences:
            raise TypeError("map needs at least one sequence")
        if not callable(f):
            raise TypeError(f"a function is needed, not {type(f).__name__}")
        columns = columns_of(sequences)
        ids = self._ids_for(len(columns[0]))
        blocks = list(zip(*(split(column, len(ids)) for column in columns), strict=True))
        sizes = [len(block[0]) for block in blocks]
        firsts = accumulate(sizes, initial=0)
        calls = [(first, *block) for first, block in zip(firsts, blocks, strict=False)]
        call = EachRow(f)
        return self._mapped(f, call, ids, calls, lambda about, first: AsyncMapResult(
            self._home,
            about,
            first,
            len(ids),
            return_exceptions=return_exceptions,
            sizes=sizes,
        ), label)  # fmt: skip

    def _call_parts(
        self,
        f: Callable[..., Any],
        sequences: Sequence[Iterable[Any]],
        dist: str,
        chunksize: int | None,
        *,
        ordered: bool,
        return_exceptions: bool,
    ) -> AsyncJoinedResult:
        if not sequences:
            raise TypeError("a parallel function needs at least one sequence")
        columns = tables_of(sequences)
        ids = self._ids_for(len(columns[0]))
        calls = list(zip(*(split(column, len(ids), dist) for column in columns), strict=True))
        return self._mapped(f, f, ids, calls, lambda about, first: AsyncJoinedResult(
            self._home,
            about,
            first,
            len(ids),
            ordered=ordered,
            return_exceptions=return_exceptions,
            dist=dist,
        ))  # fmt: skip

    def _ids_for(self, count: int) -> list[int]:
        """Return the targets for so many items: no more than there are items."""
        return self._ids(None)[: max(1, count)]

    def _mapped(
        self,
        f: Callable[..., Any],
        call: Callable[..., Any] | EachRow,
        ids: Sequence[int],
        calls: Sequence[tuple[Any, ...]],
        make: Callable[[About, int], M],
        label: str | None = None,
    ) -> M:
        """Send one call to each of several engines, as one message."""
        home = self._home
        payloads = [detached(dumps_call(columns, {})) for columns in calls]
        function = home.functions.of(*home.functions.encode(call))
        first = home.next_ids(len(ids))
        result = make(About(name_of(f), Stream.MULTIENGINE, self._label(label)), first)
        self._submit(first, ids, Action.APPLY, payloads, function, result)
        return result

    def interrupt(self) -> None:
        """Interrupt what runs on the engines, whoever asked for it: see `Client.interrupt`."""
        self.client.interrupt(self._flags["targets"])

    def forward_logging(self, level: int | str = "INFO", logger: str = "") -> None:
        """Hand what is logged on the engines to this program's logging: `Client.forward_logging`."""
        self.client.forward_logging(level, logger, self._flags["targets"])

    # ------------------------------------------------------------ IPython

    def activate(self, suffix: str = "") -> None:
        """Make `%px`, `%%px`, `%pxresult`, `%pxconfig` and `%autopx` those of this view.

        Outside IPython there are no magics: then this warns, and does nothing.

        Parameters
        ----------
        suffix
            Ends their names, so that several views can have theirs: ``'_even'`` for ``%px_even``.
        """
        if not f"px{suffix}".isidentifier():
            raise ValueError(f"suffix must be the end of a name, such as '_even', not {suffix!r}")
        shell = running_shell()
        if shell is None:
            warnings.warn("%px and the other magics need IPython or Jupyter", stacklevel=2)
            return
        from ctrlhub.client.magics import activate

        activate(shell, self, suffix)
