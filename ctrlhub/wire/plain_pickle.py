"""Reading pickles of plain data, whoever has made them: nothing is imported, called or believed.

`pickle.Unpickler` with a `find_class` of one's own is no such reader. It takes a number of a memo as the size
of a table, a length as something to set room aside for, and hashes whatever is made a key: forty bytes can take
gigabytes, and a few more its time or its stack. This one knows the words that Python writes plain data with, in
protocols 2 to 5, and refuses all others. What it makes is bounded by what has come, in steps:

- a step is a word of the pickle, or `STEP_BYTES` of what is copied or compared; there are `MOST_STEPS`;
- keys, and elements of sets, are texts, bytes, numbers of 64 bits, or short tuples of these: to hash or to
  compare others takes as long, or goes as deep, as their maker likes;
- what is said to come is looked for before room is made for it.

How deep values are nested has no bound here, since nothing here goes into them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ctrlhub.wire.errors import SerializationError
from ctrlhub.wire.messages import Buffer
from ctrlhub.wire.unread import Unread

MOST_STEPS = 2_000_000
STEP_BYTES = 64
MOST_TEXT = 16 * 1024 * 1024
"""No text is longer (bytes)."""

MOST_IN_A_KEY = 16
"""So many parts a tuple may have that is a key."""

SET_STEPS = 4
"""An empty set takes as much room as four of anything else."""

Makers: TypeAlias = Mapping[tuple[str, str], Callable[..., Any]]

_LEAST, _BEYOND = -(2**63), 2**64
_ATOMS = frozenset((str, bytes, int, float, bool, type(None)))
_FLOAT = struct.Struct(">d")


class OfAClass(SerializationError, code="of_a_class"):
    """A value is no plain data, and is not to be opened here.

    Its message names the class.
    """


class TooLarge(SerializationError, code="value_too_large"):
    """A value has too much in it to be opened here."""


class _Spoilt(Exception):
    """These bytes are no pickle of plain data."""


class _Maker:
    """What stands in a pickle for a class that is known."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make


def read_plain(data: Buffer, buffers: Sequence[Buffer] = (), makers: Makers | None = None) -> Any:
    """Return what was pickled.

    Parameters
    ----------
    data
        The pickle.
    buffers
        What travels beside it.
    makers
        What is called for the classes that may be in it, by module and name; they look at what they get.

    Raises
    ------
    OfAClass
        It holds something of another class.
    TooLarge
        It has too many parts, or too long ones.
    SerializationError
        It cannot be read.
    """
    try:
        return _Reader(data, buffers, makers or {}).read()
    except SerializationError:
        raise
    except _Spoilt as error:
        raise SerializationError(f"the value cannot be read: {error}") from None
    except (LookupError, ValueError, TypeError, struct.error) as error:  # a word where it has no sense
        raise SerializationError(f"the value cannot be read: {type(error).__name__}: {error}") from None


class _Reader:
    """Reads one pickle."""

    def __init__(self, data: Buffer, buffers: Sequence[Buffer], makers: Makers) -> None:
        self._data = memoryview(data).cast("B")
        self._at = 0
        self._buffers = iter(buffers)
        self._makers = makers
        self._steps = MOST_STEPS
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def read(self) -> Any:
        data, words = self._data, _WORDS
        while True:
            word = data[self._at]
            self._at += 1
            self._steps -= 1
            if self._steps < 0:
                self._spend(0)
            if word == _STOP:
                if len(self._stack) != 1 or self._marked:
                    raise _Spoilt("it ends in the middle")
                return self._stack[0]
            act = words.get(word)
            if act is None:
                raise _Spoilt(f"plain data have no word {word:#04x}")
            act(self)

    # ------------------------------------------------------------ bytes

    def _spend(self, steps: int) -> None:
        self._steps -= steps
        if self._steps < 0:
            raise TooLarge(
                f"the value has more than about {MOST_STEPS} parts: run the function by name, which has the "
                "engine make JSON of it, or return bytes"
            )

    def _take(self, size: int) -> memoryview:
        end = self._at + size
        if end > len(self._data):
            raise _Spoilt("it is cut off")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def _number(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self._take(size), "little", signed=signed)

    def _line(self) -> str:
        rest = bytes(self._data[self._at : self._at + 1024])
        line, end, _ = rest.partition(b"\n")
        if not end:
            raise _Spoilt("it is cut off")
        self._at += len(line) + 1
        return line.decode()

    def _text(self, size: int) -> None:
        if size > MOST_TEXT:
            raise TooLarge(f"the value has a text of {size} bytes in it, of {MOST_TEXT} that are read: return bytes")
        self._stack.append(str(self._take(size), "utf-8", "surrogatepass"))

    def _long(self, size: int) -> None:
        self._stack.append(int.from_bytes(self._take(size), "little", signed=True))

    # ------------------------------------------------------------ words

    def _protocol(self) -> None:
        version = self._number(1)
        if not 2 <= version <= 5:
            raise _Spoilt(f"it is of protocol {version}")

    def _float(self) -> None:
        self._stack.append(_FLOAT.unpack(self._take(8))[0])

    def _next_buffer(self) -> None:
        found = next(self._buffers, None)
        if found is None:
            raise _Spoilt("what travels beside it is missing")
        self._stack.append(found if isinstance(found, Unread) else memoryview(found))

    def _read_only(self) -> None:
        if not isinstance(self._stack[-1], Unread):
            self._stack.append(memoryview(self._stack.pop()).toreadonly())

    def _memoize(self) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _put(self, size: int) -> None:
        self._memo[self._number(size)] = self._stack[-1]

    def _get(self, size: int) -> None:
        self._stack.append(self._memo[self._number(size)])

    def _mark(self) -> None:
        self._marked.append(self._stack)
        self._stack = []

    def _to_mark(self) -> list[Any]:
        found = self._stack
        self._stack = self._marked.pop()
        return found

    def _tuple(self, size: int) -> None:
        if len(self._stack) < size:
            raise _Spoilt("a tuple lacks a part")
        self._stack[-size:] = [tuple(self._stack[-size:])]

    def _marked_tuple(self) -> None:
        parts = tuple(self._to_mark())
        self._stack.append(parts)

    def _extend(self, items: Sequence[Any]) -> None:
        self._top(list).extend(items)

    def _append(self) -> None:
        item = self._stack.pop()
        self._extend((item,))

    def _set_items(self, items: Sequence[Any]) -> None:
        if len(items) % 2:
            raise _Spoilt("a key lacks its value")
        known = self._top(dict)
        for place in range(0, len(items), 2):
            known[self._key(items[place])] = items[place + 1]

    def _set_item(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set_items((key, value))

    def _empty_set(self) -> None:
        self._spend(SET_STEPS)
        self._stack.append(set())

    def _add_items(self) -> None:
        items = self._to_mark()
        self._top(set).update(map(self._key, items))

    def _frozen_set(self) -> None:
        self._spend(SET_STEPS)
        items = self._to_mark()
        self._stack.append(frozenset(map(self._key, items)))

    def _top(self, kind: type) -> Any:
        found = self._stack[-1]
        if type(found) is not kind:
            raise _Spoilt(f"a {type(found).__name__} stands where a {kind.__name__} is filled")
        return found

    def _key(self, key: Any) -> Any:
        """Return a key, if to hash it and to compare it takes little."""
        if type(key) is tuple:
            if len(key) > MOST_IN_A_KEY:
                raise TooLarge(f"the value has a key of more than {MOST_IN_A_KEY} parts")
            for part in key:
                self._atom(part)
        else:
            self._atom(key)
        return key

    def _atom(self, key: Any) -> None:
        kind = type(key)
        if kind is str or kind is bytes:
            self._spend(len(key) // STEP_BYTES)
        elif kind is int:
            if not _LEAST <= key < _BEYOND:
                raise TooLarge("the value has a key that is a number of more than 64 bits")
        elif kind not in _ATOMS:
            raise SerializationError(f"the value has a {kind.__name__} as a key, or in a set: no JSON has that")

    # ------------------------------------------------------------ classes

    def _global(self) -> None:
        module = self._line()
        self._name(module, self._line())

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(name) is not str or type(module) is not str:
            raise _Spoilt("a class has no name")
        self._name(module, name)

    def _name(self, module: str, name: str) -> None:
        make = self._makers.get((module, name))
        if make is None:
            raise OfAClass(
                f"the value holds a {module[:200]}.{name[:200]}, which only a Python client can open: have the "
                "function return what JSON can say"
            )
        self._stack.append(_Maker(make))

    def _reduce(self) -> None:
        args, maker = self._stack.pop(), self._stack.pop()
        if type(maker) is not _Maker or type(args) is not tuple:
            raise _Spoilt("something is called that is no class")
        # Who makes something may copy it.
        self._spend(sum(len(each) // STEP_BYTES for each in args if type(each) in (bytes, bytearray, str)))
        self._stack.append(maker.make(*args))

    def _outside(self) -> None:
        raise OfAClass("the value names something outside of it, which only a Python client can open")


_STOP = ord(".")

_WORDS: Mapping[int, Callable[[_Reader], object]] = {
    0x80: _Reader._protocol,
    0x95: lambda reader: reader._take(8),  # how long a part of it is: it is all here
    ord("N"): lambda reader: reader._stack.append(None),
    0x88: lambda reader: reader._stack.append(True),
    0x89: lambda reader: reader._stack.append(False),
    ord("J"): lambda reader: reader._stack.append(reader._number(4, signed=True)),
    ord("K"): lambda reader: reader._stack.append(reader._number(1)),
    ord("M"): lambda reader: reader._stack.append(reader._number(2)),
    0x8A: lambda reader: reader._long(reader._number(1)),
    0x8B: lambda reader: reader._long(reader._number(4)),
    ord("G"): _Reader._float,
    0x8C: lambda reader: reader._text(reader._number(1)),
    ord("X"): lambda reader: reader._text(reader._number(4)),
    0x8D: lambda reader: reader._text(reader._number(8)),
    ord("C"): lambda reader: reader._stack.append(bytes(reader._take(reader._number(1)))),
    ord("B"): lambda reader: reader._stack.append(bytes(reader._take(reader._number(4)))),
    0x8E: lambda reader: reader._stack.append(bytes(reader._take(reader._number(8)))),
    0x96: lambda reader: reader._stack.append(bytearray(reader._take(reader._number(8)))),
    0x97: _Reader._next_buffer,
    0x98: _Reader._read_only,
    0x94: _Reader._memoize,
    ord("q"): lambda reader: reader._put(1),
    ord("r"): lambda reader: reader._put(4),
    ord("h"): lambda reader: reader._get(1),
    ord("j"): lambda reader: reader._get(4),
    ord("("): _Reader._mark,
    ord(")"): lambda reader: reader._stack.append(()),
    0x85: lambda reader: reader._tuple(1),
    0x86: lambda reader: reader._tuple(2),
    0x87: lambda reader: reader._tuple(3),
    ord("t"): _Reader._marked_tuple,
    ord("]"): lambda reader: reader._stack.append([]),
    ord("a"): _Reader._append,
    ord("e"): lambda reader: reader._extend(reader._to_mark()),
    ord("}"): lambda reader: reader._stack.append({}),
    ord("s"): _Reader._set_item,
    ord("u"): lambda reader: reader._set_items(reader._to_mark()),
    0x8F: _Reader._empty_set,
    0x90: _Reader._add_items,
    0x91: _Reader._frozen_set,
    ord("c"): _Reader._global,
    0x93: _Reader._stack_global,
    ord("R"): _Reader._reduce,
    ord("P"): _Reader._outside,
    ord("Q"): _Reader._outside,
}
"""What is done for each word."""
