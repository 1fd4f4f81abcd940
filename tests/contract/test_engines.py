"""Engines as a client sees them: which there are, and how they are named."""

from __future__ import annotations

import numpy as np
import pytest

from ctrlhub import Client, DirectView, InvalidEngineID
from tests.contract.conftest import ENGINES

ALL = list(range(ENGINES))


def test_ids_are_those_of_the_engines_in_order(client: Client) -> None:
    """Also right after the client was made; the list is the caller's own."""
    assert client.ids == ALL
    client.ids.clear()
    assert client.ids == ALL


def test_the_length_is_the_number_of_engines(client: Client) -> None:
    """Of client and views."""
    assert len(client) == len(client[:]) == len(client.load_balanced_view()) == ENGINES
    assert len(client[0]) == 1


def test_iteration_gives_a_view_on_each_engine(client: Client) -> None:
    """Each of one engine, whose results are bare."""
    assert [view.targets for view in client] == ALL


@pytest.mark.parametrize(
    ("index", "targets"),
    [
        (1, 1),
        (-1, ENGINES - 1),
        (np.int64(1), 1),
        (slice(None), ALL),
        (slice(1, None), ALL[1:]),
        (slice(None, None, 2), ALL[::2]),
        (slice(None, None, -1), ALL[::-1]),
        ([0, 2], [0, 2]),
        ([2, 0], [2, 0]),
        ((0, 1), [0, 1]),
        (range(2), [0, 1]),
    ],
)
def test_an_index_names_engines(client: Client, index: object, targets: object) -> None:
    """By number, from the end, by slice, several in any order."""
    view = client[index]  # type: ignore[index]

    assert isinstance(view, DirectView)
    assert view.targets == targets


@pytest.mark.parametrize("index", [99, ENGINES, -ENGINES - 1, [0, 99]])
def test_an_engine_that_is_not_there(client: Client, index: int | list[int]) -> None:
    """It is an error of ours and an IndexError, and says which there are."""
    with pytest.raises(InvalidEngineID, match="there are engines 0, 1, 2") as caught:
        client[index]

    assert isinstance(caught.value, IndexError)


@pytest.mark.parametrize("index", ["all", "0", None, 1.0, True, [True], [1.0], ["0"]])
def test_what_is_no_way_to_name_engines(client: Client, index: object) -> None:
    """Wrong types are TypeErrors."""
    with pytest.raises(TypeError):
        client[index]  # type: ignore[index]


def test_an_empty_slice(client: Client) -> None:
    """Nobody is named: that is said, instead of doing nothing."""
    with pytest.raises(ValueError, match="no engine is named"):
        client[99:]


def test_targets_of_one_call(client: Client) -> None:
    """They stand above the view's; a single one gives a bare value."""
    view = client[:]
    view.push({"x": 1}, targets=[0, 2], block=True)

    assert view.pull("x", targets=0, block=True) == 1
    with pytest.raises(NameError):
        view.pull("x", targets=1, block=True)
    with pytest.raises(InvalidEngineID):
        view.push({"x": 1}, targets=[0, 99])


def test_all_means_those_there_are(client: Client) -> None:
    """And is the default."""
    assert client.direct_view().targets == "all"
    assert client.direct_view("all").apply_sync(int, "7") == [7] * ENGINES


def test_waiting_for_engines_that_are_there(client: Client) -> None:
    """It returns at once."""
    client.wait_for_engines(ENGINES, timeout=0)


def test_waiting_for_engines_that_do_not_come(client: Client) -> None:
    """The timeout is kept, and the error says what to do."""
    with pytest.raises(TimeoutError, match=f"{ENGINES} of 50 engines .*ctrl-hub engine"):
        client.wait_for_engines(50, timeout=0.05)
