"""Running functions by name, with arguments and results in JSON: for clients that know no pickle.

The gateway's REST interface submits `call_by_name` as any client submits a function. What
JSON has no word for is said in the following way; anything else is a `NotJSON`, which names the type.

==========================================  =====================================================
value                                       JSON
==========================================  =====================================================
tuple, set, frozenset, deque, range         array (a set's order is not its own)
numpy array, numpy scalar                   array (nested, by rows), number or text
dataclass                                   object of its fields
enum                                        its value
datetime, date, time                        text, ISO 8601
timedelta                                   number of seconds
Decimal, Fraction, UUID, path               text
mapping with keys of text or numbers        object (numbers become text)
bytes, bytearray, memoryview, alone         no JSON: they are the body as they are
==========================================  =====================================================

Numbers that are not finite have no word in JSON, and are refused.
"""

from __future__ import annotations

import builtins
import dataclasses
import json
import sys
from collections import deque
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from importlib import import_module
from pathlib import PurePath
from typing import Any
from uuid import UUID

from ctrlhub.wire.encoded import JSON, OCTETS, Encoded
from ctrlhub.wire.naming import MAIN

_TEXTS = (Decimal, Fraction, UUID, PurePath)
_LISTS = (set, frozenset, deque, range)


class NotJSON(TypeError):
    """A value cannot be said in JSON; the message names its type."""


class NoSuchFunction(LookupError):
    """No function has this name on the engine."""


def call_by_name(function: str, arguments: bytes) -> Encoded:
    """Call a function, and return what it returns, encoded.

    Parameters
    ----------
    function
        ``module:name``, or a name of the engine's namespace, of the builtins, or ``module.name``; what
        is found first, in this order. A name may have parts behind dots.
    arguments
        JSON: a list of the positional arguments and an object of those by name.

    Raises
    ------
    NoSuchFunction
        There is none of this name.
    NotJSON
        What it returned has no form in JSON. The function has run.
    """
    args, kwargs = json.loads(arguments)
    return encoded(found(function)(*args, **kwargs), f"what {function} returned")


def value_of(name: str) -> Encoded:
    """Return a value of the engine's namespace, encoded.

    Parameters
    ----------
    name
        Its name, or an expression such as ``model.coef_``.
    """
    names = _namespace()
    value = names[name] if name in names else eval(name, names)
    return encoded(value, f"the value of {name}")


def assign(name: str, value: Any) -> None:
    """Set a name in the engine's namespace."""
    _namespace()[name] = value


def names() -> Encoded:
    """Return the names in the engine's namespace that a user would call his own, with their types."""
    shown = {
        name: type(value).__name__
        for name, value in _namespace().items()
        if not name.startswith("_")
    }
    return encoded(dict(sorted(shown.items())), "the names")


def found(name: str) -> Callable[..., Any]:
    """Return the function of a name.

    Raises
    ------
    NoSuchFunction
        There is none, or it cannot be called.
    """
    module, colon, path = name.partition(":")
    value = _part(import_module(module), path, name) if colon else _anywhere(name)
    if not callable(value):
        raise NoSuchFunction(f"{name} is a {type(value).__name__}, which cannot be called")
    return value  # type: ignore[no-any-return]


def encoded(value: Any, what: str) -> Encoded:
    """Encode a value.

    Parameters
    ----------
    value
        The value.
    what
        What it is, in words.

    Raises
    ------
    NotJSON
        It has no form in JSON.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        data = value if isinstance(value, bytes | bytearray) else memoryview(value).cast("B")
        return Encoded(OCTETS, data)
    try:
        text = json.dumps(
            value, default=_plainer, allow_nan=False, ensure_ascii=False, separators=(",", ":")
        )
    except NotJSON as error:
        raise NotJSON(f"{what} cannot be said in JSON: {error}") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJSON(f"{what} cannot be said in JSON: {error}") from None
    try:
        return Encoded(JSON, text.encode())
    except UnicodeEncodeError:  # half of a pair, which UTF-8 has no bytes for, and JSON an escape
        return Encoded(JSON, json.dumps(json.loads(text)).encode())


def _namespace() -> dict[str, Any]:
    return vars(sys.modules[MAIN])


def _anywhere(name: str) -> Any:
    head, _, rest = name.partition(".")
    for names in (_namespace(), vars(builtins)):
        if head in names:
            return _part(names[head], rest, name)
    module, dot, path = name.rpartition(".")
    if not dot:
        raise NoSuchFunction(f"there is no {name} in the engine's namespace, nor among the builtins")
    while True:
        try:
            return _part(import_module(module), path, name)
        except ModuleNotFoundError as error:
            # What is missing may be a module that ours imports: that is to be told as it is.
            missing = error.name or ""
            if module != missing and not module.startswith(f"{missing}."):
                raise
            module, dot, last = module.rpartition(".")
            path = f"{last}.{path}"
            if not dot:
                raise NoSuchFunction(
                    f"there is no {name} on the engine: neither {head} in its namespace, nor a module "
                    f"{missing}"
                ) from None


def _part(value: Any, path: str, name: str) -> Any:
    for part in path.split(".") if path else ():
        try:
            value = getattr(value, part)
        except AttributeError as error:
            raise NoSuchFunction(f"there is no {name} on the engine: {error}") from None
    return value


def _plainer(value: Any) -> Any:
    """Return something that stands for a value JSON has no word for."""
    if isinstance(value, _LISTS):
        return list(value)
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, _TEXTS):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
        return value.tolist() if value.dtype.kind not in "mMV" else value.astype(str).tolist()
    kind = type(value)
    raise NotJSON(f"there is a {kind.__module__}.{kind.__qualname__} in it")
