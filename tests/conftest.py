"""What every test shares."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from ctrlhub.cluster.config.settings import SECTIONS
from tests.support.postgres import PostgresServer, can_have_postgres

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import Scheduling

# A busy machine is not a failure: hypothesis looks at behaviour, pytest-timeout at hangs.
# Whoever changes something gets an answer that depends on the change alone; who wants to find what
# nobody has thought of sets CTRLHUB_EXPLORE.
EXPLORE = bool(os.environ.get("CTRLHUB_EXPLORE"))
settings.register_profile("ctrl-hub", deadline=None, derandomize=not EXPLORE)
settings.load_profile("ctrl-hub")

# What the user who runs the tests has configured for clusters of their own is not for tests.
os.environ["CTRLHUB_CONFIG"] = os.path.join(os.path.dirname(__file__), "no-configuration.toml")

os.environ.pop("CTRLHUB_PROFILE", None)
for _name in [name for name in os.environ if name.startswith(tuple(f"CTRLHUB_{s.upper()}_" for s in SECTIONS))]:
    del os.environ[_name]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Share tests out by what they have in common (``--dist loadfile`` alone)."""
    if config.getvalue("dist") != "loadfile":
        return None
    from tests.support.shares import Shares

    return Shares(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put what takes longest first, where there are several workers."""
    if hasattr(config, "workerinput"):
        from tests.support.shares import longest_first

        items[:] = longest_first(items)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from what stays until the end: ten thousand tests, at each call of it."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """With ``--durations=20``, tell the longest shares too."""
    if most := config.option.durations:
        from tests.support.shares import by_duration

        reports = [each for found in terminalreporter.stats.values() for each in found if isinstance(each, pytest.TestReport)]
        terminalreporter.write_sep("=", "slowest shares")
        for seconds, share in by_duration(reports)[:most]:
            terminalreporter.write_line(f"{seconds:7.2f}s {share}")


REQUIRE_SYSTEM_PARTS = "CTRLHUB_REQUIRE_SYSTEM_PARTS"


def _require_system_part(name: str, available: bool) -> None:
    """Skip the test for want of a part of the system, or fail where all are required."""
    if available:
        return
    reason = f"needs {name}, which this machine lacks: make system-parts (Debian, root) installs it"
    if os.environ.get(REQUIRE_SYSTEM_PARTS) == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def require_system_part() -> Callable[[str, bool], None]:
    """``require_system_part(name, available)``: go on, skip, or fail under ``.ci/run``."""
    return _require_system_part


@pytest.fixture(scope="session")
def postgres_server(require_system_part: Callable[[str, bool], None]) -> Iterator[PostgresServer]:
    """A running PostgreSQL server of this test process's own."""
    yield from _running_postgres(require_system_part)


@pytest.fixture
def own_postgres_server(
    require_system_part: Callable[[str, bool], None],
) -> Iterator[PostgresServer]:
    """A running PostgreSQL server of this test's own, which may be killed."""
    yield from _running_postgres(require_system_part)


def _running_postgres(require: Callable[[str, bool], None]) -> Iterator[PostgresServer]:
    require("a PostgreSQL server (Debian: postgresql)", can_have_postgres())
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.close()
