"""What stands in a store, for who looks at it from outside: while a hub uses it, or when none does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ctrlhub.controller.core.effects import Forget
from ctrlhub.controller.core.history import GONE
from ctrlhub.controller.core.saved import Saved, SavedCommand, SavedTask
from ctrlhub.controller.stores import packing
from ctrlhub.controller.stores.journal import Journal
from ctrlhub.controller.stores.payload_files import PayloadFiles
from ctrlhub.controller.stores.sqlite import DATABASE, PAYLOADS, SqliteStore
from ctrlhub.wire.codec import size_of
from ctrlhub.wire.errors import StoreError
from ctrlhub.wire.failure import summary_of
from ctrlhub.wire.ids import session_of, text_of, to_ranges
from ctrlhub.wire.messages import Status

_ENDS = {Status.OK: "ok", Status.CANCELLED: "aborted"}


def look(directory: Path) -> Saved:
    """Return what stands in a store; nothing is changed.

    Raises
    ------
    StoreError
        There is none, or it cannot be read.
    """
    path = directory / DATABASE
    if not path.is_file():
        raise StoreError(f"there is no store in {directory}: no hub has kept anything there")
    files = PayloadFiles(directory / PAYLOADS)
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
            execute = database.execute
            execute("BEGIN")  # one moment of it, whatever a hub writes meanwhile
            return Journal(0.0).load(
                execute("SELECT sequence, body FROM batches ORDER BY sequence"),
                execute("SELECT digest, body FROM functions"),
                execute("SELECT name, body FROM kept"),
                files.read,
            )
    except (packing.UnknownFormat, sqlite3.Error, OSError) as error:
        raise StoreError(f"the store in {directory} cannot be read: {error}") from error


def size_on_disk(directory: Path) -> int:
    """Return how many bytes a store takes."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def figures(saved: Saved) -> dict[str, int]:
    """Return how many there are of each kind."""
    ended = saved.results.keys()
    return {
        "tasks waiting or running": len(saved.tasks.keys() - ended),
        "commands waiting or running": len(saved.commands.keys() - ended),
        "results to be fetched": len(ended - saved.fetched),
        "requests in history": len(saved.fetched),
        "functions": len(saved.functions),
        "clients": len(saved.sessions),
    }


def records(saved: Saved) -> Iterator[dict[str, Any]]:
    """Yield what is known of each request, in the order of their ids."""
    requests: dict[int, SavedTask | SavedCommand] = {**saved.tasks, **saved.commands}
    for number in sorted(requests):
        request = requests[number]
        about = request.template if isinstance(request, SavedTask) else request
        record = {
            "msg_id": text_of(number),
            "client": session_of(number),
            "action": "apply" if isinstance(request, SavedTask) else request.action,
            "label": about.label or None,
            "submitted": about.submitted,
            "request_bytes": None if request.payload == GONE else size_of(request.payload),
            "status": "queued",
        }
        outcome = saved.results.get(number)
        if outcome is not None:
            _, status, value, engine, started, elapsed, extras = outcome
            record.update(
                status=_ENDS.get(Status(status), "error"),
                engine_id=engine if engine >= 0 else None,
                started=started,
                completed=started + elapsed,
                fetched=number in saved.fetched,
                result_bytes=None if value == GONE else size_of(value),
                error=summary_of(status, value) or None,
                stdout=(extras or {}).get("stdout"),
                stderr=(extras or {}).get("stderr"),
            )
        yield record


def purge(directory: Path) -> int:
    """Forget the requests that have ended, of a store that no hub uses; return how many."""
    look(directory)  # there is one
    store = SqliteStore(directory, 0.0, lambda call: call())
    try:
        ended = sorted(store.load().results)
        store.write([Forget(to_ranges(ended))], lambda: None)
    finally:
        store.close()
    return len(ended)
