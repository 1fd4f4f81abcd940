"""A rank of an MPI job as an engine, with nobody between it and ``mpiexec``.

MPI begins before anything else that makes a thread, so that a rank that is registered has a
communicator that works: in user code ``from mpi4py import MPI; MPI.COMM_WORLD``. Its id is its rank;
it takes no other. All ranks leave MPI together: one that is told to end alone waits for the others in
``MPI_Finalize``, and is no engine any more.

Who watches the job says by `ORDERLY`, which every ``mpiexec`` hands on to all ranks, that it is to end.
SIGTERM is what ``mpiexec`` sends where another rank has died: then there is nobody to take leave of.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import MutableSequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from ctrlhub.engine.board import ASKED, FOR_GOOD, Board
from ctrlhub.engine.config import EngineConfig, NannyConfig
from ctrlhub.engine.descriptors import Pipes
from ctrlhub.engine.given import Gpus, Node
from ctrlhub.engine.lease import Ending
from ctrlhub.engine.minder import fork_minder
from ctrlhub.engine.process import log_to_stderr, run_engine
from ctrlhub.engine.ranks import RankPlace, Seed, log_of
from ctrlhub.engine.threads import THREAD_VARIABLES
from ctrlhub.engine.warm import die_with, redirect
from ctrlhub.wire.security import KeyPair

ORDERLY = "SIGUSR2"
"""The name of the signal by which a rank ends in good order."""

_log = logging.getLogger(__name__)


class NotARank(Exception):
    """This process cannot be a rank of MPI; the message says why, and what to do."""


def run(config: NannyConfig, gpus: Gpus) -> int:
    """Be a rank, and return the process's exit code; it is to end at once then.

    Parameters
    ----------
    config
        What a nanny would be told.
    gpus
        The GPUs that the ranks of this node share out.

    Raises
    ------
    NotARank
        It cannot be one.
    """
    place = RankPlace.find(os.environ)
    if place is None:
        raise NotARank(
            "--mpi is for a process that a launcher of MPI has started: "
            "mpiexec -n 4 ctrl-hub engine --mpi, or srun --mpi=pmix ctrl-hub engine --mpi"
        )
    try:
        seed = Seed.take(os.environ)
    except ValueError as error:
        raise NotARank(str(error)) from None
    mpi = _load_mpi()
    code = int(Ending.FAILED)
    die_with(os.getppid())  # no mpiexec, no rank
    logs, board, pipes = Path(config.logs), Board(1).slot(0), Pipes.make()
    _set_environment(place, gpus)
    start = 0 if seed is None else seed.start
    fork_minder(place.rank, start, logs, board, pipes)
    try:
        redirect(log_of(logs, place.rank))
        log_to_stderr(config, "engine")
        mpi.Init_thread()
        _check(mpi, place)
        board[ASKED] = 0 if seed else FOR_GOOD  # with nobody to tell of it, SIGTERM is no death
        signals = _Signals(board)
        code = run_engine(_engine_config(config, place, seed), board, pipes, signals.install)
        if code in (Ending.LEFT, Ending.HUB_LOST) and not signals.is_abrupt:
            mpi.Finalize()
        atexit._run_exitfuncs()
    except NotARank as error:
        _log.error("%s", error)
        code = int(Ending.MISCONFIGURED)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
    return code


def _load_mpi() -> Any:
    """Return ``mpi4py.MPI``, of which nothing has begun yet."""
    try:
        import mpi4py

        mpi4py.rc.initialize = False
        mpi4py.rc.finalize = False
        return importlib.import_module("mpi4py.MPI")
    except (ImportError, RuntimeError) as error:
        raise NotARank(
            f"ranks of MPI need mpi4py, and the MPI that mpiexec belongs to ({error}): "
            "pip install 'ctrl-hub[mpi]'"
        ) from error


def _check(mpi: Any, place: RankPlace) -> None:
    """Make sure that the ranks have found each other.

    Raises
    ------
    NotARank
        They have not.
    """
    rank, size = mpi.COMM_WORLD.Get_rank(), mpi.COMM_WORLD.Get_size()
    if rank != place.rank or (place.size and size != place.size):
        raise NotARank(
            f"MPI says that this is rank {rank} of {size}, and the environment that it is "
            f"{place.rank} of {place.size}: mpi4py was built for another MPI than the one that has "
            "started this; under Slurm say srun --mpi=pmix (`srun --mpi=list` shows what there is)"
        )


def _set_environment(place: RankPlace, gpus: Gpus) -> None:
    threads = max(1, Node().cores() // place.local_size)
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, str(threads))
    shared = gpus.shared_out(place.local_size)
    if shared:
        os.environ.update(shared[place.local_rank % len(shared)])


def _engine_config(config: NannyConfig, place: RankPlace, seed: Seed | None) -> EngineConfig:
    keys = KeyPair.generate() if seed is None else seed.keys(place.rank)
    incarnation = os.urandom(16) if seed is None else seed.incarnation(place.rank)
    return EngineConfig(
        slot=place.rank,
        connection=config.connection,
        wait=config.wait,
        hub_lease=config.hub_lease,
        prefer=config.prefer,
        log_level=config.log_level,
        log_format=config.log_format,
        token=config.token,
        engine_set=config.engine_set,
        public=keys.public,
        secret=keys.secret,
        incarnation=incarnation.hex(),
        log=str(log_of(Path(config.logs), place.rank)),
        exact_id=place.rank,
        supervised=seed is not None,
        resources=config.resources_of(0),
    )


class _Signals:
    """What ends a rank: `ORDERLY` with a goodbye, SIGTERM too, but then there is no MPI to leave.

    Attributes
    ----------
    is_abrupt : bool
        SIGTERM came.
    """

    def __init__(self, board: MutableSequence[int]) -> None:
        self.is_abrupt = False
        self._board = board
        self._end: Any = None

    def install(self) -> None:
        """Take over both; SIGTERM is an engine's already."""
        self._end = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(getattr(signal, ORDERLY), self._on_order)

    def _on_term(self, number: int, frame: FrameType | None) -> None:
        self.is_abrupt = True
        self._end(number, frame)

    def _on_order(self, number: int, frame: FrameType | None) -> None:
        self._board[ASKED] = FOR_GOOD
        self._end(number, frame)
