"""Where outputs of engines are shown: the terminal, or the notebook that runs this code."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

from ctrlhub.client.extras import STREAM
from ctrlhub.client.ipython import running_shell

_RETURN = re.compile(r"\r(?=[^\n])")
"""The begin of a line that is written over another one."""


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
            transient=output.get("transient"),
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
