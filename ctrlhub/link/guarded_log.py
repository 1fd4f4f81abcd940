"""Logging from threads that others depend on: a handler of the program's that raises must not end them."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any


class GuardedLog(logging.LoggerAdapter[logging.Logger]):
    """A logger whose handlers may raise: that goes to stderr, as `logging.Handler.handleError` has it.

    Parameters
    ----------
    name
        That of the logger.
    """

    def __init__(self, name: str) -> None:
        super().__init__(logging.getLogger(name), {})

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a message."""
        try:
            self.logger.log(level, msg, *args, stacklevel=2, **kwargs)
        except (Exception, SystemExit):
            report(f"{msg!r} {args!r}")


def report(what: str) -> None:
    """Write the exception of the moment, that of a handler, to stderr: the log is no place for it."""
    if logging.raiseExceptions and sys.stderr is not None:
        sys.stderr.write(f"--- A handler of logging raised; what was logged: {what}\n")
        traceback.print_exc()
