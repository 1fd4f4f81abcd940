"""What every engine does before anything else, those that come later as well."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.connection import Connection
from ctrlhub.client.function_book import name_of
from ctrlhub.client.hook_request import StartHookRequest
from ctrlhub.client.requests import About, Function
from ctrlhub.client.targets import Targets
from ctrlhub.wire.functions import digest_of
from ctrlhub.wire.messages import Action, Payload, Stream
from ctrlhub.wire.segments import Segment
from ctrlhub.wire.serialize import detached, dumps, dumps_call

if TYPE_CHECKING:
    from ctrlhub.client.direct_view import DirectView

SHORT = 8
"""So many digits of a digest tell hooks apart that were given no name."""


@dataclass(frozen=True, slots=True)
class StartHook:
    """A start hook, as the hub has it.

    Attributes
    ----------
    name
        Its name.
    action
        What it does: ``execute``, ``apply``, ``push`` or ``upload``.
    bytes
        How much of the hub's memory it takes.
    state
        ``kept``, or ``trying`` while not all engines of the moment have run it.
    failed
        On which engines it failed, by id, and how. They get no tasks.
    """

    name: str
    action: str
    bytes: int
    state: str
    failed: Mapping[int, str] = field(default_factory=dict)


class StartHooks:
    """The part of a client that prepares engines."""

    _connection: Connection

    def _resolve(self, targets: Targets) -> list[int]:
        raise NotImplementedError

    def direct_view(self, targets: Targets = "all", **flags: Any) -> DirectView:
        """Return a view on explicit engines."""
        raise NotImplementedError

    def on_engine_start(
        self,
        what: str | Callable[..., Any] | Mapping[str, Any],
        /,
        *args: Any,
        name: str | None = None,
        **kwargs: Any,
    ) -> str:
        """Have every engine do something before anything else: those there are, and those that come.

        The hub keeps it. Each engine that is started, or restarted, does all that is kept, in the
        order in which it was made, before the commands and tasks of anybody. Where it fails then, the
        engine takes commands and no tasks; clients are warned, and `status` shows it.

        Parameters
        ----------
        what
            Code to execute, a function to call, or a namespace to push.
        *args, **kwargs
            What to call the function with.
        name
            How to call it, for `remove_start_hook`; another one of the same name is replaced. Without
            a name the same thing replaces itself. What replaces another is done last, as on the
            engines that are there: make anew what builds on it.

        Returns
        -------
        str
            Its name.

        Raises
        ------
        RemoteError
            It failed on an engine that is there: it is not kept.
        LimitExceeded
            The hub keeps as many, or as much, as it may.

        Notes
        -----
        The hub stores hooks: one that is started in the place of one that was killed has them, also
        those of clients that are gone. With ``--store memory`` it gets them again from the clients
        that made them, as long as these are there.

        Examples
        --------
        >>> client.on_engine_start("import numpy as np")  # doctest: +SKIP
        >>> client.on_engine_start(os.chdir, "/data", name="directory")  # doctest: +SKIP
        """
        function, (action, payload) = None, self._action_of(what, args, kwargs)
        if action is Action.APPLY:
            function = self._connection.functions.function(what)  # type: ignore[arg-type]
        if name is None:
            name = _name_for(what, function, payload)
        self._make_hook(name, action, payload, function).get()
        return name

    def _action_of(
        self, what: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Action, Payload]:
        if callable(what):
            return Action.APPLY, detached(dumps_call(args, kwargs))
        if args or kwargs:
            raise TypeError("only a function takes arguments")
        if isinstance(what, str):
            return Action.EXECUTE, dumps({"code": what, "silent": True})
        if isinstance(what, Mapping):
            return Action.PUSH, _pushed(what)
        raise TypeError(
            "an engine starts with code, a function or a namespace to push, "
            f"not with {type(what).__name__}"
        )

    def _push_persistently(self, ns: Mapping[str, Any]) -> AsyncResult:
        """Have all engines get names, those that come later as well."""
        return self._make_hook(_name_for(ns, None, b""), Action.PUSH, _pushed(ns), None)

    def _make_hook(
        self, name: str, action: Action, payload: Payload, function: Function | None
    ) -> AsyncResult:
        _check_hook_name(name)
        home = self._connection
        number = home.next_id()
        result = AsyncResult(home, number, b"", About(f"start hook {name}", Stream.MULTIENGINE, None))
        home.submit(
            StartHookRequest(number, name, action.value, payload, function, result, home.start_hooks)
        )
        return result

    def upload(
        self, what: ModuleType | str | os.PathLike[str], targets: Targets = "all"
    ) -> None:
        """Make a module of one's own importable on engines.

        Its source travels as data. It stands before modules of the same name, and replaces what was
        uploaded before, as `importlib.reload` does: imports see what is new. With all engines as
        targets those that come later get it as well, as a start hook ``upload:<name>``.

        Parameters
        ----------
        what
            A module, or the path of a ``.py`` file or package directory.
        targets
            The engines.

        Raises
        ------
        FileNotFoundError, ValueError, TypeError
            There is nothing to upload, or it is more than Python source: a compiled part, say.
        SyntaxError
            It is no valid Python. Nothing was sent.
        RemoteError
            It was imported on an engine before, and cannot be imported anew.
        """
        from ctrlhub.client.uploads import upload_of

        found = upload_of(what)
        payload = detached(dumps({"name": found.name, "files": found.files}))
        ids = None if isinstance(targets, str) and targets == "all" else self._resolve(targets)
        if ids is None or set(ids) == set(self._resolve("all")):
            self._make_hook(f"upload:{found.name}"[:200], Action.UPLOAD, payload, None).get()
        else:
            self.direct_view(ids)._command(Action.UPLOAD, [payload]).get()

    def start_hooks(self) -> list[StartHook]:
        """Return what every engine does before anything else, in order."""
        found = self._connection.call("start_hooks", "list", {})
        return [
            StartHook(**{**hook, "failed": {int(n): why for n, why in hook["failed"].items()}})
            for hook in found
        ]

    def remove_start_hook(self, hook: str | StartHook) -> None:
        """Have engines that come not do this any more.

        Those that have done it stay as they are. Engines on which it failed get tasks again.

        Parameters
        ----------
        hook
            Its name, or the hook as `start_hooks` gives it.

        Raises
        ------
        KeyError
            There is none of this name.
        TypeError
            That is neither.
        """
        name = hook.name if isinstance(hook, StartHook) else hook
        if not isinstance(name, str):
            raise TypeError(
                "a start hook is removed by its name, or by what start_hooks() returns, not by "
                f"{type(name).__name__}"
            )
        self._connection.start_hooks.pop(name, None)
        if not self._connection.call("start_hooks", "remove", {"name": name}):
            known = ", ".join(repr(hook.name) for hook in self.start_hooks()) or "none"
            raise KeyError(f"there is no start hook {name!r}; there are: {known}")

    def _forget_start_hook(self, name: str) -> None:
        """Remove a start hook, if it is there still, and do not wait for it."""
        self._connection.start_hooks.pop(name, None)
        self._connection.call_later("start_hooks", "remove", {"name": name})


def _pushed(ns: Mapping[str, Any]) -> Payload:
    for name in ns:
        if not isinstance(name, str):
            raise TypeError(f"names must be text, not {type(name).__name__}")
    return detached(dumps(dict(ns), "the values"))


def _name_for(what: object, function: Function | None, payload: Payload) -> str:
    """Return a name under which the same thing replaces itself, and nothing else."""
    if isinstance(what, Mapping):
        text = ",".join(sorted(what))
        return f"push:{text}" if len(text) <= 200 else f"push:{digest_of(text.encode()).hex()}"
    parts = (payload,) if isinstance(payload, bytes) else payload
    data = b"".join(part.view() if type(part) is Segment else part for part in parts)
    if function is None:
        return f"code-{digest_of(data).hex()[:SHORT]}"
    assert callable(what)
    return f"{name_of(what)[:200]}-{digest_of(function.digest + data).hex()[:SHORT]}"


def _check_hook_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise TypeError("the name of a start hook is text, and not empty")
