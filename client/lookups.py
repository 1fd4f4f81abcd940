"""What a client knows of its requests, as collections: made or looked up as one asks, kept nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from ctrlhub.client.metadata import UNFINISHED, Metadata, metadata_of_record
from ctrlhub.wire.errors import ResultLost
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
    """Results by the ids of requests: those that have ended, as far as the hub remembers them.

    Each is looked up at the hub as one asks; a value that was too large to be kept there is none of
    them.
    """

    def __init__(self, client: Records) -> None:
        self._client = client

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(
                f"there is no result of {name}: it has not ended, or is not this client's, or the hub "
                "has forgotten it"
            )
        [value] = self._client.get_result([name]).get(return_exceptions=True)
        if isinstance(value, ResultLost):
            raise KeyError(str(value))
        return value

    def __contains__(self, name: object) -> bool:
        return any(map(_has_result, self._client._own_records([name])))

    def __iter__(self) -> Iterator[str]:
        return iter([each["msg_id"] for each in self._client._own_records() if _has_result(each)])

    def __len__(self) -> int:
        return sum(map(_has_result, self._client._own_records()))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} requests>"


def _has_result(record: Mapping[str, Any]) -> bool:
    return record["status"] not in UNFINISHED and record["result_bytes"] is not None


class AllMetadata(Mapping[str, Metadata]):
    """What is known of requests, by their ids: looked up at the hub, kept nowhere."""

    def __init__(self, client: Records) -> None:
        self._client = client

    def __getitem__(self, name: str) -> Metadata:
        for record in self._client._own_records([name]):
            return metadata_of_record(record)
        known = self._client._metadata_outstanding(name)
        if known is None:
            raise KeyError(
                f"nothing is known of {name}: it is not this client's, or the hub has forgotten it"
            )
        return known

    def __contains__(self, name: object) -> bool:
        return bool(self._client._own_records([name])) or name in self._client.outstanding

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> list[str]:
        known = {record["msg_id"] for record in self._client._own_records()}
        return sorted(known | self._client.outstanding, key=number_of)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} requests>"
