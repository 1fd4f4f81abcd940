"""What programs for ipyparallel pass to a Cluster."""

from __future__ import annotations

import warnings

import pytest

from ctrlhub import Cluster


def test_what_is_called_otherwise() -> None:
    """A cluster's id is the name of its profile here."""
    assert Cluster(n=1, cluster_id="mine", engine_timeout=5).profile == "mine"
    assert Cluster(n=1, cluster_id="").profile is None
    with pytest.raises(TypeError, match="cluster_id is profile here"):
        Cluster(n=1, cluster_id="mine", profile="other")


def test_what_means_nothing_is_told() -> None:
    """And the rest goes on."""
    with pytest.warns(UserWarning, match="delay is ignored: engines start as soon as they can"):
        Cluster(n=1, delay=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Cluster(n=1, engines="local", controller=None, log_level=20)


@pytest.mark.parametrize(
    ("argument", "value", "hint"),
    [
        ("engines", "mpi", "ctrl-hub engine"),
        ("controller_ip", "*", "listen="),
        ("nonsense", 2, "no argument 'nonsense'; it has: n, profile.*hub_lease"),
    ],
)
def test_what_is_refused_says_what_to_do(argument: str, value: object, hint: str) -> None:
    """Rather than naming something inside."""
    with pytest.raises(TypeError, match=hint):
        Cluster(n=1, **{argument: value})  # type: ignore[arg-type]


def test_options_of_the_hub_are_its_own() -> None:
    """They are checked where the cluster is made."""
    with pytest.raises((TypeError, ValueError)):
        Cluster(n=1, hub_lease="long")
