"""The magics `%px`, `%%px`, `%pxresult`, `%pxconfig` and `%autopx` of IPython and Jupyter.

Only loaded where IPython runs: `ctrlhub.client.ipython` sees to that.
"""

from __future__ import annotations

import re
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import no_var_expand
from IPython.core.magic_arguments import MagicArgumentParser

from ctrlhub.client.control import signal_name
from ctrlhub.client.held_back import HeldBack
from ctrlhub.client.progress import is_quiet
from ctrlhub.client.rows import TaskCancelled
from ctrlhub.client.targets import Targets
from ctrlhub.wire.errors import AlreadyDisplayedError, RemoteError

if TYPE_CHECKING:
    from ctrlhub.client.client import Client
    from ctrlhub.client.direct_view import DirectView
    from ctrlhub.client.single_result import AsyncResult

SHOWN_TARGETS = 10
"""So many engines are named by `--verbose`; of more, only how many."""

_SLICE = re.compile(r"\s*(-?\d*)\s*:\s*(-?\d*)\s*(?::\s*(-?\d*)\s*)?")
_OWN = re.compile(r"\s*%{1,2}(px|pxresult|pxconfig|autopx|result)\w*\b")
"""A cell that `%autopx` leaves alone."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a blocking `%px`: the engines' code was interrupted, and the engines live."""

    def _render_traceback_(self) -> list[str]:
        """Show no traceback (IPython asks for it)."""
        return [str(self)]


@dataclass
class Settings:
    """How `%px` runs code, unless a cell says otherwise.

    Attributes
    ----------
    stream
        Show output while the code runs; else at its end.
    verbose
        Say where each cell runs.
    progress_after
        So many seconds later show a progress bar; never if negative.
    signal_on_interrupt
        What Ctrl-C sends to the engines; 0 is nothing.
    """

    stream: bool
    verbose: bool = False
    progress_after: float = 2.0
    signal_on_interrupt: int | str = "SIGINT"


class ParallelMagics:
    """The magics of one view, registered with a shell.

    Parameters
    ----------
    shell
        IPython's shell.
    view
        Where code runs. Its flags `targets` and `block` are the magics' own.
    suffix
        Ends the magics' names: ``%px_even``.
    """

    def __init__(self, shell: Any, view: DirectView, suffix: str = "") -> None:
        self.shell = shell
        self.view = view
        self.suffix = suffix
        self.settings = Settings(stream=not is_quiet())
        self.last_result: AsyncResult | None = None
        self._transformer = _Transformer(f"%%px{suffix}\n")
        name = f"px{suffix}"
        self._config_parser = _with_execution(_parser(f"%pxconfig{suffix}", self.pxconfig))
        self._result_parser = _with_output(_parser(f"%pxresult{suffix}", self.pxresult))
        self._cell_parser = _with_output(_with_execution(_parser(f"%%{name}", self.cell_px)))
        self._cell_parser.add_argument(
            "--local", action="store_true", help="run the cell here, too"
        )

    def register(self) -> None:
        """Have the shell know them, in place of others of the same names."""
        name = f"px{self.suffix}"
        line_magics: dict[str, Callable[[str], Any]] = {
            name: self.px,
            f"pxresult{self.suffix}": self.pxresult,
            f"pxconfig{self.suffix}": self.pxconfig,
            f"auto{name}": self.autopx,
        }
        if not self.suffix:
            line_magics["result"] = self.pxresult
        for magic, function in line_magics.items():
            self.shell.register_magic_function(function, "line", magic)
        self.shell.register_magic_function(self.cell_px, "cell", name)

    # ------------------------------------------------------------ the magics

    @no_var_expand  # type: ignore[untyped-decorator, unused-ignore]
    def px(self, line: str = "") -> Any:
        """Run a line of code on the engines: ``%px x = 1``, ``%px %matplotlib inline``."""
        return self._run(line, self._cell_parser.parse_argstring(""))

    def cell_px(self, line: str = "", cell: str | None = None) -> Any:
        """Run the cell on the engines.

        Where: -t TARGETS. Waiting: -b/--block, -a/--noblock (gives an AsyncResult), --progress-after
        SECS, --signal-on-interrupt SIG. Output: --stream, --no-stream, --group-outputs with type,
        engine (-e) or order (-r), --verbose, --no-verbose. -o NAME keeps the AsyncResult; --local
        runs the cell here, too. `%pxconfig` sets what holds for all cells.
        """
        if cell is None:
            raise UsageError(f"%%px{self.suffix} is for whole cells; for one line use %px")
        return self._run(cell, self._cell_parser.parse_argstring(line))

    def pxconfig(self, line: str = "") -> None:
        """Set what holds for every `%px` that does not say otherwise."""
        given = self._config_parser.parse_argstring(line)
        if given.targets is not None:
            self.view.targets = self._targets(given.targets)
        if given.block is not None:
            self.view.block = given.block
        for name in ("stream", "verbose", "progress_after", "signal_on_interrupt"):
            value = getattr(given, name)
            if value is not None:
                setattr(self.settings, name, value)

    def pxresult(self, line: str = "") -> None:
        """Wait for the last `%px` and show its output, or keep its result by -o NAME."""
        given = self._result_parser.parse_argstring(line)
        result = self.last_result
        if result is None:
            raise UsageError("%pxresult shows what the last %px gave, and there was none yet")
        if given.out:
            self.shell.user_ns[given.out] = result
            return
        result.wait()
        result.display_outputs(given.group_outputs)
        result.get()

    def autopx(self, line: str = "") -> None:
        """Have every cell run on the engines, until `%autopx` is said again."""
        transformers = self.shell.input_transformers_cleanup
        if self._transformer in transformers:
            transformers.remove(self._transformer)
            state = "disabled"
        else:
            transformers.append(self._transformer)
            state = "enabled"
        print(f"%autopx{self.suffix} {state}")

    # ------------------------------------------------------------ running

    def _run(self, code: str, given: Namespace) -> Any:
        view, settings = self.view, self.settings
        targets = view.targets if given.targets is None else self._targets(given.targets)
        block = view.block if given.block is None else given.block
        if settings.verbose if given.verbose is None else given.verbose:
            how = "Parallel" if block else "Async parallel"
            print(f"{how} execution on {_engines(targets)}")
        with HeldBack() as held:
            result = view.execute(code, silent=False, block=False, targets=targets)
            self.last_result = result
            if given.out:
                self.shell.user_ns[given.out] = result
            if given.local:
                held.let_go()
                with self._transformer.paused():
                    self.shell.run_cell(code)
            if not block:
                return result
            self._finish(result, targets, given, held)
        return None

    def _finish(self, result: AsyncResult, targets: Targets, given: Namespace, held: HeldBack) -> None:
        """Wait for a result, show what comes, and raise what there is to raise."""
        settings = self.settings
        stream = settings.stream if given.stream is None else given.stream
        after = settings.progress_after if given.progress_after is None else given.progress_after
        signal = given.signal_on_interrupt
        signal = settings.signal_on_interrupt if signal is None else signal
        struck = False
        with result.stream_output() if stream else nullcontext():
            try:
                held.let_go()
                _wait(result, after)
            except KeyboardInterrupt:
                struck = True
                self._interrupt(result, targets, signal)
                result.wait()
        if not stream:
            result.display_outputs(given.group_outputs)
        if struck:
            if not stream:
                result.show_errors()
            what = "were interrupted, and are alive" if signal != 0 else "were not interrupted"
            raise Interrupted(f"KeyboardInterrupt: the engines {what}")
        try:
            result.get()
        except RemoteError as error:
            if not stream or isinstance(error, TaskCancelled):
                raise
            raise AlreadyDisplayedError(error) from None

    def _interrupt(self, result: AsyncResult, targets: Targets, signal: int | str) -> None:
        what = f"sending {signal} to {_engines(targets)}" if signal != 0 else "waiting for the engines"
        print(f"Ctrl-C: {what}; once more returns at once", file=sys.stderr)
        if signal == "SIGINT":
            result.cancel()  # what waits in a queue, too, and never what is another client's
        elif signal != 0:
            self.view.client.send_signal(signal, targets)

    def _targets(self, text: str) -> Targets:
        """Read what follows `--targets`."""
        text = text.strip("'\"")
        if text == "all":
            return "all"
        ids = self.view.client.ids
        cut = _SLICE.fullmatch(text)
        if cut is not None:
            return ids[slice(*(int(bound) if bound else None for bound in cut.groups()))]
        try:
            targets: Targets = self.shell.ev(text)
            self.view.client.direct_view(targets)
        except Exception as error:
            raise UsageError(
                f"--targets {text}: {error} (name engines as 0 or 0,2 or 1::2 or all)"
            ) from None
        return targets


class _Transformer:
    """Puts a line before each cell, but those with magics of ours: what `%autopx` does.

    Parameters
    ----------
    line
        The line.
    """

    has_side_effects = True
    """So that a terminal, which asks whether a cell is complete, leaves this one out."""

    def __init__(self, line: str) -> None:
        self._line = line
        self._active = True

    def __call__(self, lines: list[str]) -> list[str]:
        text = "".join(lines)
        if not self._active or not text.strip() or _OWN.match(text):
            return lines
        return [self._line, *lines]

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave cells as they are, for the time of a ``with`` block."""
        self._active = False
        try:
            yield
        finally:
            self._active = True


def activate(shell: Any, view: DirectView, suffix: str = "") -> None:
    """Make `%px` and the others those of a view."""
    ParallelMagics(shell, view, suffix).register()


def holder(shell: Any) -> Client | None:
    """Return the client whose magics are registered; None where `%px` is nobody's."""
    px = shell.magics_manager.magics["line"].get("px")
    magics = getattr(px, "__self__", None)
    return magics.view.client if isinstance(magics, ParallelMagics) else None


def _wait(result: AsyncResult, after: float) -> None:
    if after < 0:
        result.wait()
    elif not result.wait(after):
        result.wait_interactive()


def _engines(targets: Targets) -> str:
    if isinstance(targets, list) and len(targets) > SHOWN_TARGETS:
        return f"{len(targets)} engines"
    return "all engines" if targets == "all" else f"engine(s) {targets}"


# ---------------------------------------------------------------- flags


def _parser(name: str, function: Callable[..., Any]) -> MagicArgumentParser:
    return MagicArgumentParser(name, description=(function.__doc__ or "").splitlines()[0])


def _signal(text: str) -> int | str:
    if text == "0":
        return 0
    try:
        return signal_name(int(text) if text.isdigit() else text.upper())
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _with_execution(parser: MagicArgumentParser) -> MagicArgumentParser:
    def switch(name: str, value: bool, *flags: str, help: str) -> None:
        parser.add_argument(*flags, dest=name, action="store_const", const=value, help=help)

    switch("block", True, "-b", "--block", help="wait for the engines")
    switch("block", False, "-a", "--noblock", help="do not wait; give an AsyncResult")
    switch("stream", True, "--stream", help="show output while the code runs")
    switch("stream", False, "--no-stream", help="show output when the code has ended")
    parser.add_argument("-t", "--targets", help="the engines: 0 or 0,2 or 1::2 or all")
    switch("verbose", True, "--verbose", help="say where it runs")
    switch("verbose", False, "--no-verbose", help="do not say where it runs")
    parser.add_argument(
        "--progress-after",
        type=float,
        metavar="SECS",
        help="show a progress bar so many seconds later; 0 at once, -1 never (default 2)",
    )
    parser.add_argument(
        "--signal-on-interrupt",
        type=_signal,
        metavar="SIG",
        help="what Ctrl-C sends to the engines: SIGINT (the default), SIGTERM, 9 …; 0 is nothing",
    )
    return parser


def _with_output(parser: MagicArgumentParser) -> MagicArgumentParser:
    group = "group_outputs"
    parser.add_argument(
        "-r",
        dest=group,
        action="store_const",
        const="order",
        default="type",
        help="first the first output of each engine, then the second of each …",
    )
    parser.add_argument(
        "-e",
        dest=group,
        action="store_const",
        const="engine",
        help="all of one engine together",
    )
    parser.add_argument(
        "--group-outputs",
        choices=("type", "engine", "order"),
        default="type",
        help="how output is put in order where it is not streamed (default: type)",
    )
    parser.add_argument("-o", "--out", metavar="NAME", help="keep the AsyncResult under this name")
    return parser
