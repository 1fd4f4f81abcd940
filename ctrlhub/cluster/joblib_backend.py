"""joblib on engines: ``with joblib.parallel_config("ctrlhub")``. Imported only where joblib is.

Theory of operation
-------------------
joblib gives batches of calls, and a callback for each, which takes the result in and asks for the next
batch. Callbacks run in a thread for each `Parallel` and not in that of the client's I/O: they read the
program's generators, pickle what these give, and may wait, perhaps for another `Parallel`.

A backend is shared by all that run within one ``parallel_config``, also at the same time.

Where all engines are on this host, large arrays anywhere in the arguments become files that engines
map into memory, as joblib's own processes do (`max_nbytes`, `mmap_mode`, `temp_folder`); its machinery
for this is used. Elsewhere arrays travel with the batch.
"""

from __future__ import annotations

import logging
import pickle
import platform
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from joblib import register_parallel_backend
from joblib._memmapping_reducer import TemporaryResourcesManager, get_memmapping_reducers
from joblib._parallel_backends import (
    AutoBatchingMixin,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
)
from joblib.externals.loky.backend.reduction import dumps

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.executor import ViewExecutor
from ctrlhub.cluster.executor import Executor
from ctrlhub.cluster.local import available_cores
from ctrlhub.cluster.surroundings import call_pickled, know_backends
from ctrlhub.wire.errors import EngineError
from ctrlhub.wire.forking import in_forks

if TYPE_CHECKING:
    from ctrlhub.client.client import Client

_log = logging.getLogger(__name__)

TRIALS = 3
"""So often engines may die while they are made ready for joblib."""

_Callback = Callable[[Any], object]


class CtrlHubBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Runs the batches of `joblib.Parallel` on engines.

    Parameters
    ----------
    client
        The client whose engines are used; None has a private cluster on this host, which all calls
        share and which ends with the interpreter.
    nesting_level, **options
        joblib's own.
    """

    supports_retrieve_callback = True
    default_n_jobs = -1

    def __init__(
        self,
        nesting_level: int | None = None,
        client: Client | None = None,
        initializer: Callable[..., Any] | None = None,
        initargs: Iterable[Any] = (),
        **options: Any,
    ) -> None:
        super().__init__(nesting_level=nesting_level, **options)
        self._client = client
        self._initial = initializer, initargs
        self._runs: WeakKeyDictionary[Any, _Run] = WeakKeyDictionary()

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many batches run at a time."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        engines = available_cores() if self._client is None else len(self._client)
        count = max(engines + 1 + n_jobs, 1) if n_jobs < 0 else n_jobs
        if self._client is None or n_jobs == 1:
            return count
        # With one, joblib would call here; the other engines may be about to come.
        return max(min(count, engines), 2)

    def configure(
        self,
        n_jobs: int | None = 1,
        parallel: Any = None,
        prefer: str | None = None,
        require: str | None = None,
        temp_folder: str | None = None,
        max_nbytes: int | float | None = 1e6,
        mmap_mode: str | None = "r",
        initializer: Callable[..., Any] | None = None,
        initargs: Iterable[Any] = (),
        **options: Any,
    ) -> int:
        """Make ready for a call, or several; return how many batches run at a time."""
        count = self.effective_n_jobs(n_jobs)
        if count == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        owner, executor = _executor_for(self._client, count)
        if initializer is None:
            initializer, initargs = self._initial
        if initializer is not None:
            _initialize(executor.view.client, initializer, tuple(initargs))
        files = reducers = None
        if self._client is None or _are_here(self._client):
            files = TemporaryResourcesManager(temp_folder)
            reducers, _ = get_memmapping_reducers(
                temp_folder_resolver=files.resolve_temp_folder_name,
                max_nbytes=max_nbytes,
                mmap_mode=mmap_mode,
                # Engines have no part in the counts of who uses a file: it goes after the call.
                unlink_on_gc_collect=False,
            )
        self._runs[parallel] = _Run(owner, executor, files, reducers)
        return count

    def submit(self, func: Callable[[], Any], callback: _Callback | None = None) -> Future[Any]:
        """Run a batch; return its result to come."""
        # The callback knows whose batch it is; others may have come since.
        run = self._runs[getattr(callback, "parallel", self.parallel)]
        future = run.submit(func)
        if callback is not None:
            run.caller.call_when_done(callback, future)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """Return what a batch returned, or raise what it raised."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Stop what is out: what waits is cancelled, what runs interrupted."""
        for parallel, run in tuple(self._runs.items()):
            if parallel._aborting:
                run.abort()

    def terminate(self) -> None:
        """Remove the files of calls that have ended; the engines stay for the next one."""
        for parallel, run in tuple(self._runs.items()):
            if not (parallel._calling or parallel._managed_backend):
                run.end()
        self.reset_batch_stats()


class _Run:
    """What belongs to one `Parallel`.

    Parameters
    ----------
    owner
        Whose cluster that is, if it is a private one: it ends with the last that has it.
    executor
        The engines that it uses.
    files
        Where large arrays are kept; None where engines are elsewhere.
    reducers
        How they get there.
    """

    def __init__(
        self,
        owner: Executor | None,
        executor: ViewExecutor,
        files: TemporaryResourcesManager | None,
        reducers: dict[type, Any] | None,
    ) -> None:
        self.caller = _Caller()
        self._owner = owner
        self._executor = executor
        self._files = files
        self._reducers = reducers
        self._out: WeakSet[Future[Any]] = WeakSet()

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        """Run a batch. Whatever goes wrong is an error of its future."""
        try:
            batch = bytes(dumps(call, reducers=self._reducers, protocol=pickle.HIGHEST_PROTOCOL))
            future: Future[Any] = self._executor.submit(call_pickled, batch)
        except Exception as error:  # user code may raise anything when it is pickled
            future = Future()
            future.set_exception(error)
            return future
        self._out.add(future)
        return future

    def abort(self) -> None:
        """Cancel what waits, and interrupt what runs."""
        for future in tuple(self._out):
            if not future.done():
                future._cancel_later()  # type: ignore[attr-defined]

    def end(self) -> None:
        """Remove the files of large arrays, and let go of the cluster."""
        self._owner = None
        if self._files is not None:
            self._files._clean_temporary_resources(force=True)


class _Caller:
    """Calls the callbacks of one `Parallel`, in a thread that lives while there are some to come.

    Before that it shows what the batch has printed, as joblib's own processes do, which share the
    program's terminal: ``verbose`` of scikit-learn is nothing else.
    """

    def __init__(self) -> None:
        self._ended: SimpleQueue[tuple[_Callback, Future[Any]]] = SimpleQueue()
        self._lock = threading.Lock()
        self._expected = 0

    def call_when_done(self, callback: _Callback, future: Future[Any]) -> None:
        """Have a callback called once a future is done."""
        with self._lock:
            self._expected += 1
            if self._expected == 1:
                threading.Thread(target=self._run, name="ctrlhub-joblib", daemon=True).start()
        future.add_done_callback(lambda future: self._ended.put((callback, future)))

    def _run(self) -> None:
        while True:
            callback, future = self._ended.get()
            try:
                _show(future)
                callback(future)
            except BaseException:
                _log.exception("joblib's callback of a batch raised")
            with self._lock:
                self._expected -= 1
                if not self._expected:
                    return


def _show(future: Future[Any]) -> None:
    """Show what a batch has printed."""
    if not isinstance(future, AsyncResult) or future.cancelled():
        return
    for stream, text in ((sys.stdout, future.stdout), (sys.stderr, future.stderr)):
        if text and stream is not None:
            stream.write(text)
            stream.flush()


_lock = threading.Lock()
_names: set[str] = set()
"""What the backend is called."""
_prepared: WeakSet[Client] = WeakSet()
"""Those whose engines know all these names."""
_initialized: WeakKeyDictionary[Client, tuple[Any, ...]] = WeakKeyDictionary()
"""What engines were initialized with."""
_own: Executor | None = None
"""The executor with the private cluster that all calls share."""


def _executor_for(client: Client | None, count: int) -> tuple[Executor | None, ViewExecutor]:
    """Return an executor on so many engines, and who has the cluster if it is a private one."""
    owner: Executor | None = None
    if client is None:
        with _lock:
            owner = _own_executor(count)
        client = owner.view.client
    if client not in _prepared:
        # First, and where nobody stops it: an interrupted import leaves halves of packages behind.
        _prepare(client)
    if count >= len(client):
        return owner, client.executor()
    return owner, client.executor(client.ids[:count])


def _prepare(client: Client) -> None:
    """Have the engines know the backend; again where one of them is lost meanwhile."""
    for left in reversed(range(TRIALS)):
        try:
            client.on_engine_start(know_backends, sorted(_names), name="joblib:import")
        except EngineError:
            if not left:
                raise
        else:
            break
    _prepared.add(client)


def _initialize(client: Client, initializer: Callable[..., Any], given: tuple[Any, ...]) -> None:
    """Have each engine call something first, also those to come; once, as long as it is the same."""
    now, before = (initializer, *given), _initialized.get(client, ())
    if len(now) == len(before) and all(a is b for a, b in zip(now, before, strict=True)):
        return
    client.on_engine_start(initializer, *given, name="joblib:initializer")
    _initialized[client] = now


def _own_executor(count: int) -> Executor:
    global _own
    if _own is None or _own.view.client.closed or _own._max_workers < count:
        _own = Executor(count)  # a smaller one ends with the last that uses it
    return _own


def _forget_own() -> None:
    """Leave the cluster to the process that this one is a copy of."""
    global _own, _lock
    _own, _lock = None, threading.Lock()


in_forks(_forget_own)


def _are_here(client: Client) -> bool:
    here = platform.node()
    return all(engine.get("host") == here for engine in client.roster.known().values())


def register(name: str, make_default: bool) -> None:
    """Make the backend known to joblib."""
    _names.add(name)
    _prepared.clear()  # the next call tells engines
    register_parallel_backend(name, CtrlHubBackend, make_default=make_default)
