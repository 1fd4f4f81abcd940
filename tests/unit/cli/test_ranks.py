"""What starts an MPI job, as words."""

from __future__ import annotations

import click
import pytest

from ctrlhub.cli.ranks import check_way, words_of


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("mpiexec", ["mpiexec", "-n", "4"]),
        ("mpiexec --oversubscribe", ["mpiexec", "--oversubscribe", "-n", "4"]),
        ("srun --ntasks={n} --mpi=pmix", ["srun", "--ntasks=4", "--mpi=pmix"]),
        ("mpirun -x 'A B'", ["mpirun", "-x", "A B", "-n", "4"]),
    ],
)
def test_the_number_has_its_place(template: str, words: list[str]) -> None:
    """Where the user has put it, or at the end."""
    assert words_of(template, 4) == words


@pytest.mark.parametrize("template", ["", "   ", "mpiexec 'x"])
def test_what_is_no_command(template: str) -> None:
    """Is refused before anything is started."""
    with pytest.raises(click.UsageError):
        words_of(template, 4)


def test_ranks_do_not_go_through_ssh() -> None:
    """Who asks for it is told, and not left to wait for engines that do not come."""
    for ssh, key in (("me@gate", None), ("me@gate", "key"), (None, "key")):
        with pytest.raises(click.UsageError, match=r"ranks of MPI.* reach the hub directly"):
            check_way(ssh, key)
    check_way(None, None)
    check_way("none", "key")
