"""DirectView: commands to explicit engines."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ctrlhub.client.async_result import AsyncGroup, AsyncResult
from ctrlhub.client.chunks import columns_of, over_chunk
from ctrlhub.client.function_book import name_of
from ctrlhub.client.ipython import running_shell
from ctrlhub.client.map_result import AsyncMapResult
from ctrlhub.client.partition import check_dist, join, split
from ctrlhub.client.requests import About, CommandRequest, Function
from ctrlhub.client.targets import Targets, is_single
from ctrlhub.client.view import View, check_label
from ctrlhub.wire.messages import Action, Payload, Stream
from ctrlhub.wire.serialize import detached, dumps, dumps_call

if TYPE_CHECKING:
    from ctrlhub.client.client import Client


class DirectView(View):
    """Explicit engines: each does in turn what it is told.

    With one engine (an int as target) results are its values, with several lists of values in the
    order of the targets. Errors are raised once every engine has answered: of one engine, what was
    raised there; of several, a `CompositeError`.

    Attributes
    ----------
    targets : int, list of int, or 'all'
        The engines; ``'all'`` are those there are at each call.
    """

    flag_names = (*View.flag_names, "targets")

    targets: Targets

    def __init__(self, client: Client, targets: Targets = "all", **flags: Any) -> None:
        super().__init__(client, **{"targets": targets, **flags})

    def __len__(self) -> int:
        return len(self.client._resolve(self._flags["targets"]))

    def __repr__(self) -> str:
        return f"<DirectView {self._flags['targets']}>"

    def _check_flag(self, name: str, value: Any) -> None:
        super()._check_flag(name, value)
        if name == "targets" and value != "all":
            self.client._resolve(value)

    # ------------------------------------------------------------ running code

    def execute(
        self,
        code: str,
        silent: bool = True,
        *,
        targets: Targets | None = None,
        block: bool | None = None,
        label: str | None = None,
    ) -> AsyncResult:
        """Run statements in the engines' namespaces.

        Parameters
        ----------
        code
            Python source.
        silent
            Run it as plain statements. False runs it as a cell: in IPython where the engine has it,
            with history, magics, and the value of a last expression (``execute_result``).
        targets, block, label
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
        home.submit(CommandRequest(first, ids, Action.EXECUTE.value, [payload], None, result))
        if self._blocks(block):
            result.get()
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
            Have exceptions among the values instead of raising them. An item that raises takes
            the rest of its block with it.
        label
            As the view's flag.
        """
        if not sequences:
            raise TypeError("map needs at least one sequence")
        if not callable(f):
            raise TypeError(f"a function is needed, not {type(f).__name__}")
        columns = columns_of(sequences)
        ids = self.client._resolve(self._flags["targets"])
        ids = ids[: max(1, min(len(ids), len(columns[0])))]
        blocks = [split(column, len(ids)) for column in columns]
        calls = list(zip(*blocks, strict=True))
        payloads = [detached(dumps_call(columns, {})) for columns in calls]
        function = self._home.functions.function(over_chunk(f))
        about = About(name_of(f), Stream.MULTIENGINE, self._label(label))
        first = self._home.next_ids(len(ids))
        result = AsyncMapResult(
            self._home,
            about,
            first,
            len(ids),
            return_exceptions=return_exceptions,
            sizes=[len(columns[0]) for columns in calls],
        )
        request = CommandRequest(first, ids, Action.APPLY.value, payloads, function, result)
        self._home.submit(request)
        return result

    # ------------------------------------------------------------ names

    def push(
        self,
        ns: Mapping[str, Any],
        *,
        targets: Targets | None = None,
        block: bool | None = None,
        track: bool | None = None,
        persistent: bool = False,
    ) -> Any:
        """Set names in the engines' namespaces.

        Parameters
        ----------
        ns
            Values by name.
        targets, block, track
            As the view's flags.
        persistent
            Have engines that come later get them, too: see `Client.on_engine_start`. Then the
            targets must be all engines.
        """
        if persistent:
            return self._push_persistently(ns, targets, block)
        for name in ns:
            _check_name(name)
        payload = detached(dumps(dict(ns), "the values"))
        result = self._command(Action.PUSH, [payload], targets=targets)
        return result.get() if self._blocks(block) else result

    def _push_persistently(
        self, ns: Mapping[str, Any], targets: Targets | None, block: bool | None
    ) -> Any:
        wanted = self._flags["targets"] if targets is None else targets
        if wanted != "all" and set(self.client._resolve(wanted)) != set(self.client.ids):
            raise ValueError(
                "a persistent push is for all engines, those that come later as well: push with "
                "client[:], or for some engines without persistent=True"
            )
        result = self.client._push_persistently(ns)
        return result.get() if self._blocks(block) else result

    def pull(
        self,
        names: str | Sequence[str],
        *,
        targets: Targets | None = None,
        block: bool | None = None,
    ) -> Any:
        """Get the values of names in the engines' namespaces.

        Parameters
        ----------
        names
            A name, for its value; or several, for a list of values from each engine.
        targets, block
            As the view's flags.
        """
        wanted: str | list[str] = names if isinstance(names, str) else list(names)
        for name in [wanted] if isinstance(wanted, str) else wanted:
            _check_name(name)
        result = self._command(Action.PULL, [dumps(wanted)], targets=targets)
        return result.get() if self._blocks(block) else result

    def update(self, ns: Mapping[str, Any]) -> Any:
        """Set names in the engines' namespaces: `push`."""
        return self.push(ns)

    def get(self, key_s: str | Sequence[str]) -> Any:
        """Wait for the values of names in the engines' namespaces."""
        return self.pull(key_s, block=True)

    def __setitem__(self, key: str, value: Any) -> None:
        self.push({key: value}, block=True)

    def __getitem__(self, key: str | Sequence[str]) -> Any:
        return self.get(key)

    def clear(self, *, targets: Targets | None = None, block: bool | None = None) -> Any:
        """Forget everything in the engines' namespaces."""
        result = self._command(Action.CLEAR, [b""], targets=targets)
        return result.get() if self._blocks(block) else result

    def interrupt(self) -> None:
        """Interrupt what runs on the engines, whoever asked for it: see `Client.interrupt`."""
        self.client.interrupt(self._flags["targets"])

    # ------------------------------------------------------------ parts

    def scatter(
        self,
        key: str,
        seq: Iterable[Any],
        dist: str = "b",
        flatten: bool = False,
        *,
        targets: Targets | None = None,
        block: bool | None = None,
        track: bool | None = None,
    ) -> Any:
        """Set a name to a part of a sequence on each engine.

        Parameters
        ----------
        key
            The name.
        seq
            The sequence: see `ctrlhub.client.partition.split`.
        dist
            ``'b'`` for blocks, ``'r'`` for round robin.
        flatten
            Where a part has one item, set the name to the item itself.
        targets, block, track
            As the view's flags.
        """
        _check_name(key)
        ids = self._ids(targets)
        parts = split(seq, len(ids), dist)
        values = [part[0] if flatten and len(part) == 1 else part for part in parts]
        payloads = [detached(dumps({key: value}, repr(key))) for value in values]
        result = self._command(Action.PUSH, payloads, targets=ids, what="scatter")
        return result.get() if self._blocks(block) else result

    def gather(
        self,
        key: str,
        dist: str = "b",
        *,
        targets: Targets | None = None,
        block: bool | None = None,
    ) -> Any:
        """Get the parts of a sequence from the engines, joined.

        Parameters
        ----------
        key
            The name.
        dist
            How it was scattered.
        targets, block
            As the view's flags.
        """
        _check_name(key)
        check_dist(dist)
        ids = self._ids(targets)
        result = self._command(
            Action.PULL, [dumps(key)], targets=ids, what="gather", joined=lambda v: join(v, dist)
        )
        return result.get() if self._blocks(block) else result

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

    # ------------------------------------------------------------ sending

    def _ids(self, targets: Targets | None) -> list[int]:
        return self.client._resolve(self._flags["targets"] if targets is None else targets)

    def _label(self, label: str | None) -> str | None:
        check_label(label)
        own: str | None = self._flags["label"]
        return own if label is None else label

    def _command(
        self,
        action: Action,
        payloads: Sequence[Payload],
        *,
        targets: Targets | None = None,
        function: Function | None = None,
        label: str | None = None,
        what: str | None = None,
        joined: Callable[[list[Any]], Any] | None = None,
    ) -> AsyncResult:
        """Send one command to its targets, as one message."""
        home = self._home
        wanted = self._flags["targets"] if targets is None else targets
        ids = self.client._resolve(wanted)
        about = About(what or action.value, Stream.MULTIENGINE, self._label(label))
        first = home.next_ids(len(ids))
        result = (
            AsyncResult(home, first, b"", about)
            if is_single(wanted)
            else AsyncGroup(home, about, first, len(ids), joined)
        )
        home.submit(CommandRequest(first, ids, action.value, payloads, function, result))
        return result


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"names must be text, not {type(name).__name__}")
