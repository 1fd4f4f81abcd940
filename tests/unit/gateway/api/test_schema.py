from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.gateway.api import jobs, resources
from ctrlhub.gateway.api.operation import BadPath, Operation
from ctrlhub.gateway.api.schema import (
    Either,
    Flag,
    Integer,
    ListOf,
    MapOf,
    Number,
    Record,
    Shape,
    Text,
    Unfit,
    or_null,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 50) | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "a", "math.sqrt", "m:f", "7-42", "7-", "done", "function"]),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(
        st.sampled_from(["function", "args", "kwargs", "map", "label", "priority", "timeout", "after", "x"]),
        each, max_size=4),
    max_leaves=12,
)  # fmt: skip
SHAPES: list[Shape] = [
    Text(3, 1), Text(choices=("a", "done")), Integer(0, 9), Number(0, 9), Flag(), or_null(Text()),
    ListOf(Integer(0, 9), 2, 1), MapOf(Number(), 2), Record({"x": Flag()}, {"args": Text()}),
    Record(open=True), Either((Flag(), ListOf(Flag()))), jobs.SUBMISSION, jobs.TASK, jobs.MAP,
    resources.PENDING, resources.ENGINES_PATH,
]  # fmt: skip


def fits(shape: Shape, value: Any) -> bool:
    """Tell whether a shape takes a value."""
    try:
        shape.check(value, "it")
    except Unfit:
        return False
    return True


@given(VALUES, st.sampled_from(SHAPES))
def test_what_is_described_is_what_is_accepted(value: Any, shape: Shape) -> None:
    """A shape and its JSON Schema, as the reference implementation reads it, agree on every value."""
    validator = jsonschema.Draft202012Validator(shape.described())
    assert fits(shape, value) == validator.is_valid(value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"function": "f", "argz": []}, "there is no argz"),
        ({"args": []}, "function is missing"),
        ({"function": "f", "priority": "high"}, "priority must be a whole number, not text"),
        ({"function": "os.system('x')"}, "function must be module:name"),
        ({"function": "f", "after": ["7"]}, r"after\[0\]"),
        ([], "must have 1 to"),
        (7, "must be an object, not a number"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(body: Any, said: str) -> None:
    """An error names the field, and what is wanted there."""
    with pytest.raises(Unfit, match=said):
        jobs.SUBMISSION.check(body)


OPERATION = Operation(
    {},
    path={"id": jobs.REQUEST_ID},
    query={"wait": Number(0, 60), "limit": Integer(1, 9), "raw": Flag(), "of": ListOf(Integer(0, 9))},
)


def test_parameters_are_read_as_what_they_are() -> None:
    """Numbers become numbers, flags flags, and lists are separated by commas."""
    given = {"wait": [b"1.5"], "limit": [b"3"], "raw": [b"true"], "of": [b"1,2"]}
    assert OPERATION.read_query(given) == {"wait": 1.5, "limit": 3, "raw": True, "of": [1, 2]}


@pytest.mark.parametrize(
    "given",
    [
        {"wait": [b"nan"]}, {"wait": [b"61"]}, {"wait": [b"1", b"2"]}, {"limit": [b"1.5"]}, {"raw": [b"1"]},
        {"of": [b"1,,2"]}, {"x": [b"1"]}, {"wait": [b"\xff"]}, {"limit": ["٣".encode()]}, {"wait": [b"1_0"]},
        {"wait": ["٣".encode()]}, {"wait": [b" 3"]}, {"wait": [b"+3"]}, {"wait": [b"."]}, {"wait": [b""]}, {"wait": [b"1e400"]},
    ],
)  # fmt: skip
def test_parameters_that_are_wrong_are_refused(given: Any) -> None:
    """Unknown ones as well, and those that are said twice."""
    with pytest.raises(Unfit):
        OPERATION.read_query(given)


def test_a_path_of_nothing_that_could_be_there_is_told_apart() -> None:
    """So that it is answered as what is not there."""
    assert OPERATION.read_path({"id": "7-42"}) == {"id": "7-42"}
    with pytest.raises(BadPath):
        OPERATION.read_path({"id": "../etc"})


def test_runs_of_tasks_with_the_same_options_are_one_batch() -> None:
    """Whatever they call; and what has others is a batch of its own, in order."""
    tasks = [{"function": "f", "label": "l", "args": [n]} for n in range(3)]
    other = {"function": "g", "label": "l", "retries": 2.0}
    one, two, three = jobs.batches_of([*tasks, other, tasks[0]])
    assert [job.arguments for job in one.jobs] == [b"[[0],{}]", b"[[1],{}]", b"[[2],{}]"]
    assert two.options == {"label": "l", "retries": 2}
    assert len(three.jobs) == 1


def test_those_tasks_that_are_lacking_keep_their_options_and_order() -> None:
    """A submission that came in part is completed by the rest of its batches."""
    plain, other = {"function": "f", "label": "l"}, {"function": "f", "label": "m"}
    batches = jobs.batches_of([{**each, "args": [n]} for n, each in enumerate([plain, plain, other, plain])])
    one, two = jobs.some_of(batches, [False, True, False, True]), jobs.some_of(batches, [False, False, True, False])
    assert [(batch.options, [job.arguments for job in batch.jobs]) for batch in one] == [
        ({"label": "l"}, [b"[[1],{}]", b"[[3],{}]"])
    ]
    assert [(batch.options, len(batch.jobs)) for batch in two] == [({"label": "m"}, 1)]
    assert jobs.some_of(batches, [False] * 4) == []


def test_a_map_is_one_batch_whose_label_is_the_functions_name() -> None:
    """Each of its items is the arguments of a task."""
    [batch] = jobs.batches_of({"function": "f", "map": [[1], [2, 3]], "kwargs": {"k": 1}})
    assert [job.arguments for job in batch.jobs] == [b'[[1],{"k":1}]', b'[[2,3],{"k":1}]']
    assert batch.options == {"label": "f"}


@pytest.mark.parametrize("value", [10**399, -(10**399), float("inf"), float("-inf"), float("nan")])
def test_numbers_beyond_any_float(value: float) -> None:
    """They are no more than other numbers that do not fit."""
    with pytest.raises(Unfit, match="between 0 and 60"):
        Number(0, 60).check(value, "wait")
