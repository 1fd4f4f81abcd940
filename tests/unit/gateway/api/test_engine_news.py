from __future__ import annotations

from ctrlhub.gateway.api.engine_news import changes


def engine(number: int, pid: int = 1, state: str = "idle") -> dict[str, object]:
    """Return what is known of an engine."""
    return {"id": number, "pid": pid, "key": f"k{number}", "state": state}


def test_what_has_happened_is_told_once_and_keys_are_not() -> None:
    """Who came, who left, who is another process, and whose state is another."""
    before = {0: engine(0), 1: engine(1), 2: engine(2), 3: engine(3)}
    now = {1: engine(1, state="draining"), 2: engine(2, pid=9), 3: engine(3), 4: engine(4)}
    told = list(changes(before, now))
    assert [(kind, each["id"]) for kind, each in told] == [
        ("engine_left", 0), ("engine_changed", 1), ("engine_replaced", 2), ("engine_came", 4),
    ]  # fmt: skip
    assert all("key" not in each for _, each in told)
