"""Views on the namespaces of explicit engines: names set and read, and sequences in parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from ctrlhub.client.async_result import AsyncGroup, AsyncResult
from ctrlhub.client.blocking import waited_for
from ctrlhub.client.map_result import AsyncJoinedResult
from ctrlhub.client.partition import check_dist, only_item, split
from ctrlhub.client.requests import About, CommandRequest, Function
from ctrlhub.client.targets import Targets, is_single
from ctrlhub.client.view import View, check_label
from ctrlhub.wire.messages import Action, Payload, Stream
from ctrlhub.wire.serialize import detached, dumps

if TYPE_CHECKING:
    from ctrlhub.client.client import Client


class NamespaceView(View):
    """The part of a `DirectView` that sets and reads names."""

    flag_names = (*View.flag_names, "targets", "stop_on_error")

    targets: Targets
    stop_on_error: bool

    def __init__(self, client: Client, targets: Targets = "all", **flags: Any) -> None:
        super().__init__(client, **{"targets": targets, "stop_on_error": False, **flags})

    def __len__(self) -> int:
        return len(self.client._resolve(self._flags["targets"]))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._flags['targets']}>"

    def _check_flag(self, name: str, value: Any) -> None:
        super()._check_flag(name, value)
        if name == "targets" and value != "all":
            self.client._resolve(value)
        if name == "stop_on_error" and not isinstance(value, bool):
            raise TypeError(f"stop_on_error must be True or False, not {value!r}")

    # ------------------------------------------------------------ names

    def push(
        self,
        ns: Mapping[str, Any],
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
        if not isinstance(ns, Mapping):
            raise TypeError(f"push needs a dict of values by name, not {type(ns).__name__}")
        for name in ns:
            _check_target(name)
        if persistent:
            return self._push_persistently(ns, targets, block)
        payload = detached(dumps(dict(ns), "the values"))
        result = self._command(Action.PUSH, [payload], targets=targets)
        return waited_for(result) if self._blocks(block) else result

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
        return waited_for(result) if self._blocks(block) else result

    def pull(
        self,
        names: str | Sequence[str],
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
        if not isinstance(names, Iterable):
            raise TypeError(f"pull needs a name or several, not {type(names).__name__}")
        wanted: str | list[str] = names if isinstance(names, str) else list(names)
        for name in [wanted] if isinstance(wanted, str) else wanted:
            _check_name(name)
        result = self._command(Action.PULL, [dumps(wanted)], targets=targets)
        return waited_for(result) if self._blocks(block) else result

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

    def clear(self, targets: Targets | None = None, block: bool | None = None) -> Any:
        """Forget everything in the engines' namespaces."""
        result = self._command(Action.CLEAR, [b""], targets=targets)
        return waited_for(result) if self._blocks(block) else result

    # ------------------------------------------------------------ parts

    def scatter(
        self,
        key: str,
        seq: Iterable[Any],
        dist: str = "b",
        flatten: bool = False,
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
        _check_target(key)
        ids = self._ids(targets)
        parts = split(seq, len(ids), dist)
        values = [only_item(part) if flatten and len(part) == 1 else part for part in parts]
        payloads = [detached(dumps({key: value}, repr(key))) for value in values]
        result = self._command(Action.PUSH, payloads, targets=ids, what="scatter")
        if not self._blocks(block):
            return result
        waited_for(result)
        return None

    def gather(
        self,
        key: str,
        dist: str = "b",
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
        home = self._home
        first = home.next_ids(len(ids))
        about = About("gather", Stream.MULTIENGINE, self._label(None))
        result = AsyncJoinedResult(home, about, first, len(ids), dist=dist)
        self._submit(first, ids, Action.PULL, [dumps(key)], None, result)
        return waited_for(result) if self._blocks(block) else result

    # ------------------------------------------------------------ sending

    def _ids(self, targets: Targets | None) -> list[int]:
        return self.client._resolve(self._flags["targets"] if targets is None else targets)

    def _engines(self) -> Targets:
        targets: Targets = self._flags["targets"]
        return targets

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
            else AsyncGroup(home, about, first, len(ids))
        )
        self._submit(first, ids, action, payloads, function, result)
        return result

    def _submit(
        self,
        first: int,
        ids: Sequence[int],
        action: Action,
        payloads: Sequence[Payload],
        function: Function | None,
        result: AsyncResult,
        stop_on_error: bool | None = None,
    ) -> None:
        """Send a command that a result waits for."""
        stop = self._flags["stop_on_error"] if stop_on_error is None else stop_on_error
        self._given.append(range(first, first + len(ids)))
        label = result._about.label
        self._home.submit(
            CommandRequest(first, ids, action.value, payloads, function, result, label, stop)
        )


def _check_target(name: object) -> None:
    """Refuse what nothing can be assigned to."""
    _check_name(name)
    assert isinstance(name, str)
    if not name.isidentifier() or iskeyword(name):
        try:
            compile(f"{name} = None", "<name>", "exec")
        except SyntaxError as error:
            raise ValueError(
                f"{name!r} is no name: values are pushed to names, or to attributes such as 'a.b'"
            ) from error


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"names must be text, not {type(name).__name__}")
