"""joblib's own tests of its backends, on ours."""

from __future__ import annotations

import gc
import re
import types
from collections.abc import Iterator
from functools import update_wrapper
from multiprocessing import resource_tracker as _resource_tracker
from pathlib import Path
from typing import Any

import joblib
import pytest
from joblib.externals.loky import reusable_executor
from joblib.externals.loky.backend import resource_tracker
from joblib.test import test_parallel as suite

from ctrlhub import register_joblib_backend
from ctrlhub.cluster import joblib_backend
from tests.support.state import own_state

# The processes that see to files after a crash: of this program, and not of these engines.
resource_tracker.ensure_running()
_resource_tracker.ensure_running()

OURS = "ctrlhub"
PROCESSES = {"loky", "multiprocessing", joblib.parallel.DEFAULT_BACKEND}
"""What stands for a backend of processes among the parameters of a test."""

EXCLUDED = {
    "test_nested_parallel_warnings": "what loky and multiprocessing say where they cannot nest",
    "test_nested_parallelism_limit": "makes the name of the class from that of the backend",
    "test_error_capture": "looks at a pool that is private; and has a task raise KeyboardInterrupt, "
    "which is a RemoteError here, so that it is not taken for a Ctrl-C of the program's own",
}

OTHERWISE: dict[tuple[str, Any], Any] = {
    # Calls do not share what is stopped when one is forgotten: the next one is not an error.
    ("backend, error", (OURS, True)): (OURS, False),
}
"""Parameters, where loky has a weakness of which a test takes note."""

LEFT_OUT = {
    # Where no number is given, all engines are used, as with Dask's backend.
    "test_nested_backend_in_sequential": {"n_jobs": [2, -1]},
}

QUICK = re.compile(
    "simple_parallel|timeout_fail|error_in_task|nested_loop|memmap|separated_gc|initializer|abort"
)
"""Those that `make test` runs as well."""

REGISTER = "import ctrlhub; ctrlhub.register_joblib_backend()\n"


def run_script(command: list[str], **options: Any) -> None:
    """Run a script of the suite, which knows our backend."""
    if command[1] == "-c":
        command = [*command[:2], REGISTER + command[2], *command[3:]]
    else:
        script = Path(command[1])
        script.write_text(REGISTER + script.read_text())
    _check_subprocess_call(command, **{**options, "timeout": 100})


_check_subprocess_call, suite.check_subprocess_call = suite.check_subprocess_call, run_script


@pytest.fixture(scope="module", autouse=True)
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The backend, with a cluster of its own."""
    with own_state(tmp_path_factory.mktemp("state")):
        register_joblib_backend(OURS)
        try:
            yield
        finally:
            if joblib_backend._own is not None:
                joblib_backend._own.shutdown()
                joblib_backend._own = None
            joblib_backend._initialized.clear()
            del joblib.parallel.BACKENDS[OURS]
            if reusable_executor._executor is not None:  # of nested calls
                reusable_executor._executor.shutdown(wait=True, kill_workers=True)
            gc.collect()  # managers of multiprocessing, which tests have left to it


def ours(value: Any) -> Any:
    """Return a parameter of a test, with ours for backends of processes."""
    if isinstance(value, str):
        return OURS if value in PROCESSES else value
    if isinstance(value, tuple | list):
        return type(value)(ours(each) for each in value)
    return value


def names_backend(mark: Any) -> bool:
    """Say whether a mark has backends for parameters."""
    return mark.name == "parametrize" and any(
        name.strip().endswith("backend") for name in mark.args[0].split(",")
    )


def adapted(test: str, mark: Any) -> Any:
    """Return the parameters of a test, those that have our backend."""
    if mark.name == "parametrize" and mark.args[0] in LEFT_OUT.get(test, ()):
        return pytest.mark.parametrize(mark.args[0], LEFT_OUT[test][mark.args[0]]).mark
    if not names_backend(mark):
        return mark
    names, values, *rest = mark.args
    wanted = [OTHERWISE.get((names, ours(value)), ours(value)) for value in values]
    chosen: dict[str, Any] = {repr(value): value for value in wanted}
    mine = [value for value in chosen.values() if OURS in repr(value)]
    return pytest.mark.parametrize(names, mine, *rest, **mark.kwargs).mark


def collect() -> Iterator[tuple[str, Any]]:
    """Yield the tests that are about a backend of processes."""
    for name, test in vars(suite).items():
        marks = getattr(test, "pytestmark", ())
        if not name.startswith("test_") or name in EXCLUDED:
            continue
        if not any(names_backend(mark) for mark in marks):
            continue
        copy = update_wrapper(
            types.FunctionType(test.__code__, vars(suite), name, test.__defaults__, test.__closure__),
            test,
        )
        ours_are = pytest.mark.filterwarnings("default").mark
        longer = () if QUICK.search(name) else (pytest.mark.conformance.mark,)
        copy.pytestmark = [ours_are, *longer, *(adapted(name, mark) for mark in marks)]  # type: ignore[attr-defined]
        del copy.__wrapped__  # type: ignore[attr-defined]
        yield name, copy


globals().update(collect())
