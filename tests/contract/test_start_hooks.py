"""Start hooks on the engines that are there, and what clients see of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ctrlhub import Client, RemoteError
from tests.contract.conftest import ENGINES

pytestmark = pytest.mark.usefixtures("tidy")


@pytest.fixture
def tidy(client: Client) -> Iterator[None]:
    """No hook outlives its test."""
    yield
    for hook in client.start_hooks():
        client.remove_start_hook(hook)


def values(client: Client, name: str) -> list[object]:
    """The values of a name on all engines."""
    found: list[object] = client[:].pull(name, block=True)
    return found


def test_code(client: Client) -> None:
    """It is executed on the engines that are there, before the call returns."""
    name = client.on_engine_start("x = 5", name="five")

    assert name == "five"
    assert values(client, "x") == [5] * ENGINES


def test_a_function(client: Client) -> None:
    """It is called with the arguments, in the engine's namespace."""

    def remember(value: int, *, twice: bool = False) -> None:
        global remembered
        remembered = 2 * value if twice else value

    client.on_engine_start(remember, 4, twice=True)

    assert values(client, "remembered") == [8] * ENGINES


def test_a_namespace(client: Client) -> None:
    """It is pushed."""
    client.on_engine_start({"x": [1, 2]})

    assert values(client, "x") == [[1, 2]] * ENGINES


def test_a_persistent_push(client: Client) -> None:
    """With a view on all, whichever way all are named; what it pushed before is replaced."""
    client[:].push({"x": 1}, persistent=True, block=True)
    result = client.direct_view().push({"x": 2}, persistent=True)

    assert result.get(60) is None
    assert values(client, "x") == [2] * ENGINES
    assert [hook.name for hook in client.start_hooks()] == ["push:x"]


def test_a_persistent_push_is_for_all(client: Client) -> None:
    """Some engines would differ from those that come in their places."""
    with pytest.raises(ValueError, match="for all engines"):
        client[0].push({"x": 1}, persistent=True)
    assert client.start_hooks() == []


def test_what_there_is(client: Client, other: Client) -> None:
    """In order, for every client; the same thing made twice is one."""
    client.on_engine_start("x = 1")
    client.on_engine_start("x = 1")
    client.on_engine_start({"y": 2}, name="second")

    first, second = other.start_hooks()

    assert first.name.startswith("code-")
    assert (first.action, first.state, dict(first.failed)) == ("execute", "kept", {})
    assert (second.name, second.action) == ("second", "push")
    assert second.bytes > 0
    assert [hook["name"] for hook in client.status()["start_hooks"]] == [first.name, "second"]


def test_one_that_fails_is_not_kept(client: Client) -> None:
    """The error is the engine's own; the engines are as good as before."""
    with pytest.raises(ZeroDivisionError) as caught:
        client.on_engine_start("1 / 0")

    assert isinstance(caught.value, RemoteError)
    assert client.start_hooks() == []
    assert client.load_balanced_view().apply_sync(int, "7") == 7


def test_removing(client: Client, other: Client) -> None:
    """By name, by anybody; what it has done stays."""
    name = client.on_engine_start("x = 5")
    other.remove_start_hook(name)

    assert client.start_hooks() == []
    assert values(client, "x") == [5] * ENGINES
    with pytest.raises(KeyError, match=r"no start hook .*there are: none"):
        client.remove_start_hook(name)
    for wrong in (5, None, {"name": name}):
        with pytest.raises(TypeError, match="by its name"):
            client.remove_start_hook(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("what", [5, None, b"x = 1", ["x = 1"]])
def test_what_is_no_hook(client: Client, what: object) -> None:
    """It is an error at once."""
    with pytest.raises(TypeError, match="an engine starts with"):
        client.on_engine_start(what)  # type: ignore[arg-type]


def test_arguments_are_for_functions(client: Client) -> None:
    """Code takes none."""
    with pytest.raises(TypeError, match="only a function"):
        client.on_engine_start("x = 1", 5)


@pytest.mark.parametrize("name", ["", 5])
def test_names_are_text(client: Client, name: str) -> None:
    """And not empty."""
    with pytest.raises(TypeError, match="name of a start hook"):
        client.on_engine_start("x = 1", name=name)


def test_names_that_are_pushed_are_text(client: Client) -> None:
    """As for any push."""
    with pytest.raises(TypeError, match="names must be text"):
        client.on_engine_start({5: 1})  # type: ignore[dict-item]


def test_tasks_come_after_a_hook_that_their_client_has_made(client: Client) -> None:
    """Without waiting for it."""
    view = client.load_balanced_view()
    client[:].push({"z": 1}, block=True)
    client[:].push({"z": 2}, persistent=True, block=False)

    assert view.map_sync(lambda n: z, range(10)) == [2] * 10  # type: ignore[name-defined]  # noqa: F821
