"""CPython's own tests of `concurrent.futures`, with `Executor` for `ProcessPoolExecutor`."""

from __future__ import annotations

import os
import tempfile
import unittest
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ctrlhub import Executor, RemoteError, SerializationError
from tests.conformance.cpython_suite import PACKAGE, load
from tests.support.state import own_state

_scratch = tempfile.TemporaryDirectory(prefix="ctrlhub-cpython-")
_suite: list[ModuleType] = load(Path(_scratch.name))


def test_the_suite_is_there(require_system_part: Callable[[str, bool], None]) -> None:
    """It is of the system's Python, and not of this repository."""
    require_system_part(PACKAGE, bool(_suite))


@pytest.fixture(scope="module", autouse=True)
def surroundings() -> Iterator[None]:
    """Processes of these tests find them, and what they leave behind is found."""
    directory = Path(_scratch.name)
    with pytest.MonkeyPatch.context() as patch, own_state(directory / "state"):
        patch.setenv("PYTHONPATH", str(directory), prepend=os.pathsep)
        patch.syspath_prepend(directory)  # engines look for modules where this process does
        yield
    _scratch.cleanup()


def find(name: str) -> Any:
    """Return something of the suite."""
    return next(vars(module)[name] for module in _suite if name in vars(module))


PRIVATE = "looks at attributes that are private to ProcessPoolExecutor (processes, threads, queues)"
INHERITED = "hands over a lock, a queue or a key of multiprocessing, which only its children can have"
PRINTS = (
    "waits for what a task prints: that is kept with its result, `future.stdout`, and not written to "
    "this program's output (tests/integration/test_executor.py: the exit of the interpreter waits)"
)

EXCLUDED = {
    "test_processes_terminate": INHERITED,
    "test_saturation": INHERITED,
    "test_ressources_gced_in_workers": INHERITED,
    "test_context_manager_shutdown": PRIVATE,
    "test_del_shutdown": PRIVATE,
    "test_shutdown_no_wait": PRIVATE,
    "test_killed_child": PRIVATE,
    "test_idle_process_reuse_one": PRIVATE,
    "test_idle_process_reuse_multiple": PRIVATE,
    "test_max_tasks_per_child": PRIVATE,
    "test_max_tasks_per_child_defaults_to_spawn_context": PRIVATE,
    "test_shutdown_deadlock_pickle": PRIVATE,
    "test_hang_gh83386": PRINTS,
    "test_interpreter_shutdown": PRINTS,
    "test_traceback": "the remote traceback is the error's own, and not that of its private cause; and "
    "the error's class is one derived from what was raised",
    "test_free_reference_yielded_future": "has no executor: it is about plain futures",
    "test_correct_timeout_exception_msg": "has no executor: it is about plain futures",
}

OTHERWISE: dict[str, type[BaseException]] = {
    # The pool does not break: the one future has the reason.
    "test_exit_at_task_unpickle": SerializationError,
    "test_error_at_task_unpickle": SerializationError,
    "test_error_during_result_unpickle_in_result_handler": SerializationError,
    "test_exit_during_result_unpickle_in_result_handler": SerializationError,
    # Says what could not be pickled, and what to do; pickle's own error is its cause.
    "test_error_at_task_pickle": SerializationError,
    "test_error_during_result_pickle_on_worker": SerializationError,
    # A SystemExit raised here would end the program that asks for the result.
    "test_exit_during_func_exec_on_worker": RemoteError,
    "test_exit_during_result_pickle_on_worker": RemoteError,
}
"""The errors of tests that expect others of CPython's pool, and why."""


def suite_of(mixin: str, **more: Any) -> type[unittest.TestCase]:
    """Return the tests of a class of the suite."""
    base, common, executor = find(mixin), find("BaseTestCase"), find("ExecutorMixin")
    left_out = {name: None for name in EXCLUDED if hasattr(base, name)}
    own = {"executor_type": Executor, "ctx": "spawn", "__doc__": base.__doc__, **left_out, **more}
    bases = (base, common) if issubclass(base, executor) else (base, executor, common)
    return type(mixin, bases, own)


def _check_crash(self: Any, error: type[BaseException], *given: Any, **options: Any) -> None:
    expected = OTHERWISE.get(self._testMethodName, error)
    find("ExecutorDeadlockTest")._check_crash(self, expected, *given, **options)


def run_python(*arguments: str, **variables: str) -> Any:
    """Run a script of the suite, which takes our executor from here."""
    import_line = "from concurrent.futures import Executor"
    script = [a.replace(import_line, "import multiprocessing; from ctrlhub import Executor") for a in arguments]
    return _assert_python_ok(*script, PYTHONPATH=os.environ["PYTHONPATH"], **variables)


if _suite:
    from test.support.script_helper import assert_python_ok as _assert_python_ok

    for _module in _suite:
        for _name, _ours in (("assert_python_ok", run_python), ("BrokenProcessPool", BrokenExecutor)):
            if hasattr(_module, _name):
                setattr(_module, _name, _ours)
    TestExecutor = suite_of("ProcessPoolExecutorTest")
    TestShutdown = suite_of("ProcessPoolShutdownTest")
    # FailingInitializerMixin: see INHERITED; test_executor.py has two of our own.
    TestInitializer = suite_of("InitializerMixin")
    TestAsCompleted = pytest.mark.conformance(suite_of("AsCompletedTests"))
    TestWait = pytest.mark.conformance(suite_of("WaitTests"))
    TestDeadlock = pytest.mark.conformance(
        suite_of("ExecutorDeadlockTest", _check_crash=_check_crash)
    )
