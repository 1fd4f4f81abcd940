"""What stands in a store, for who looks at it from outside: while a hub uses it, or when none does."""

from __future__ import annotations

import logging
import mmap
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ctrlhub.controller.core.effects import Forget
from ctrlhub.controller.core.history import GONE, how_ended
from ctrlhub.controller.core.saved import Saved, SavedCommand, SavedTask
from ctrlhub.controller.store_places import is_postgresql, shown
from ctrlhub.controller.stores import packing
from ctrlhub.controller.stores.durable import line_of
from ctrlhub.controller.stores.journal import Journal
from ctrlhub.controller.stores.mark import Damaged, Marker, has_content
from ctrlhub.controller.stores.opening import directory_of, need_psycopg, open_durable
from ctrlhub.controller.stores.payload_files import PayloadFiles, in_buffers
from ctrlhub.controller.stores.sqlite import DATABASE, FAILURES, PAYLOADS
from ctrlhub.wire.codec import size_of
from ctrlhub.wire.errors import StoreError
from ctrlhub.wire.failure import summary_of
from ctrlhub.wire.ids import session_of, text_of, to_ranges
from ctrlhub.wire.messages import Payload
from ctrlhub.wire.places import Profile

log = logging.getLogger(__name__)


def name_of(store: str, profile: Profile) -> str:
    """Return where a store is, without secrets."""
    return shown(store) if is_postgresql(store) else str(directory_of(store, profile))


def look(store: str, profile: Profile) -> tuple[Saved, int]:
    """Return what stands in a store, and how many bytes it takes; nothing is changed.

    Parameters
    ----------
    store
        What ``--store`` says.
    profile
        Whose it is.

    Raises
    ------
    StoreError
        There is none, or it cannot be read.
    """
    if store == "memory":
        raise StoreError("what a hub keeps in its memory can be seen by its clients only")
    if not is_postgresql(store):
        return _look_into_files(directory_of(store, profile))
    need_psycopg()
    return _look_into_postgres(store)


def _look_into_files(directory: Path) -> tuple[Saved, int]:
    path = directory / DATABASE
    if not directory.is_dir():
        raise _nothing(str(directory))
    payloads = directory / PAYLOADS
    marker = Marker(path)  # first: a hub that runs is never behind what it has marked
    try:
        if not has_content(path):
            marker.check_missing(has_payloads=payloads.is_dir() and any(payloads.iterdir()))
            raise _nothing(str(directory))
        if damage := marker.certain_damage():
            log.warning("the store in %s is damaged: %s", directory, damage)
        files = PayloadFiles(payloads)
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
            execute = database.execute
            execute("BEGIN")  # one moment of it, whatever a hub writes meanwhile
            try:
                marker.check(database)
            except Damaged as error:
                log.warning("the store in %s is damaged: %s", directory, error)
            saved = Journal(0.0).load(
                execute("SELECT sequence, body FROM batches ORDER BY sequence"),
                execute("SELECT digest, body FROM functions"),
                execute("SELECT name, body FROM kept"),
                files.look,
            )
    except (Damaged, packing.UnknownFormat, *FAILURES) as error:
        raise _unreadable(str(directory), error) from error
    return saved, sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def _look_into_postgres(url: str) -> tuple[Saved, int]:
    from ctrlhub.controller.stores import postgres, postgres_session

    try:
        with closing(postgres_session.connect(url)) as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            if connection.execute("SELECT to_regclass('ctrlhub_store')").fetchone() == (None,):
                raise _nothing(shown(url))

            def measure(name: str, sizes: Sequence[int]) -> Payload:
                # Nobody looks at what is in it: pages of nothing, which nobody touches, will do.
                count = sum(postgres.payload_sizes(connection, name))
                if count != sum(sizes) or not count:
                    return GONE
                return in_buffers(memoryview(mmap.mmap(-1, count)), sizes)

            saved = Journal(0.0).load(*postgres.contents(connection), measure)
            return saved, postgres.tables_size(connection)
    except (packing.UnknownFormat, *postgres.PostgresDatabase.failures) as error:
        raise _unreadable(shown(url), error) from error


def _nothing(where: str) -> StoreError:
    return StoreError(f"there is no store in {where}: no hub has kept anything there")


def _unreadable(where: str, error: Exception) -> StoreError:
    return StoreError(f"the store in {where} cannot be read: {line_of(error)}")


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
                status=how_ended(status),
                engine_id=engine if engine >= 0 else None,
                started=started or None,  # what has never run has no times
                completed=started + elapsed if started else None,
                fetched=number in saved.fetched,
                result_bytes=None if value == GONE else size_of(value),
                error=summary_of(status, value) or None,
                stdout=(extras or {}).get("stdout"),
                stderr=(extras or {}).get("stderr"),
            )
        yield record


def purge(store: str, profile: Profile, *, everything: bool = False) -> int:
    """Forget the requests that have ended, or all, of a store that no hub uses; return how many.

    Raises
    ------
    StoreError
        There is none, or it cannot be used, or changed: then all is as it was.
    """
    look(store, profile)  # there is one
    opened = open_durable(store, profile, 0.0, lambda call: call())
    try:
        saved = opened.load()
    except BaseException:
        opened.close()
        raise
    chosen = sorted({*saved.tasks, *saved.commands} if everything else saved.results)
    forgotten = threading.Event()
    opened.write([Forget(to_ranges(chosen))], forgotten.set)
    opened.compact()
    if not forgotten.is_set():
        raise StoreError(f"nothing was forgotten: {opened.trouble or 'the store does not answer'}")
    return len(chosen)
