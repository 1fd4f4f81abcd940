"""IPython's shell on an engine: it runs cells in the engine's namespace, in the main thread.

What cells display, and the value that they end with, go to the request's output. Errors are raised,
as everywhere in an engine. The shell writes no history to the disk: engines are many, and the file
is one. This module imports IPython; only `ctrlhub.engine.cells` imports it, when a cell comes.
"""

from __future__ import annotations

import asyncio
import linecache
import os
import sys
import warnings
from collections import OrderedDict
from collections.abc import Coroutine
from contextlib import nullcontext, suppress
from typing import Any

from IPython.core.async_helpers import get_asyncio_loop
from IPython.core.compilerop import CachingCompiler
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type
from traitlets.config import Config

from ctrlhub.engine.interrupts import Gate
from ctrlhub.engine.mime import plain
from ctrlhub.engine.namespace import Namespace
from ctrlhub.engine.output import Output
from ctrlhub.engine.system_command import run_command
from ctrlhub.wire.codec import size_of_extras

KEPT_SOURCES = 1000
"""The sources of so many cells are kept."""

CLEAR_OUTPUT = "clear_output"
"""The type of an output that asks for those before it to be cleared."""

WIDGET = "application/vnd.jupyter.widget-view+json"
"""A widget, which a notebook shows by talking to it; engines have no line for that."""

INLINE_BACKEND = "module://matplotlib_inline.backend_inline"
"""Figures are displayed at the end of the cell that draws them."""


class _Publisher(DisplayPublisher):  # type: ignore[misc]
    """Takes what is displayed."""

    def publish(
        self,
        data: Any,
        metadata: Any = None,
        source: Any = None,
        *,
        transient: Any = None,
        update: bool = False,
        **ignored: Any,
    ) -> None:
        """Put it among the output of what runs."""
        output = {
            "output_type": "update_display_data" if update else "display_data",
            "data": plain(shown_far_away(data)),
            "metadata": plain(metadata or {}),
        }
        if transient:
            output["transient"] = plain(transient)
        self.shell.output.add_display(output)

    def clear_output(self, wait: bool = False) -> None:
        """Say so among the output of what runs: it is for who shows it."""
        self.shell.output.add_display({"output_type": CLEAR_OUTPUT, "wait": bool(wait)})


class _Hook(DisplayHook):  # type: ignore[misc]
    """Takes the value that a cell ends with."""

    def write_output_prompt(self) -> None:
        """Leave that to the client."""

    def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
        """Keep it for the result."""
        self.shell.keep_shown(format_dict, md_dict, self.prompt_count)

    def finish_displayhook(self) -> None:
        """Leave the streams alone."""


class _Compiler(CachingCompiler):  # type: ignore[misc]
    """Keeps the sources of the last cells for tracebacks, and not of all: engines run for weeks."""

    def __init__(self) -> None:
        super().__init__()
        self._recent: OrderedDict[str, None] = OrderedDict()

    def cache(self, transformed_code: str, number: int = 0, raw_code: str | None = None) -> str:
        """Name a cell and keep its source, in the place of the oldest."""
        name: str = super().cache(transformed_code, number, raw_code)
        self._recent.pop(name, None)
        self._recent[name] = None
        if len(self._recent) > KEPT_SOURCES:
            oldest, _ = self._recent.popitem(last=False)
            self._filename_map.pop(oldest, None)
            linecache.cache.pop(oldest, None)
        return name


class EngineShell(InteractiveShell):  # type: ignore[misc]
    """IPython on an engine.

    Parameters
    ----------
    namespace
        Where cells run.
    output
        Where what they put out goes.
    gate
        Holds interrupts back where IPython must not be torn.
    """

    displayhook_class = Type(_Hook)
    display_pub_class = Type(_Publisher)
    compiler_class = Type(_Compiler)

    def __init__(self, namespace: Namespace, output: Output, gate: Gate, **options: Any) -> None:
        self.output = output
        self._gate = gate
        self._shown: dict[str, Any] | None = None
        self._raised: BaseException | None = None
        self._traceback = ""
        # Figures of the functions that come later as well, and of child processes.
        os.environ.setdefault("MPLBACKEND", INLINE_BACKEND)
        warnings.filterwarnings("ignore", "To exit: use")  # it is of no use here
        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.colors = "nocolor"
        super().__init__(user_module=namespace.module, config=config, **options)
        self.loop_runner = self._run_async
        load = getattr(self.magics_manager, "load_lazy", None)
        if load is not None:  # what an interrupt tears there, IPython takes for loaded
            self.magics_manager.load_lazy = gate.undisturbed()(load)

    # ------------------------------------------------------------ for the executor

    def execute(self, code: str, silent: bool) -> dict[str, Any] | None:
        """Run code; return the value that it ends with, as it travels."""
        self._shown, self._traceback = None, ""
        with self._gate.undisturbed():
            result = self.run_cell(code, store_history=not silent, silent=silent)
        self._raised = result.error_before_exec or result.error_in_exec
        if self._raised is not None:
            raise self._raised
        self._print_traceback()
        shown, self._shown = self._shown, None
        return shown

    def traceback_of(self, error: BaseException) -> str | None:
        """Return the traceback of the error that code ended with, as IPython writes it."""
        raised, self._raised = self._raised, None
        return (self._traceback or None) if error is raised else None

    def start_afresh(self) -> None:
        """Take note that the namespace was emptied."""
        self.reset(new_session=False)

    # ------------------------------------------------------------ what IPython calls

    async def run_code(self, *args: Any, **options: Any) -> Any:
        """Run user code, open to interrupts."""
        with self._gate.exposed():
            return await super().run_code(*args, **options)

    def _run_async(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a cell that awaits."""
        try:
            return _run_until_complete(coroutine)
        except BaseException:
            self._traceback = ""  # of what was interrupted, whose own comes
            raise

    def keep_shown(self, data: Any, metadata: Any, count: int) -> None:
        """Keep the value that a cell ends with."""
        data = shown_far_away(data)
        shown = {"data": plain(data), "metadata": plain(metadata or {}), "execution_count": count}
        size = size_of_extras(shown)
        if size > self.output.room_for_result():
            text = f"[not shown: a value of {size} bytes; show less of it, or pull() it]"
            shown["data"], shown["metadata"] = {"text/plain": text}, {}
        self._shown = shown

    def showtraceback(self, *args: Any, **options: Any) -> None:
        """Describe what was raised; what user code has ended with is safe from a second interrupt."""
        with self._gate.closed() if options.get("running_compiled_code") else nullcontext():
            super().showtraceback(*args, **options)

    def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
        """Keep a traceback for the client, instead of printing it."""
        if etype is SystemExit:
            self._keep_traceback(f"SystemExit: {evalue}\n")
        else:
            self._keep_traceback(self.InteractiveTB.stb2text(stb) + "\n")

    def show_usage_error(self, exc: Any) -> None:
        """Keep what a magic says of how it was used."""
        self._keep_traceback(f"UsageError: {exc}\n")

    def _keep_traceback(self, text: str) -> None:
        self._print_traceback()
        self._traceback = text

    def _print_traceback(self) -> None:
        """Print what went wrong and did not end the cell: a repr that raised."""
        text, self._traceback = self._traceback, ""
        if text:
            print(text, end="", file=sys.stderr)

    def enable_gui(self, gui: Any = None) -> None:
        """Refuse windows, for which engines have no screen."""
        if gui is not None:
            raise RuntimeError(f"engines have no windows for {gui}: use %matplotlib inline")

    def ask_exit(self) -> None:
        """End the cell, not the engine."""
        raise SystemExit("engines are ended by client.shutdown()")

    def system(self, cmd: str) -> None:
        """Run a command of the system, and print what it prints as it comes."""
        command = self.var_expand(cmd, depth=1)
        self.user_ns["_exit_code"] = run_command(command, print_part, self._gate.undisturbed)

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> Any:
        """Run a command of the system, and return what it prints."""
        from IPython.utils.text import LSString, SList

        parts: list[str] = []
        command = self.var_expand(cmd, depth=depth + 1)
        run_command(command, parts.append, self._gate.undisturbed)
        text = "".join(parts)
        return SList(text.splitlines()) if split else LSString(text)


def shown_far_away(data: Any) -> Any:
    """Return of what is displayed what can be shown without the kernel that made it: no widgets."""
    if WIDGET not in data:
        return data
    return {kind: value for kind, value in data.items() if kind != WIDGET}


def print_part(text: str) -> None:
    """Print a part of what a command has printed."""
    print(text, end="", flush=True)


def _run_until_complete(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a cell that awaits; what an interrupt leaves of it does not go on with the next one."""
    loop = get_asyncio_loop()
    task = loop.create_task(coroutine)
    try:
        return loop.run_until_complete(task)
    except BaseException:
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                loop.run_until_complete(task)
        raise


def make_shell(namespace: Namespace, output: Output, gate: Gate) -> EngineShell:
    """Make the shell of this process: what `get_ipython` returns."""
    shell: EngineShell = EngineShell.instance(namespace, output, gate)
    return shell
