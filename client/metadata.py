"""What is known of a request beside its result; and the text by which a request is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ctrlhub.client.extras import output_metadata
from ctrlhub.client.live_output import LiveRequest
from ctrlhub.client.requests import About
from ctrlhub.client.rows import Row, is_cancelled, is_ok, opened
from ctrlhub.wire.ids import text_of

KEYS = frozenset(
    (
        "after", "completed", "data", "engine_id", "engine_uuid", "error", "execute_input",
        "execute_result", "follow", "label", "msg_id", "outputs", "received", "started", "status",
        "stderr", "stdout", "submitted",
    )
)  # fmt: skip
"""What there is of each request; also the names of attributes of results."""

RUNNING = "running"
UNFINISHED = ("queued", RUNNING)
"""What records say of requests that have not ended."""


class Metadata(dict[str, Any]):
    """What is known of one request; its items are attributes, too.

    Times are `datetime` with a time zone, or None. `status` is None while it is not known, then
    ``'ok'``, ``'error'`` or ``'aborted'``.
    """

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self:
            raise KeyError(f"no {name!r} in the metadata of a request")
        super().__setitem__(name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return Metadata, (dict(self),)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no {name!r} in the metadata of a request") from None


def metadata(
    number: int,
    row: Row | None,
    *,
    about: About,
    live: LiveRequest | None,
    uuid: Callable[[int], str | None],
    submitted: float,
    received: float,
) -> Metadata:
    """Make the metadata of a request.

    Parameters
    ----------
    number
        Its id.
    row
        Its completed row, once that is there.
    about
        What was asked.
    live
        What has come of its output, while there is no row.
    uuid
        Returns the key of an engine.
    submitted, received
        Unix times in seconds; `received` counts once there is a row.
    """
    known = _blank()
    known.update(
        msg_id=text_of(number),
        submitted=local_time(submitted),
        execute_input=about.code,
        label=about.label,
    )
    if row is None:
        if live is not None:
            known.update(engine_id=live.engine, engine_uuid=uuid(live.engine))
            known.update(output_metadata(live.extras()))
        return known
    _, _, _, engine, started, elapsed, extras = row
    known["received"] = local_time(received)
    known["status"] = "ok" if is_ok(row) else "aborted" if is_cancelled(row) else "error"
    if engine >= 0:
        known.update(engine_id=engine, engine_uuid=uuid(engine))
    if started:
        known["started"], known["completed"] = local_time(started), local_time(started + elapsed)
    if known["status"] == "error":
        known["error"] = opened(row)[2]
    if extras:
        known.update(output_metadata(extras))
    return known


def metadata_of_record(record: Mapping[str, Any]) -> Metadata:
    """Make the metadata of a request of which there is the hub's record only.

    It has the record's other items, too; what a request has displayed comes only with its result.
    """
    known = _blank()
    # What the record does not know stays as it is for a request of which nothing has come.
    known.update((k, value) for k, value in record.items() if value is not None or k not in KEYS)
    if known["status"] in UNFINISHED:
        known["status"] = None
    if known["execute_result"] is not None:
        known["execute_result"] = {"data": {"text/plain": known["execute_result"]}, "metadata": {}}
    return known


def _blank() -> Metadata:
    known = Metadata(dict.fromkeys(KEYS))
    known.update(stdout="", stderr="", outputs=[], data={})
    return known


def local_time(seconds: float) -> datetime:
    """Return a Unix time as users get it: with the time zone of this host."""
    return datetime.fromtimestamp(seconds, UTC).astimezone()
