"""How tests are shared out among workers: together what has a cluster in common, the longest first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.shares import LONGEST, TOGETHER, by_duration, longest_first, share_of

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Named:
    """All that is looked at of a test."""

    nodeid: str


@pytest.mark.parametrize(
    ("nodeid", "share"),
    [
        ("tests/unit/test_shares.py::test_a[x]", "tests/unit/test_shares.py"),
        ("tests/contract/test_map.py::test_a[http]", "tests/contract[http]"),
        ("tests/contract/test_views.py::test_a[http-[x]-0]", "tests/contract[http]"),
        ("tests/contract/test_views.py::test_a[tcp-http]", "tests/contract[tcp]"),
        ("tests/contract/test_launchers.py::test_a[ssh]", "tests/contract/test_launchers.py[ssh]"),
        ("tests/contract/test_launchers.py::test_a", "tests/contract/test_launchers.py"),
        ("tests/contract/test_stores.py::test_a[sqlite]", "tests/contract/test_stores.py"),
        ("tests/contract/test_errors.py::test_a", "tests/contract/test_errors.py"),
        ("tests/integration/security/test_doors.py::test_a[http]", "tests/integration/security"),
    ],
)
def test_shares(nodeid: str, share: str) -> None:
    """A module, a package that shares a cluster, or a transport or launcher of the contract suite."""
    assert share_of(nodeid) == share


def test_the_longest_goes_first() -> None:
    """Then what has most tests; tests of one share stay together, in their order."""
    few = [f"tests/unit/test_few.py::test_{n}" for n in "ba"]
    many = [f"tests/unit/test_many.py::test_{n}" for n in "cab"]
    modules = [f"{share}::test_x" for share in LONGEST if share.endswith(".py")]
    items = [Named(nodeid) for nodeid in (*few, *many, *reversed(modules))]
    assert [each.nodeid for each in longest_first(items)] == [*modules, *many, *few]


def test_how_long_they_took() -> None:
    """Of all modules of a package, and with what comes before and after a test."""
    doors, roles = (f"tests/integration/security/test_{name}.py::test_a" for name in ("doors", "roles"))
    took = [(doors, 2.0), ("tests/unit/test_a.py::test_a", 2.5), (roles, 1.0), (roles, 0.5)]
    reports = [pytest.TestReport(nodeid, ("", 0, ""), {}, "passed", None, "call", duration=each) for nodeid, each in took]
    assert by_duration(reports) == [(3.5, "tests/integration/security"), (2.5, "tests/unit/test_a.py")]


def test_all_that_is_named_is_there() -> None:
    """A module or package that has another name now would be shared out as if it were short."""
    for share in (*LONGEST, *TOGETHER):
        assert (ROOT / share.partition("[")[0]).exists(), share
    assert len(set(LONGEST)) == len(LONGEST)
