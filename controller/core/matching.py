"""Queries on records: which of them fit, in the words of MongoDB that users of ipyparallel know.

``{"engine_id": 2, "status": {"$in": ["ok", "error"]}, "submitted": {"$gt": 1700000000.0}}``: every
key must fit. A key's condition is a value that it must equal, or a map of operators that must all
hold. What cannot be compared (a number with nothing, a text with a number) does not fit.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Mapping
from fnmatch import translate
from typing import Any, Protocol, TypeAlias

from ctrlhub.wire.errors import InvalidRequest

Test: TypeAlias = Callable[[Any], bool]

class Record(Protocol):
    """What has a value for each key."""

    def __getitem__(self, key: str, /) -> Any: ...


SCALARS = (str, bytes, int, float, type(None))
"""What records hold."""

MAX_PATTERN = 256
"""The longest pattern of ``$glob`` (characters)."""


def compiled(query: object, keys: Collection[str]) -> Callable[[Record], bool]:
    """Return what tells whether a record fits a query.

    Parameters
    ----------
    query
        The query, as a client has sent it.
    keys
        The keys that records have.

    Raises
    ------
    InvalidRequest
        It is no query; the message says what is wrong.
    """
    if not isinstance(query, Mapping):
        raise InvalidRequest(f"a query is a map of conditions by key, not {query!r:.80}")
    check_keys(query, keys)
    tests = [(key, test) for key, value in query.items() for test in _tests(value)]
    return lambda record: all(test(record[key]) for key, test in tests)


def text_keys(query: Mapping[str, Any]) -> list[str]:
    """Return the keys whose texts a query reads through."""
    conditions = query.items()
    return [key for key, value in conditions if isinstance(value, Mapping) and "$glob" in value]


def check_keys(wanted: Collection[Any], keys: Collection[str]) -> None:
    """Refuse keys that records do not have.

    Raises
    ------
    InvalidRequest
        There are some.
    """
    unknown = [key for key in wanted if key not in keys]
    if unknown:
        raise InvalidRequest(
            f"records have no key {unknown[0]!r:.80}; they have: {', '.join(sorted(keys))}"
        )


def _tests(condition: Any) -> list[Test]:
    operators = isinstance(condition, Mapping) and any(str(k).startswith("$") for k in condition)
    if not operators:
        return [_equal(condition)]
    made = []
    for name, operand in condition.items():
        make = OPERATORS.get(name)
        if make is None:
            raise InvalidRequest(
                f"there is no operator {name!r:.80}; there are: {', '.join(sorted(OPERATORS))}"
            )
        made.append(make(operand))
    return made


def _equal(operand: Any) -> Test:
    return lambda value: bool(value == operand)


def _unequal(operand: Any) -> Test:
    return lambda value: bool(value != operand)


def _ordered(holds: Callable[[Any, Any], bool]) -> Callable[[Any], Test]:
    def make(operand: Any) -> Test:
        def test(value: Any) -> bool:
            both_numbers = isinstance(value, int | float) and isinstance(operand, int | float)
            both_texts = isinstance(value, str) and isinstance(operand, str)
            return (both_numbers or both_texts) and holds(value, operand)

        return test

    return make


def _listed(name: str, among: bool) -> Callable[[Any], Test]:
    def make(operand: Any) -> Test:
        if not isinstance(operand, list | tuple):
            raise InvalidRequest(f"{name} needs a list, not {operand!r:.80}")
        values = frozenset(value for value in operand if isinstance(value, SCALARS))
        return lambda value: (isinstance(value, SCALARS) and value in values) is among

    return make


def _glob(operand: Any) -> Test:
    if not isinstance(operand, str):
        raise InvalidRequest(f"$glob needs a pattern such as 'fit-*', not {operand!r:.80}")
    if len(operand) > MAX_PATTERN:
        raise InvalidRequest(f"a pattern has at most {MAX_PATTERN} characters, not {len(operand)}")
    # Not by `fnmatch`, which keeps tens of thousands of patterns.
    match = re.compile(translate(operand)).match
    return lambda value: isinstance(value, str) and match(value) is not None


def _exists(operand: Any) -> Test:
    wanted = bool(operand)
    return lambda value: (value is not None) is wanted


OPERATORS: Mapping[str, Callable[[Any], Test]] = {
    "$lt": _ordered(operator.lt),
    "$gt": _ordered(operator.gt),
    "$lte": _ordered(operator.le),
    "$gte": _ordered(operator.ge),
    "$eq": _equal,
    "$ne": _unequal,
    "$in": _listed("$in", True),
    "$nin": _listed("$nin", False),
    "$glob": _glob,
    "$exists": _exists,
}
"""Every operator: what makes its test of an operand."""
