"""Dependencies on other requests."""

from __future__ import annotations

import pickle

import pytest

from ctrlhub import AsyncResult, Dependency
from tests.unit.client.support import ABOUT, Home

A, B, C = "1-1", "1-2", "1-3"


def test_what_it_takes() -> None:
    """Results, ids, several of them; nothing else."""
    result = AsyncResult(Home(), 1 << 40 | 1, b"", ABOUT)
    assert Dependency(result) == Dependency(A) == Dependency([A]) == Dependency([result, A]) == {A}
    assert Dependency([result, B]) == {A, B}
    with pytest.raises(TypeError, match="the id of a request, or several, not int"):
        Dependency([1])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="a result or the id of a request, or several, not int"):
        Dependency(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="by success, by failure"):
        Dependency(A, success=False)


@pytest.mark.parametrize(
    ("options", "met", "unreachable"),
    [
        ({}, [({A, B}, set())], [({A}, {B}), (set(), {A})]),
        ({"all": False}, [({A}, {B}), ({B}, set())], [(set(), {A, B})]),
        ({"failure": True}, [({A}, {B}), ({A, B}, set())], []),
        ({"success": False, "failure": True}, [(set(), {A, B})], [({A}, set())]),
        ({"success": False, "failure": True, "all": False}, [({A}, {B})], [({A, B}, {C})]),
    ],
)
def test_when_it_is_met(
    options: dict[str, bool],
    met: list[tuple[set[str], set[str]]],
    unreachable: list[tuple[set[str], set[str]]],
) -> None:
    """By those that count, and never both met and unreachable."""
    dependency = Dependency([A, B], **options)  # type: ignore[arg-type]
    assert not dependency.check(set())
    assert not dependency.unreachable(set())
    for ended in met:
        assert dependency.check(*ended)
        assert not dependency.unreachable(*ended)
    for ended in unreachable:
        assert dependency.unreachable(*ended)
        assert not dependency.check(*ended)


def test_no_dependency_is_met() -> None:
    """Whatever else there is."""
    assert Dependency().check(set())
    assert not Dependency().unreachable({A}, {B})


def test_it_is_plain_data() -> None:
    """It is shown, told and pickled with all that it says."""
    dependency = Dependency([B, A], all=False, failure=True)
    assert dependency.as_dict() == {
        "all": False,
        "success": True,
        "failure": True,
        "dependencies": [A, B],
    }
    again = pickle.loads(pickle.dumps(dependency))
    assert (again, again.as_dict()) == (dependency, dependency.as_dict())
    assert repr(again) == (
        "Dependency(all=False, success=True, failure=True, dependencies=['1-1', '1-2'])"
    )
