"""Objects to payloads and back."""

from __future__ import annotations

import functools
import pickle
import sys
import threading
import types
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import cloudpickle
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ctrlhub.wire import serialize
from ctrlhub.wire.errors import RemoteError, SerializationError
from ctrlhub.wire.limits import INLINE_BYTES
from ctrlhub.wire.serialize import detached, dumps, dumps_call, dumps_inline, loads

LARGE = INLINE_BYTES // 8
"""So many float64 are the smallest buffer that leaves the pickle."""

atoms = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
nested = st.recursive(
    atoms | st.binary() | st.fractions(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.sets(st.integers())
    ),
)


class Raises:
    """Its method of pickling raises."""

    def __reduce__(self) -> Any:
        raise ValueError("will not")


class FailsToLoad:
    """Pickles well, and cannot be rebuilt."""

    def __setstate__(self, state: object) -> None:
        raise ValueError("will not")

    def __getstate__(self) -> int:
        return 1


@pytest.fixture
def in_main(
    monkeypatch: pytest.MonkeyPatch, script: Callable[[str], dict[str, Any]]
) -> Callable[[str], dict[str, Any]]:
    """Run source text as a user's script, whose names are the real ``__main__``'s too."""

    def run(source: str) -> dict[str, Any]:
        names = script(source)
        for name, value in names.items():
            if not name.startswith("__"):
                monkeypatch.setattr(sys.modules["__main__"], name, value, raising=False)
        return names

    return run


class TestRoundTrip:
    """What is sent arrives."""

    @given(nested)
    def test_nested_data(self, obj: object) -> None:
        """Any nesting of plain data."""
        assert loads(dumps(obj)) == obj
        assert loads(dumps_inline(obj)) == obj

    @given(st.lists(nested, max_size=3), st.dictionaries(st.text(), nested, max_size=2))
    def test_calls(self, args: list[object], kwargs: dict[str, object]) -> None:
        """Arguments arrive as the pair (args, kwargs)."""
        assert loads(dumps_call(tuple(args), kwargs)) == (tuple(args), kwargs)

    @given(npst.arrays(npst.scalar_dtypes(), npst.array_shapes(min_dims=0, min_side=0)))
    def test_small_arrays(self, array: np.ndarray[Any, Any]) -> None:
        """Arrays of every type and shape, writable."""
        again = loads(detached(dumps(array)))
        # NumPy itself gives dates of foreign byte order back in the machine's.
        assert again.dtype == pickle.loads(pickle.dumps(array, 5)).dtype
        np.testing.assert_array_equal(again, array)
        assert again.flags.writeable == array.flags.writeable

    @given(
        st.lists(st.integers(0, 3 * LARGE), max_size=4),
        st.sampled_from(["f8", "i4", "c16", "?"]),
    )
    def test_large_and_small_together(self, sizes: list[int], dtype: str) -> None:
        """Some buffers leave the pickle and some do not; all arrive where they belong."""
        arrays = [(np.arange(size) % 100 + i).astype(dtype) for i, size in enumerate(sizes)]
        for again, array in zip(loads(detached(dumps(arrays))), arrays, strict=True):
            np.testing.assert_array_equal(again, array)
            assert again.flags.writeable

    @pytest.mark.parametrize(
        "array",
        [
            np.asfortranarray(np.arange(4.0 * LARGE).reshape(4, -1)),
            np.arange(4.0 * LARGE)[::2],
            np.arange(4.0 * LARGE).reshape(4, -1).T,
            np.ma.masked_array(np.arange(2.0 * LARGE), np.arange(2 * LARGE) % 2),
            np.array([{"a": 1}, "b", None] * LARGE, dtype=object),
            np.zeros(2 * LARGE, dtype=[("a", "f8"), ("b", "i4")]),
        ],
        ids=["fortran", "strided", "transposed", "masked", "objects", "records"],
    )
    def test_arrays_of_other_kinds(self, array: Any, round_trip: Callable[[Any], Any]) -> None:
        """Whatever their memory looks like, they arrive equal and writable."""
        again = round_trip(array)
        np.testing.assert_array_equal(again, array)
        assert type(again) is type(array)
        assert again.flags.writeable

    @pytest.mark.parametrize("obj", [Fraction(1, 3), 1j, range(5), b"x" * 10**6, Ellipsis, int])
    def test_other_objects(self, obj: object, round_trip: Callable[[Any], Any]) -> None:
        """Objects that are pickled by their own methods."""
        assert round_trip(obj) == obj


class TestShape:
    """When buffers leave the pickle."""

    def test_small_data_is_one_piece(self) -> None:
        """Below the limit a payload is bytes, which travel inline in a batch."""
        assert type(dumps([np.arange(LARGE - 1)])) is bytes
        assert type(dumps(1)) is bytes
        assert type(dumps_call((1, "a"), {})) is bytes

    def test_large_buffers_are_apart(self) -> None:
        """From the limit on they are frames, uncopied and read-only."""
        array = np.arange(float(LARGE))
        head, *buffers = dumps([array, array, np.arange(3)])
        assert isinstance(head, bytes)
        assert len(head) < 1000
        assert [buffer.nbytes for buffer in buffers] == [array.nbytes]
        assert np.shares_memory(np.frombuffer(buffers[0]), array)
        assert buffers[0].readonly

    def test_arguments_too(self) -> None:
        """The arguments of a call are no different."""
        payload = dumps_call((), {"x": np.arange(float(LARGE))})
        assert isinstance(payload, tuple)
        assert len(payload) == 2

    def test_inline_means_inline(self) -> None:
        """What must be one piece is, and arrives writable all the same."""
        blob = dumps_inline(np.arange(10.0 * LARGE))
        assert type(blob) is bytes
        assert loads(blob).flags.writeable

    def test_detached_does_not_change(self) -> None:
        """A payload that is kept is not changed with the array."""
        array = np.zeros(LARGE)
        payload = detached(dumps(array))
        array[:] = 1
        assert loads(payload).sum() == 0
        assert detached(b"abc") == b"abc"


class TestWritable:
    """Arrays arrive writable, at the price of one copy at most."""

    def test_read_only_buffer_is_copied(self) -> None:
        """Two that load the same buffer do not see each other's changes."""
        payload = detached(dumps(np.zeros(LARGE)))
        first, second = loads(payload), loads(payload)
        first[:] = 1
        assert second.sum() == 0

    def test_writable_buffer_is_taken_as_it_is(self) -> None:
        """A buffer of one's own becomes the array's memory."""
        head, *buffers = dumps(np.zeros(LARGE))
        own = [bytearray(buffer) for buffer in buffers]
        array = loads([head, *own])
        array[0] = 1
        assert np.frombuffer(own[0])[0] == 1

    def test_senders_array_is_safe(self) -> None:
        """Even without a wire in between the receiver writes to a copy."""
        array = np.zeros(LARGE)
        loads(dumps(array))[:] = 1
        assert array.sum() == 0

    @pytest.mark.parametrize("size", [10, LARGE])
    def test_read_only_stays_read_only(self, size: int, round_trip: Callable[[Any], Any]) -> None:
        """An array that its owner made read-only arrives so, whatever its size."""
        array = np.zeros(size)
        array.flags.writeable = False
        assert not round_trip(array).flags.writeable


class TestByValue:
    """What the other side cannot import travels by value."""

    SOURCE = """
class Point:
    def __init__(self, x): self.x = x
    def double(self): return self.x * 2
def use(point): return point.double()
def make(): return Point(21)
"""

    def test_instance_of_a_class_in_main(
        self, in_main: Callable[[str], dict[str, Any]], elsewhere: Callable[..., Any]
    ) -> None:
        """Plain pickle would name ``__main__.Point``, which an engine does not have."""
        names = in_main(self.SOURCE)
        assert b"Point" in pickle.dumps(names["Point"](1)), "plain pickle succeeds, wrongly"
        assert elsewhere(lambda point: point.double(), names["Point"](21)) == 42

    def test_result_is_of_the_class_of_main(
        self, in_main: Callable[[str], dict[str, Any]], elsewhere: Callable[..., Any]
    ) -> None:
        """What comes back is an instance of the class the user has, not of a second one."""
        names = in_main(self.SOURCE)
        assert type(elsewhere(names["make"])) is names["Point"]

    @pytest.mark.parametrize("wrap", [list, tuple, lambda values: {"key": list(values)}])
    def test_deep_inside(
        self,
        in_main: Callable[[str], dict[str, Any]],
        elsewhere: Callable[..., Any],
        wrap: Callable[..., Any],
    ) -> None:
        """Also deep inside plain data."""
        names = in_main(self.SOURCE)
        received = elsewhere(lambda x: x, wrap([names["Point"](1)]))
        assert b"Point" in dumps_inline(received)

    def test_large_buffers_inside(
        self, in_main: Callable[[str], dict[str, Any]], elsewhere: Callable[..., Any]
    ) -> None:
        """Buffers leave the pickle on this way too, once each."""
        point = in_main(self.SOURCE)["Point"](np.ones(LARGE))
        assert len(dumps(point)) == 2
        assert elsewhere(lambda p: p.double().sum(), point) == 2 * LARGE

    def test_functions_as_arguments(self, elsewhere: Callable[..., Any]) -> None:
        """Lambdas, closures and local functions are data like any other."""
        offset = 40
        assert elsewhere(lambda f: f(2), lambda x: x + offset) == 42
        assert elsewhere(lambda f: f(2), functools.partial(lambda y, x: x + y, 40)) == 42

    def test_modules(self, elsewhere: Callable[..., Any]) -> None:
        """A module arrives as the module of that name."""
        assert elsewhere(lambda module: module.gcd(4, 6), __import__("math")) == 2

    def test_text_that_looks_like_main(self, round_trip: Callable[[Any], Any]) -> None:
        """The word in a text costs time, and does no harm."""
        assert round_trip(["__main__", {"__main__": 1}]) == ["__main__", {"__main__": 1}]

    def test_lru_cache(
        self, in_main: Callable[[str], dict[str, Any]], elsewhere: Callable[..., Any]
    ) -> None:
        """A cached function of the user's script works there, recursion and parameters included."""
        names = in_main(
            "import functools\n@functools.lru_cache(maxsize=7)\n"
            "def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)"
        )
        assert elsewhere(lambda f: f(90), names["fib"]) == 2880067194370816120
        assert elsewhere(lambda f: f.cache_parameters(), names["fib"])["maxsize"] == 7

    def test_registered_module(
        self, monkeypatch: pytest.MonkeyPatch, elsewhere: Callable[..., Any]
    ) -> None:
        """What is defined in a module registered with cloudpickle needs no import there."""
        module = types.ModuleType("mine_alone")
        exec("class Point:\n  def __init__(self, x): self.x = x", vars(module))
        vars(module)["f"] = types.FunctionType((lambda p: p.x).__code__, vars(module), "f")
        module.f.__module__ = "mine_alone"
        module.f.__qualname__ = "f"
        monkeypatch.setitem(sys.modules, "mine_alone", module)
        with pytest.raises(ModuleNotFoundError, match="mine_alone"):
            elsewhere(module.f, module.Point(7))
        cloudpickle.register_pickle_by_value(module)
        try:
            assert elsewhere(module.f, module.Point(7)) == 7
        finally:
            cloudpickle.unregister_pickle_by_value(module)


class TestRefused:
    """What cannot be pickled is named, and the message says what to do."""

    def refusal(self, *args: object, **kwargs: object) -> SerializationError:
        """Give the error that arguments cause."""
        with pytest.raises(SerializationError) as error:
            dumps_call(args, kwargs)
        return error.value

    def test_names_the_argument(self) -> None:
        """Position or keyword, and type."""
        lock = threading.Lock()
        assert str(self.refusal(1, lock)).startswith("argument 1 (of type lock)")
        assert str(self.refusal(1, x=lock)).startswith("keyword argument 'x' (of type lock)")

    def test_names_the_part(self) -> None:
        """Inside a large object it says which part."""
        error = self.refusal(1, [0, {"model": [1, threading.Lock()]}])
        assert "because of its [1]['model'][1] (of type lock)" in str(error)

    def test_says_why_and_what_to_do(self) -> None:
        """The original's words, the original as cause, and a way out."""
        error = self.refusal(x for x in "abc")
        assert "cannot pickle 'generator' object" in str(error)
        assert isinstance(error.__cause__, TypeError)
        assert "Nothing was sent" in str(error)
        assert "inside the function" in str(error)

    @pytest.mark.parametrize("obj", [Raises(), [Raises()], {"a": Raises()}])
    def test_whatever_is_raised(self, obj: object) -> None:
        """A user's __reduce__ may raise anything; it is the same error for the caller."""
        with pytest.raises(SerializationError, match="ValueError: will not"):
            dumps(obj)
        with pytest.raises(SerializationError, match="ValueError: will not"):
            dumps_inline(obj)

    def test_object_has_the_name_that_was_given(self) -> None:
        """An engine says it was the result."""
        with pytest.raises(SerializationError, match=r"^the result \(of type lock\)"):
            dumps(threading.Lock(), "the result")

    def test_too_deep(self) -> None:
        """Nesting beyond the recursion limit is told as such."""
        deep: list[Any] = []
        for _ in range(sys.getrecursionlimit() * 2):
            deep = [deep]
        assert "nested too deeply" in str(self.refusal(deep))
        with pytest.raises(SerializationError, match="nested too deeply"):
            dumps_inline([deep, lambda: 1])

    def test_memory_error_is_not_hidden(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Being out of memory is no fault of the object."""

        def no_memory(*_: object, **__: object) -> bytes:
            raise MemoryError

        monkeypatch.setattr(serialize, "_pickled", no_memory)
        with pytest.raises(MemoryError):
            dumps([1])

    def test_interrupt_is_not_hidden(self) -> None:
        """Ctrl-C while pickling is Ctrl-C."""

        class Interrupts:
            def __reduce__(self) -> Any:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            dumps(Interrupts())

    def test_crosses_to_the_client(self, elsewhere: Callable[..., Any]) -> None:
        """A result that cannot be pickled arrives as this error, from that engine."""
        with pytest.raises(SerializationError, match=r"the result \(of type lock\)") as error:
            elsewhere(threading.Lock)
        assert isinstance(error.value, RemoteError)
        assert error.value.engine_id == 3


class TestNotRebuilt:
    """What arrives and cannot be rebuilt."""

    @pytest.mark.parametrize("data", [b"", b"junk", pickle.dumps([1, 2])[:-3], b"\x80\xff."])
    def test_damaged(self, data: bytes) -> None:
        """Damaged data is an error of serialization, whatever pickle makes of it."""
        with pytest.raises(SerializationError, match="cannot be rebuilt here"):
            loads(data)

    def test_missing_buffer(self) -> None:
        """So is a pickle without its buffers."""
        head, *_ = dumps(np.zeros(LARGE))
        with pytest.raises(SerializationError, match="cannot be rebuilt"):
            loads([head])

    def test_raises_in_user_code(self) -> None:
        """A user's __setstate__ may raise; the error says what."""
        payload = dumps(FailsToLoad())
        with pytest.raises(SerializationError, match="ValueError: will not") as error:
            loads(payload)
        assert isinstance(error.value.__cause__, ValueError)

    def test_missing_module_says_where_and_what_to_do(self) -> None:
        """It is a ModuleNotFoundError, with its name and a way out."""
        data = pickle.dumps(Fraction(1)).replace(b"fractions", b"fractious")
        with pytest.raises(ModuleNotFoundError, match="install it there") as error:
            loads(data, "on the engine")
        assert error.value.name == "fractious"
        assert "on the engine" in str(error.value)
        assert "register_pickle_by_value(fractious)" in str(error.value)

    def test_missing_attribute_blames_the_version(self) -> None:
        """A module that is there, but other, is an error of serialization with a hint."""
        data = pickle.dumps(Fraction(1)).replace(b"Fraction", b"Friction")
        with pytest.raises(SerializationError, match="another version"):
            loads(data)

    def test_missing_module_of_an_argument_elsewhere(
        self, monkeypatch: pytest.MonkeyPatch, elsewhere: Callable[..., Any]
    ) -> None:
        """The client gets the engine's ModuleNotFoundError."""
        module = types.ModuleType("only_here")
        exec("class Thing: pass", vars(module))
        monkeypatch.setitem(sys.modules, "only_here", module)
        with pytest.raises(ModuleNotFoundError, match="on the engine") as error:
            elsewhere(repr, module.Thing())
        assert error.value.name == "only_here"


@pytest.mark.parametrize("container", [tuple, list])
@pytest.mark.parametrize("view", [bytes, bytearray, memoryview])
def test_loads_any_buffer(container: type, view: type) -> None:
    """Payloads arrive as frames of many types."""
    payload = dumps([np.arange(float(LARGE))])
    frames = container(view(bytes(part)) for part in payload)
    np.testing.assert_array_equal(loads(frames)[0], np.arange(float(LARGE)))
    assert loads(view(dumps({"a": 1}))) == {"a": 1}


class _Leaves:
    """Rebuilt, it ends the process."""

    def __reduce__(self) -> Any:
        return sys.exit, (3,)


def test_an_object_cannot_end_who_rebuilds_it() -> None:
    """A SystemExit while unpickling is an error like any other."""
    with pytest.raises(SerializationError, match="SystemExit: 3"):
        loads(dumps(_Leaves()))
