"""Names: whether the other side can find an object by its own, and which ones a function uses."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from functools import lru_cache
from types import CodeType
from typing import Any

import cloudpickle

MAIN = "__main__"
LRU_CACHED: Any = type(lru_cache(len))
"""The class of what ``functools.lru_cache`` makes, for which there is no public name."""

registered_by_value: Callable[[], set[str]] = cloudpickle.list_registry_pickle_by_value
"""The modules registered with `cloudpickle.register_pickle_by_value`."""

_GLOBAL_OPERATIONS = frozenset(("LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL"))


def is_importable(obj: Any) -> bool:
    """Whether a function or class is what its module has under its name.

    Then it is pickled as that name; what is defined in ``__main__`` or in a module registered to
    be sent by value is not.
    """
    name = obj.__module__
    if name is None or name == MAIN:
        return False
    found: Any = sys.modules.get(name)
    if found is None:
        return False
    path = obj.__qualname__
    if "." in path:
        for part in path.split("."):
            found = getattr(found, part, None)
    else:
        found = getattr(found, path, None)
    return found is obj and not (registered_by_value() and is_by_value(name))


def is_by_value(module: str) -> bool:
    """Whether a module, or a package it is in, is registered to be sent by value."""
    registered = registered_by_value()
    while module:
        if module in registered:
            return True
        module = module.rpartition(".")[0]
    return False


@lru_cache(maxsize=1024)
def global_names(code: CodeType) -> tuple[str, ...]:
    """Give the global names that code and the code inside it read, write or delete."""
    found = {
        instruction.argval: None
        for instruction in dis.get_instructions(code)
        if instruction.opname in _GLOBAL_OPERATIONS
    }
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found.update(dict.fromkeys(global_names(constant)))
    return tuple(found)
