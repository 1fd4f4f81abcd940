"""What programs for ipyparallel pass to a Cluster."""

from __future__ import annotations

import socket
import warnings

import pytest

from ctrlhub import Cluster
from ctrlhub.cluster.arguments import launcher_of
from ctrlhub.cluster.checking import checked_launcher


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
        ("controller", "ssh", "on this host"),
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


class SlurmEngineSetLauncher:
    """As ipyparallel calls its own."""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("engines", "slurm"),
        ("engines", "Slurm"),
        ("engine_launcher_class", "ipyparallel.cluster.launcher.SlurmEngineSetLauncher"),
        ("engine_launcher_class", "SlurmLauncher"),
        ("engine_launcher_class", SlurmEngineSetLauncher),
    ],
)
def test_a_launcher_by_the_names_of_ipyparallel(name: str, value: object) -> None:
    """Is the launcher here, and the other arguments stay what they are."""
    others = {name: value, "beat": 2.0}

    assert launcher_of(others, "local") == "slurm"
    assert others == {"beat": 2.0}


def test_two_launchers_are_one_too_many() -> None:
    """Unless they are the same."""
    assert launcher_of({"engines": "slurm"}, "slurm") == "slurm"
    assert launcher_of({"engines": None}, "pbs") == "pbs"
    with pytest.raises(TypeError, match="launcher='slurm'"):
        launcher_of({"engines": "slurm"}, "pbs")


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"launcher": "pigeon"}, "there is no launcher 'pigeon'; there are: .*local"),
        ({"engines": "pigeon"}, "there is no launcher 'pigeon'"),
        ({"launcher": "local", "launcher_options": {"wings": 2}}, "wings"),
        ({"wait_for": -1}, "wait_for"),
        ({"launcher": "slurm", "resources": {"gpu": 1}}, "resources"),
        ({"wait_for": True}, "wait_for"),
    ],
)
def test_a_wrong_launcher_is_an_error_of_its_line(options: dict[str, object], hint: str) -> None:
    """It does not wait for the start."""
    with pytest.raises(ValueError, match=hint):
        Cluster(n=1, **options)  # type: ignore[arg-type]


def test_a_hub_listens_for_engines_of_other_hosts() -> None:
    """At an address of this host, if nobody has said another; for those of this host it does not."""
    listen = checked_launcher("slurm", {}, None)
    assert listen is not None
    with socket.socket() as mine:
        mine.bind((listen, 0))  # it is one of ours
    assert checked_launcher("slurm", {}, "192.0.2.7") == "192.0.2.7"
    assert checked_launcher("local", {}, None) is None
