"""What a client knows of its requests, as collections: made or looked up as one asks, kept nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from ctrlhub.client.metadata import Metadata, metadata_of_record
from ctrlhub.wire.errors import CtrlHubError, ResultLost
from ctrlhub.wire.ids import number_of, text_of

if TYPE_CHECKING:
    from ctrlhub.client.records import Records

class RequestIds(Sequence[str]):
    """The ids of a client's requests, first first; made when they are looked at.

    Parameters
    ----------
    numbers
        The ids, as numbers.
    """

    __slots__ = ("_numbers",)

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [text_of(number) for number in self._numbers[index]]
        return text_of(self._numbers[index])

    def __contains__(self, value: object) -> bool:
        try:
            return isinstance(value, str) and number_of(value) in self._numbers
        except ValueError:
            return False

    def __eq__(self, other: object) -> bool:
        if isinstance(other, RequestIds):
            return self._numbers == other._numbers
        return isinstance(other, list) and list(self) == other

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = [*self[:3], "...", *self[-3:]] if len(self) > 8 else list(self)
        return f"[{', '.join(shown)}]"


class Results(Mapping[str, Any]):
    """Results by the ids of requests: looked up at the hub, kept nowhere."""

    def __init__(self, client: Records) -> None:
        self._client = client

    def __getitem__(self, name: str) -> Any:
        client = self._client
        if name not in client.history or name in client.outstanding:
            raise KeyError(name)
        [value] = client.get_result([name]).get(return_exceptions=True)
        if isinstance(value, ResultLost):
            raise KeyError(str(value))
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._client.history and name not in self._client.outstanding

    def __iter__(self) -> Iterator[str]:
        out = self._client.outstanding
        return (name for name in self._client.history if name not in out)

    def __len__(self) -> int:
        return len(self._client.history) - len(self._client.outstanding)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} requests>"


class AllMetadata(Mapping[str, Metadata]):
    """What is known of requests, by their ids: looked up at the hub, kept nowhere."""

    def __init__(self, client: Records) -> None:
        self._client = client

    def __getitem__(self, name: str) -> Metadata:
        if name not in self._client.history:
            raise KeyError(name)
        try:
            [record] = self._client._records([number_of(name)])
        except (CtrlHubError, ValueError) as error:
            raise KeyError(f"the hub does not know {name} (any more): {error}") from error
        return metadata_of_record(record)

    def __iter__(self) -> Iterator[str]:
        return iter(self._client.history)

    def __len__(self) -> int:
        return len(self._client.history)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} requests>"
