"""The sources of what is executed without IPython: compiled, and kept for tracebacks."""

from __future__ import annotations

import ast
import linecache
from collections import OrderedDict
from types import CodeType

KEPT_SOURCES = 100
"""The sources of so many executions are kept."""


class Executions:
    """What was executed.

    Attributes
    ----------
    count : int
        How often.
    """

    __slots__ = ("_kept", "count")

    def __init__(self) -> None:
        self.count = 0
        self._kept: OrderedDict[str, None] = OrderedDict()

    def compile(self, code: str) -> tuple[CodeType, CodeType | None]:
        """Compile statements and, apart from them, an expression at their end."""
        self.count += 1
        name = f"<execution {self.count}>"
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
        self._kept[name] = None
        if len(self._kept) > KEPT_SOURCES:
            linecache.cache.pop(self._kept.popitem(last=False)[0], None)
        tree = ast.parse(code, name)
        last = tree.body[-1] if tree.body else None
        if not isinstance(last, ast.Expr):
            return compile(tree, name, "exec", dont_inherit=True), None
        tree.body.pop()
        value = ast.Expression(last.value)
        return (
            compile(tree, name, "exec", dont_inherit=True),
            compile(value, name, "eval", dont_inherit=True),
        )
