"""Arguments that come from ipyparallel."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from ctrlhub import Client
from ctrlhub.client.arguments import check_others, chosen_profile
from ctrlhub.client.client import ARGUMENTS


@pytest.mark.parametrize("name", ["debug", "ipython_dir", "paramiko", "profile_dir"])
def test_what_has_no_meaning_here_is_ignored(name: str) -> None:
    """With a warning that says why, unless it says nothing itself."""
    with pytest.warns(UserWarning, match=f"{name} is ignored: "):
        check_others({name: "something"}, "")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_others({name: None}, "")
        check_others({name: False}, "")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"context": 3}, "context is a zmq.Context, not 3"),
        ({"timeout": "x"}, "timeout is a number of seconds, not 'x'"),
        ({"timeout": None}, "timeout is a number of seconds"),
        ({"join_timeout": "x"}, "join_timeout is a number of seconds"),
    ],
)
def test_things_of_the_wrong_kind(wrong: dict[str, Any], said: str) -> None:
    """Are told before anything is looked for."""
    with pytest.raises(TypeError, match=said):
        Client(**wrong)


def test_what_is_refused_says_what_to_do() -> None:
    """Also what nobody knows: then the arguments that there are."""
    with pytest.raises(TypeError, match="pass the connection file as connection_info"):
        Client(url_file="file.json")
    with pytest.raises(TypeError, match="use a key"):
        Client(password="secret")
    check_others({"password": None}, "")
    with pytest.raises(TypeError, match="no argument 'profil'; it has: connection_info, profile"):
        Client(profil="lab")


def test_the_message_names_every_argument() -> None:
    """The list is that of the signature."""
    import inspect

    parameters = inspect.signature(Client.__init__).parameters.values()
    names = [p.name for p in parameters if p.name != "self" and p.kind is not p.VAR_KEYWORD]
    assert ", ".join(names) == ARGUMENTS


def test_a_cluster_id_is_a_profile() -> None:
    """Both may say the same, and not two things."""
    assert chosen_profile(None, None) is None
    assert chosen_profile("lab", None) == chosen_profile(None, "lab") == "lab"
    assert chosen_profile("lab", "lab") == chosen_profile("lab", "") == "lab"
    with pytest.raises(TypeError, match="not both"):
        chosen_profile("lab", "other")
