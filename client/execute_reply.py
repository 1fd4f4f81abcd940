"""The value of an execution: what its cell ended with, rich where the engine has IPython."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ctrlhub.client.async_result import AsyncGroup, AsyncResult
from ctrlhub.client.ipython import running_shell
from ctrlhub.client.metadata import Metadata
from ctrlhub.client.result_base import ResultBase
from ctrlhub.client.rows import VALUE, Row

SHORT = 32
"""So many characters of a value its repr shows."""


class ExecuteReply:
    """What an execution on one engine ended with.

    Notebooks show it as what it is: figure, table, formula. Items and attributes are those of the
    request's metadata: ``reply.stdout``, ``reply['engine_id']``.

    Parameters
    ----------
    metadata
        Of the request.

    Attributes
    ----------
    metadata : Metadata
        What is known of the request.
    """

    def __init__(self, metadata: Metadata) -> None:
        self.metadata = metadata

    @property
    def _result(self) -> Mapping[str, Any]:
        return self.metadata["execute_result"] or {}

    @property
    def data(self) -> dict[str, Any]:
        """The value by type, such as ``'text/plain'``; empty if there is none."""
        return dict(self._result.get("data", {}))

    @property
    def execution_count(self) -> int | None:
        """The number of the cell on its engine; None if it showed nothing."""
        return self._result.get("execution_count")

    def display(self) -> None:
        """Show it: in a notebook as what it is, elsewhere as text."""
        if not self.data:
            return
        shell = running_shell()
        if shell is None:
            print(self._labelled(), flush=True)
            return
        known = {**self._result.get("metadata", {}), "engine": self.metadata["engine_id"]}
        data = self.data
        if list(data) == ["text/plain"]:
            data["text/plain"] = self._labelled()
        else:  # of these one is shown, and not the text
            print(self._label, flush=True)
        shell.display_pub.publish(data=data, metadata=known)

    @property
    def _label(self) -> str:
        return f"Out[{self.metadata['engine_id']}:{self.execution_count}]:"

    def _labelled(self) -> str:
        text = self.data.get("text/plain", "")
        return f"{self._label}\n{text}" if "\n" in text else f"{self._label} {text}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        data = self.data
        if not data:
            return {"text/plain": repr(self)}
        data["text/plain"] = self._labelled()
        if include:
            data = {name: value for name, value in data.items() if name in include}
        if exclude:
            data = {name: value for name, value in data.items() if name not in exclude}
        return data, dict(self._result.get("metadata", {}))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(self._labelled() if self.data else repr(self))

    def _shown_as(self, mime: str) -> Any:
        """Return the data of a type; with what belongs to it, such as a width, if there is anything."""
        data, more = self.data.get(mime), self._result.get("metadata", {}).get(mime)
        return (data, more) if data is not None and more else data

    def _repr_html_(self) -> Any:
        return self._shown_as("text/html")

    def _repr_latex_(self) -> Any:
        return self._shown_as("text/latex")

    def _repr_markdown_(self) -> Any:
        return self._shown_as("text/markdown")

    def _repr_json_(self) -> Any:
        return self._shown_as("application/json")

    def _repr_javascript_(self) -> Any:
        return self._shown_as("application/javascript")

    def _repr_svg_(self) -> Any:
        return self._shown_as("image/svg+xml")

    def _repr_png_(self) -> Any:
        return self._shown_as("image/png")

    def _repr_jpeg_(self) -> Any:
        return self._shown_as("image/jpeg")

    def __getitem__(self, name: str) -> Any:
        return self.metadata[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self.metadata:
            raise AttributeError(f"no {name!r} in the metadata of an execution")
        return self.metadata[name]

    def __repr__(self) -> str:
        text = self.data.get("text/plain", "")
        if len(text) > SHORT:
            text = text[: SHORT - 3] + "..."
        count = "" if self.execution_count is None else f"[{self.execution_count}]"
        return f"<ExecuteReply{count}: {text}>" if text else f"<ExecuteReply{count}>"


class AsyncExecution(AsyncResult):
    """The result to come of an execution on one engine: its value is an `ExecuteReply`."""

    __slots__ = ()

    def _outcome(self) -> tuple[Any, BaseException | None]:
        _, error = super()._outcome()
        return (ExecuteReply(self.metadata), None) if error is None else (None, error)

    def get(
        self,
        timeout: float | None = None,
        return_exceptions: bool | None = None,
        return_when: str | None = None,
    ) -> Any:
        """Return the reply, or raise what the code raised; parameters as of `AsyncResult.get`."""
        return ResultBase.get(self, timeout, return_exceptions, return_when)


class AsyncExecutionGroup(AsyncGroup):
    """The results to come of an execution on several engines: values are `ExecuteReply`."""

    __slots__ = ()

    _part = AsyncExecution

    def _row(self, index: int) -> Row:
        row = super()._row(index)
        if row[1] == VALUE:
            row = (*row[:2], ExecuteReply(self._metadata_of(index)), *row[3:])
        return row
