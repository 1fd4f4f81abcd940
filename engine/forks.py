"""The end of a copy of an engine, made by user code with a fork: that of any Python process."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from contextlib import suppress
from typing import NoReturn

UNCAUGHT = 1
"""Exit code of a Python process after an error that nobody caught."""


def end_copy(error: BaseException | None = None) -> NoReturn:
    """End this process as Python would, and leave alone what is the original's: exit functions.

    Parameters
    ----------
    error
        What the code that made the copy has ended with in it, if anything.
    """
    code = UNCAUGHT
    try:
        code = 0 if error is None else _exit_code(error)
    except BaseException:  # user code: a __str__; the error stays an uncaught one
        code = UNCAUGHT
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(BaseException):
                stream.flush()
        if error is not None and issubclass(type(error), KeyboardInterrupt):
            die_of(signal.SIGINT)
        os._exit(code)


def die_of(number: int) -> None:
    """Have a signal do to this process what it does by default."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _exit_code(error: BaseException) -> int:
    """Return the exit code of an error, having written of it what Python would."""
    if not isinstance(error, SystemExit):
        traceback.print_exception(error)
        return UNCAUGHT
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return UNCAUGHT
