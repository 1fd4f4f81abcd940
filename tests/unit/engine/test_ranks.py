"""Ranks of MPI: which a process is, who it is to the hub, what is noted of it; and what mpiexec says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from ctrlhub.engine.mpi_words import Culprit, culprit_of, forwarding
from ctrlhub.engine.ranks import SEED_VARIABLE, RankNote, RankPlace, Seed
from ctrlhub.wire.security import is_key

OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "5", "OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "4", "PMIX_RANK": "5", "SLURM_PROCID": "0",
}  # fmt: skip


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        (OPEN_MPI, RankPlace(5, 8, 1, 4)),
        ({"PMI_RANK": "2", "PMI_SIZE": "3"}, RankPlace(2, 3)),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_LOCALID": "1"}, RankPlace(3, 4, 1, 1)),
        ({"PMIX_RANK": "1"}, RankPlace(1, 0)),
        ({"OMPI_COMM_WORLD_RANK": "none"}, None),
        ({}, None),
    ],
)
def test_which_rank_this_is(environment: Mapping[str, str], place: RankPlace | None) -> None:
    """As what has started it says; inside a Slurm job mpiexec's word counts."""
    assert RankPlace.find(environment) == place


def test_what_follows_from_a_seed() -> None:
    """Keys of CURVE, the same in every start and of no other rank; an incarnation of this start alone."""
    seed = Seed.fresh()
    later = replace(seed, start=2)
    pairs = [seed.keys(rank) for rank in range(3)]

    assert pairs == [later.keys(rank) for rank in range(3)]
    assert len({pair.public for pair in pairs}) == 3
    assert all(is_key(pair.public) and is_key(pair.secret) for pair in pairs)
    assert pairs[0] != Seed.fresh().keys(0)
    assert len({seed.incarnation(0), seed.incarnation(1), later.incarnation(0)}) == 3


def test_a_derived_pair_belongs_together() -> None:
    """The public half is that of the secret one."""
    import zmq

    pair = Seed.fresh().keys(4)
    assert zmq.curve_public(pair.secret.encode()).decode() == pair.public


def test_a_seed_is_taken_out_of_the_environment() -> None:
    """User code does not find it."""
    seed = replace(Seed.fresh(), start=3)
    environment = {SEED_VARIABLE: seed.to_text(), "OTHER": "1"}

    assert Seed.take(environment) == seed
    assert environment == {"OTHER": "1"}
    assert Seed.take(environment) is None


@pytest.mark.parametrize("text", ["x", "00:1", "zz" * 32 + ":1", "00" * 32, "00" * 32 + ":x"])
def test_what_is_no_seed(text: str) -> None:
    """Is refused, and not repeated."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - what it says is looked at
        Seed.take({SEED_VARIABLE: text})
    assert text == "x" or text not in str(raised.value)


def test_notes(tmp_path: Path) -> None:
    """What is written is read; what is none is nothing."""
    note = RankNote(4711, "elsewhere", 2, ended=True, running=17, words="the end")
    assert RankNote.read(tmp_path, 3) is None
    note.write(tmp_path, 3)
    assert RankNote.read(tmp_path, 3) == note
    assert not note.is_here
    for nonsense in ("[]", "{}", '{"pid": 1, "host": "h", "colour": 2}', "\0"):
        (tmp_path / "rank-3.json").write_text(nonsense)
        assert RankNote.read(tmp_path, 3) is None


@pytest.mark.parametrize(
    ("text", "code", "culprit"),
    [
        (
            "mpiexec noticed that process rank 1 with PID 0 on node vm exited on signal 9 (Killed).",
            137, Culprit(1, "killed by signal 9 (SIGKILL)"),
        ),
        (
            "first process to do so was:\n\n  Process name: [[29783,1],3]\n  Exit code:    77\n",
            77, Culprit(3, "exit code 77", 77),
        ),
        (
            "MPI_ABORT was invoked on rank 2 in communicator MPI_COMM_WORLD\nwith errorcode 7.",
            7, Culprit(2, "it called MPI_Abort with error code 7"),
        ),
        (
            "=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES\n=   PID 22 RUNNING AT n1\n"
            "=   RANK 0 PID 22\n=   EXIT CODE: 139\n",
            139, Culprit(0, "killed by signal 11 (SIGSEGV)", 139),
        ),
        ("srun: error: n1: task 2: Killed\n", 137, Culprit(2, "killed by signal 9 (SIGKILL)")),
        ("srun: error: n1: task 1: Exited with exit code 3\n", 3, Culprit(1, "exit code 3", 3)),
        ("", -9, Culprit(-1, "mpiexec was killed by signal 9 (SIGKILL)")),
        ("nothing that is known", 5, Culprit(-1, "mpiexec ended with exit code 5", 5)),
    ],
)  # fmt: skip
def test_what_a_job_died_of(text: str, code: int, culprit: Culprit) -> None:
    """In the words of Open MPI, MPICH and Slurm."""
    assert culprit_of(text, code) == culprit
    assert str(max(culprit.rank, 0)) in culprit.story or culprit.rank < 0


def test_variables_are_handed_on_by_name(tmp_path: Path) -> None:
    """By Open MPI when it is told to; by others of themselves; and not again where the user has said so."""
    ours, others = tmp_path / "ours", tmp_path / "others"
    for path, said in ((ours, "mpiexec (OpenRTE) 4.1.4"), (others, "HYDRA build details:")):
        path.write_text(f"#!/bin/sh\necho '{said}'\n")
        path.chmod(0o700)

    assert forwarding([str(ours), "-n", "2"], ("A", "B")) == ["-x", "A", "-x", "B"]
    assert forwarding([str(ours), "-x", "C", "-x", "B"], ("A", "B")) == ["-x", "A"]
    assert forwarding([str(others)], ("A",)) == []
    assert forwarding([str(tmp_path / "missing")], ("A",)) == []
