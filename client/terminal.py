"""Where outputs of engines are shown: the terminal, or the notebook that runs this code."""

from __future__ import annotations

import re
import sys
from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any

from ctrlhub.client.extras import CLEAR, DISPLAY, STREAM
from ctrlhub.client.ipython import is_notebook, running_shell

_RETURN = re.compile(r"\r(?=[^\n])")
"""The begin of a line that is written over another one."""


REMEMBERED = 1000
"""So many pieces of an engine's output are shown again when another engine clears a cell."""


class Terminal:
    """Shows outputs of engines, each labelled with where it comes from.

    Text of one engine that comes in pieces goes on where it stopped; what another one says in between
    begins a line of its own.

    Parameters
    ----------
    labelled
        Whether to say which engine it is from: not for a result of a single one.
    """

    def __init__(self, labelled: bool = True) -> None:
        self._labelled = labelled
        self._shown: dict[int | None, deque[tuple[str, Any]]] = defaultdict(_last)
        self._speaker: tuple[str, int | None] | None = None
        self._ends_line = True

    def show(self, output: Mapping[str, Any], engine: int | None) -> None:
        """Show one output: a piece of a stream, or what was displayed."""
        if output.get("output_type") == STREAM:
            self.write(output["name"], output["text"], engine)
        else:
            self.display(output, engine)

    def write(self, name: str, text: str, engine: int | None) -> None:
        """Show text of ``stdout`` or ``stderr``."""
        if not text:
            return
        self._remember(engine, name, text)
        self._write(name, text, engine)

    def _write(self, name: str, text: str, engine: int | None) -> None:
        file = sys.stderr if name == "stderr" else sys.stdout
        speaker = name, engine
        if speaker != self._speaker:
            self.end_line()
            self._speaker = speaker
        shown = self._label(name, engine, text) + text if self._ends_line else text
        if self._labelled:  # a line that is written over keeps its label
            shown = _RETURN.sub(rf"\r[{name}:{engine}] ", shown)
        self._ends_line = text.endswith("\n")
        print(shown, file=file, end="", flush=True)

    def _label(self, name: str, engine: int | None, text: str) -> str:
        """Return the label that goes before a text: on its line, or above it if it has several."""
        if not self._labelled or text.startswith("\r"):
            return ""
        body = text.rstrip("\r\n")
        return f"[{name}:{engine}]" + ("\n" if "\n" in body else " ")

    def display(self, output: Mapping[str, Any], engine: int | None) -> None:
        """Show what was displayed: as it is in a notebook, by its text elsewhere."""
        if output.get("output_type") == CLEAR:
            self.clear(engine, bool(output.get("wait")))
            return
        self._remember(engine, DISPLAY, output)
        self._display(output, engine)

    def clear(self, engine: int | None, wait: bool = False) -> None:
        """Have gone from a notebook's cell what an engine has put out, and leave that of others."""
        self._shown.pop(engine, None)
        shell = running_shell()
        if shell is None or not is_notebook():
            return
        self.end_line()
        shell.display_pub.clear_output(wait=wait or bool(self._shown))
        self._speaker = None
        for other, outputs in self._shown.items():
            for kind, value in outputs:
                if kind == DISPLAY:
                    self._display(value, other)
                else:
                    self._write(kind, value, other)

    def _remember(self, engine: int | None, kind: str, value: Any) -> None:
        if self._labelled and is_notebook():
            self._shown[engine].append((kind, value))

    def _display(self, output: Mapping[str, Any], engine: int | None) -> None:
        data = output.get("data", {})
        shell = running_shell()
        if self._labelled:
            self.write_line(f"[output:{engine}]")
        if shell is None:
            text = data.get("text/plain")
            if text:
                self.write_line(text)
            return
        self.end_line()
        shell.display_pub.publish(
            data=dict(data),
            metadata={**output.get("metadata", {}), "engine": engine},
            transient=_own_display(output.get("transient"), engine),
            update=output.get("output_type") == "update_display_data",
        )

    def write_line(self, text: str) -> None:
        """Show a line of our own."""
        self.end_line()
        self._speaker = None
        print(text, flush=True)

    def write_error(self, text: str, engine: int) -> None:
        """Show what was raised on an engine."""
        self.end_line()
        self._speaker = None
        label = f"[{engine}]:\n" if self._labelled and engine >= 0 else ""
        print(label + text, file=sys.stderr, flush=True)

    def end_line(self) -> None:
        """Begin a new line, unless at the begin of one."""
        if not self._ends_line:
            file = sys.stderr if self._speaker and self._speaker[0] == "stderr" else sys.stdout
            print(file=file, flush=True)
            self._ends_line = True


def _last() -> deque[tuple[str, Any]]:
    return deque(maxlen=REMEMBERED)


def _own_display(
    transient: Mapping[str, Any] | None, engine: int | None
) -> Mapping[str, Any] | None:
    """Return what names a display, so that those of several engines are several."""
    if not transient or engine is None or "display_id" not in transient:
        return transient
    return {**transient, "display_id": f"{transient['display_id']}@engine-{engine}"}
