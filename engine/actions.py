"""What commands do: each action of the wire, on the engine's namespace.

User code runs here, and may raise what it likes: whoever calls these deals with that
(`ctrlhub.engine.executor`).
"""

from __future__ import annotations

from collections.abc import Callable, MutableSet
from typing import Any

from ctrlhub.engine.cells import Cells
from ctrlhub.engine.executions import Executions
from ctrlhub.engine.namespace import Namespace
from ctrlhub.engine.showing import cut
from ctrlhub.engine.uploads import Uploads
from ctrlhub.engine.work import CommandWork, Function
from ctrlhub.wire.limits import OUTPUT_TEXT_BYTES
from ctrlhub.wire.messages import Action, Payload
from ctrlhub.wire.serialize import STAYED_THERE, detached, dumps, loads

ON_THE_ENGINE = "on the engine"
_NOTHING = dumps(None)


class Actions:
    """The actions, each of which takes a command and returns the payload of its result.

    Parameters
    ----------
    namespace
        Where commands run.
    cells
        Runs cells in IPython; None runs them as plain code.
    uploads
        Keeps modules that are uploaded.
    load
        Loads a function.
    loaded
        Those that are, as long as somebody has them.
    replaced
        Takes what a push has replaced, to be freed later.
    show
        Takes the value of a cell, as it travels.

    Attributes
    ----------
    by_name : dict
        The actions.
    """

    def __init__(
        self,
        namespace: Namespace,
        cells: Cells | None,
        uploads: Uploads,
        *,
        load: Callable[[Function], Any],
        loaded: MutableSet[Function],
        replaced: list[Any],
        show: Callable[[dict[str, Any] | None], None],
    ) -> None:
        self._namespace = namespace
        self._cells = cells
        self._uploads = uploads
        self._load = load
        self._loaded = loaded
        self._replaced = replaced
        self._show = show
        self._executions = Executions()
        namespace.on_clear = self._start_afresh
        self.by_name: dict[str, Callable[[CommandWork], Payload]] = {
            Action.EXECUTE.value: self._execute,
            Action.APPLY.value: self._apply,
            Action.PUSH.value: self._push,
            Action.PULL.value: self._pull,
            Action.CLEAR.value: self._clear,
            Action.UPLOAD.value: self._upload,
        }

    def _execute(self, work: CommandWork) -> Payload:
        request = loads(work.payload, ON_THE_ENGINE)
        code, silent = request["code"], request.get("silent", False)
        shell = self._cells.shell_for(code, silent) if self._cells is not None else None
        if shell is None:
            try:
                body, shown = self._executions.compile(code)
            except SyntaxError:
                shell = self._cells.shell_for_ipython(code) if self._cells is not None else None
                if shell is None:
                    raise
        if shell is not None:
            self._show(shell.execute(code, silent))
            return _NOTHING
        names = self._namespace.names
        exec(body, names)
        if shown is not None:
            value = eval(shown, names)
            if value is not None and not silent:
                self._show(_plainly(value, self._executions.count))
        return _NOTHING

    def _apply(self, work: CommandWork) -> Payload:
        if work.function is None:
            raise TypeError("an apply without a function")
        call = work.function.call
        if call is None:
            call = self._load(work.function)
        args, kwargs = loads(work.payload, ON_THE_ENGINE)
        return detached(dumps(call(*args, **kwargs), "the result", STAYED_THERE))

    def _push(self, work: CommandWork) -> Payload:
        values = loads(work.payload, ON_THE_ENGINE)
        names = self._namespace.names
        # To free what was there, perhaps gigabytes, is nothing that the client has to wait for.
        self._replaced[:] = [names[name] for name in values if name in names]
        for name, value in values.items():
            self._namespace.assign(name, value)
        return _NOTHING

    def _pull(self, work: CommandWork) -> Payload:
        wanted = loads(work.payload, ON_THE_ENGINE)
        if isinstance(wanted, str):
            return detached(dumps(self._value(wanted), f"the value of {wanted!r}", STAYED_THERE))
        return detached(
            dumps([self._value(name) for name in wanted], "the list of values", STAYED_THERE)
        )

    def _value(self, name: str) -> Any:
        """Return the value of a name, or of an expression such as ``model.coef_``."""
        names = self._namespace.names
        return names[name] if name in names else eval(name, names)

    def _clear(self, work: CommandWork) -> Payload:
        self._namespace.clear()
        return _NOTHING

    def _start_afresh(self) -> None:
        if self._cells is not None and self._cells.shell is not None:
            self._cells.shell.start_afresh()

    def _upload(self, work: CommandWork) -> Payload:
        self._uploads.install(**loads(work.payload, ON_THE_ENGINE))
        # What was loaded may be of the module that was replaced: it is loaded again when it is used.
        while self._loaded:
            self._loaded.pop().call = None
        return _NOTHING


def _plainly(value: Any, count: int) -> dict[str, Any]:
    """Return the value of a cell as it travels, without IPython."""
    text = cut(repr(value), OUTPUT_TEXT_BYTES)
    return {"data": {"text/plain": text}, "metadata": {}, "execution_count": count}
