"""What is known of a request beside its result; and the text by which a request is named."""

from __future__ import annotations

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


class Metadata(dict[str, Any]):
    """What is known of one request; its items are attributes, too.

    Times are `datetime` with a time zone, or None. `status` is None while it is not known, then
    ``'ok'``, ``'error'`` or ``'aborted'``.
    """

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
    submitted, received
        Unix times in seconds; `received` counts once there is a row.
    """
    known = Metadata(
        msg_id=text_of(number),
        submitted=_time(submitted),
        started=None,
        completed=None,
        received=None,
        engine_id=None,
        engine_uuid=None,
        follow=None,
        after=None,
        status=None,
        execute_input=about.code,
        execute_result=None,
        error=None,
        stdout="",
        stderr="",
        outputs=[],
        data={},
        label=about.label,
    )
    if row is None:
        if live is not None:
            known["engine_id"] = live.engine
            known.update(output_metadata(live.extras()))
        return known
    _, _, _, engine, started, elapsed, extras = row
    known["received"] = _time(received)
    known["status"] = "ok" if is_ok(row) else "aborted" if is_cancelled(row) else "error"
    if engine >= 0:
        known["engine_id"] = engine
    if started:
        known["started"], known["completed"] = _time(started), _time(started + elapsed)
    if known["status"] == "error":
        known["error"] = opened(row)[2]
    if extras:
        known.update(output_metadata(extras))
    return known


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).astimezone()
