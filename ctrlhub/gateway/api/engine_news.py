"""What has happened to engines, from who was there before and is now. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Engines = Mapping[int, Mapping[str, Any]]

CAME, LEFT, CHANGED, REPLACED = "engine_came", "engine_left", "engine_changed", "engine_replaced"
KINDS = (CAME, LEFT, CHANGED, REPLACED)


def changes(before: Engines, now: Engines) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what has happened, and to which engine, in the order of the ids.

    Parameters
    ----------
    before, now
        What was, and is, known of each engine, by id.
    """
    for number in sorted({*before, *now}):
        old, new = before.get(number), now.get(number)
        if new is None:
            assert old is not None  # it is in one of them
            yield LEFT, _shown(old)
        elif old is None:
            yield CAME, _shown(new)
        elif old["pid"] != new["pid"] or old["key"] != new["key"]:
            yield REPLACED, _shown(new)
        elif old != new:
            yield CHANGED, _shown(new)


def _shown(engine: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in engine.items() if name != "key"}
