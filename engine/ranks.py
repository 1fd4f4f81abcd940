"""Ranks of an MPI job: which this process is, who it is to the hub, and what is noted of it.

Where a job is watched, all its ranks and its watcher know a *seed*. From that follows who each rank
is, so that the watcher can speak for it: its key pair, and the incarnation of each start.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from ctrlhub.wire.private import StateError, read_private, write_private
from ctrlhub.wire.security import KeyPair

SEED_VARIABLE = "CTRLHUB_RANK_SEED"
"""In the environment of ranks: the seed in hexadecimal, a colon, and the number of the start."""

FORWARD_VARIABLE = "CTRLHUB_RANK_FORWARD"
"""In the environment of a watcher: the names of further variables for ranks on other hosts, with commas."""

RANKS = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK", "SLURM_PROCID")
SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_NTASKS")
LOCAL_RANKS = ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "MV2_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID")
LOCAL_SIZES = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "MV2_COMM_WORLD_LOCAL_SIZE")
"""Where Open MPI, PMIx, MPICH and Intel MPI, MVAPICH and Slurm say it, in this order."""

SEED_BYTES = 32
_MOST_NOTE = 64 * 1024


@dataclass(frozen=True, slots=True)
class RankPlace:
    """Which rank a process is, as far as its environment says.

    Parameters
    ----------
    rank, size
        Its number, and how many there are.
    local_rank, local_size
        The same among those of its node.
    """

    rank: int
    size: int
    local_rank: int = 0
    local_size: int = 1

    @classmethod
    def find(cls, environment: Mapping[str, str]) -> RankPlace | None:
        """Return it; None for a process that no launcher of MPI has started."""
        rank = _first(environment, RANKS)
        if rank is None:
            return None
        return cls(
            rank,
            _first(environment, SIZES) or 0,
            _first(environment, LOCAL_RANKS) or 0,
            max(1, _first(environment, LOCAL_SIZES) or 1),
        )


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    found = (environment.get(name, "") for name in names)
    return next((int(text) for text in found if text.isdecimal()), None)


@dataclass(frozen=True, slots=True)
class Seed:
    """What the ranks of one start of a job, and their watcher, know.

    Parameters
    ----------
    secret
        Random bytes.
    start
        Which start this is.
    """

    secret: bytes
    start: int = 1

    @classmethod
    def fresh(cls) -> Seed:
        """Make one."""
        return cls(os.urandom(SEED_BYTES))

    @classmethod
    def take(cls, environment: MutableMapping[str, str]) -> Seed | None:
        """Take it out of an environment, which user code would inherit; None where there is none.

        Raises
        ------
        ValueError
            It is none.
        """
        text = environment.pop(SEED_VARIABLE, "")
        if not text:
            return None
        secret, _, start = text.partition(":")
        if len(secret) != 2 * SEED_BYTES or not start.isdecimal():
            raise ValueError(f"{SEED_VARIABLE} is not what a watcher of MPI jobs has set")
        return cls(bytes.fromhex(secret), int(start))

    def to_text(self) -> str:
        """Write it for the environment."""
        return f"{self.secret.hex()}:{self.start}"

    def keys(self, rank: int) -> KeyPair:
        """Return the key pair of a rank: the same in every start."""
        import zmq
        from zmq.utils import z85

        secret = z85.encode(self._derived("key", rank))
        return KeyPair(zmq.curve_public(secret).decode("ascii"), secret.decode("ascii"))

    def incarnation(self, rank: int) -> bytes:
        """Return what names the process of a rank among those of all starts."""
        return self._derived(f"incarnation {self.start}", rank)[:16]

    def _derived(self, what: str, rank: int) -> bytes:
        return sha256(b"ctrl-hub rank\0" + self.secret + f"\0{what}\0{rank}".encode()).digest()


@dataclass(frozen=True, slots=True)
class RankNote:
    """What is noted of a rank, beside its log.

    Parameters
    ----------
    pid, host
        Its process.
    start
        Which start of the job it belongs to.
    ended
        Whether it has ended.
    left
        Whether it had left the hub before, of its own accord.
    running
        The request that it ran then; 0 for none.
    words
        The end of what it wrote while it ran that.
    """

    pid: int
    host: str
    start: int = 0
    ended: bool = False
    left: bool = False
    running: int = 0
    words: str = ""

    @property
    def is_here(self) -> bool:
        """Whether it runs on this host."""
        return self.host == platform.node()

    def write(self, logs: Path, rank: int) -> None:
        """Write it."""
        write_private(_note(logs, rank), json.dumps(asdict(self)).encode() + b"\n")

    @classmethod
    def read(cls, logs: Path, rank: int) -> RankNote | None:
        """Read it; None where there is none to be read."""
        try:
            return cls(**json.loads(read_private(_note(logs, rank), _MOST_NOTE)))
        except (FileNotFoundError, StateError, ValueError, TypeError):
            return None


def log_of(logs: Path, rank: int) -> Path:
    """Return the log of a rank."""
    return logs / f"engine-{rank}.log"


def _note(logs: Path, rank: int) -> Path:
    return logs / f"rank-{rank}.json"
