"""Dependencies of tasks on other requests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.rows import is_ok
from ctrlhub.wire.ids import text_of

Requests = AsyncResult | str | Iterable[AsyncResult | str]
"""A result, the id of a request, or several of these."""


class Dependency(set[str]):
    """Requests that must have ended, by their ids.

    Parameters
    ----------
    dependencies
        Results, or ids of requests.
    all
        Whether all of them must have ended, or any one.
    success
        Whether one that ended well counts.
    failure
        Whether one that failed counts.

    Attributes
    ----------
    places : dict
        The engines, by id of the request, of what has ended well as this was made, as far as results
        were given: the hub may have forgotten them, or be another one.

    Raises
    ------
    ValueError
        Neither success nor failure counts.
    """

    def __init__(
        self,
        dependencies: Requests = (),
        all: bool = True,
        success: bool = True,
        failure: bool = False,
    ) -> None:
        if not (success or failure):
            raise ValueError("a dependency is met by success, by failure, or by both")
        if not isinstance(dependencies, str | AsyncResult) and isinstance(dependencies, Iterable):
            dependencies = list(dependencies)  # it may be an iterator
        super().__init__(_ids(dependencies))
        self.places = _places(dependencies)
        self.all = all
        self.success = success
        self.failure = failure

    def check(self, completed: Iterable[str], failed: Iterable[str] = ()) -> bool:
        """Say whether it is met.

        Parameters
        ----------
        completed, failed
            The ids of requests that ended well, and of those that failed.
        """
        met = self._which(self.success, self.failure, completed, failed)
        return not self or (self <= met if self.all else not self.isdisjoint(met))

    def unreachable(self, completed: Iterable[str], failed: Iterable[str] = ()) -> bool:
        """Say whether it can never be met any more; the parameters are those of `check`."""
        missed = self._which(not self.success, not self.failure, completed, failed)
        return bool(self) and (not self.isdisjoint(missed) if self.all else self <= missed)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "all": self.all,
            "success": self.success,
            "failure": self.failure,
            "dependencies": sorted(self),
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (sorted(self), self.all, self.success, self.failure)

    def __repr__(self) -> str:
        return f"Dependency({', '.join(f'{k}={v!r}' for k, v in self.as_dict().items())})"

    @staticmethod
    def _which(
        success: bool, failure: bool, completed: Iterable[str], failed: Iterable[str]
    ) -> set[str]:
        return {*(completed if success else ()), *(failed if failure else ())}


def _ids(requests: Requests) -> set[str]:
    if isinstance(requests, str | AsyncResult):
        requests = [requests]
    if not isinstance(requests, Iterable):
        raise _no_request(requests)
    found: set[str] = set()
    for request in requests:
        if isinstance(request, AsyncResult):
            found.update(request.msg_ids)
        elif isinstance(request, str):
            found.add(request)
        else:
            raise _no_request(request)
    return found


def _places(requests: Requests) -> dict[str, int]:
    results = [requests] if isinstance(requests, str | AsyncResult) else requests
    return {
        text_of(number): row[3]
        for result in results
        if isinstance(result, AsyncResult)
        for number, row in zip(result._numbers(), result._rows(), strict=True)
        if row is not None and is_ok(row)
    }


def _no_request(value: object) -> TypeError:
    return TypeError(
        f"a dependency is a result or the id of a request, or several, not {type(value).__name__}"
    )
