"""One run in a process of its own: ``python -m benchmarks.child PEER WORKLOAD EFFORT FILE``.

The outcome goes to the file as JSON; what is said on the way goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks import figures, measure
from benchmarks.figures import Effort, Measured, Outcome, Workload
from benchmarks.peers import NotOffered, Peer, make
from benchmarks.workloads import WORKLOADS

EFFORTS = {"full": figures.FULL, "quick": figures.QUICK}

#: A peer that has not stopped by then is killed.
_STOPPING_S = 20.0


def main() -> None:
    """Run, stop the peer, write, and leave: the parent ends whatever is left."""
    peer_name, workload, effort, path = sys.argv[1:]
    measure.adopt_orphans()  # so that a peer's daemons count as its processes
    outcome, found = _run(make(peer_name), WORKLOADS[workload], EFFORTS[effort])
    answer = {"outcome": outcome, **asdict(found)}
    Path(path).write_text(json.dumps(answer))
    sys.stderr.flush()
    os._exit(0)  # threads and exit handlers of a peer would only hold it up


def _run(peer: Peer, workload: Workload, effort: Effort) -> tuple[Outcome, Measured]:
    if workload.one_core:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    foreign = measure.Foreign()
    try:
        if workload.engines:
            peer.start(workload.engines)
        found = workload.measure(peer, effort)
        if found.foreign_cores is None:
            found = replace(found, foreign_cores=foreign.cores())
        return Outcome.MEASURED, found
    except NotOffered as reason:
        return Outcome.NOT_OFFERED, Measured({}, str(reason))
    except Exception as error:
        traceback.print_exc()
        return Outcome.FAILED, Measured({}, f"{type(error).__name__}: {error}")
    finally:
        if workload.engines:
            _stop(peer)


def _stop(peer: Peer) -> None:
    """Stop in an orderly way, which removes what killing would leave, but not for ever."""
    stopping = threading.Thread(target=peer.stop, daemon=True)
    stopping.start()
    stopping.join(_STOPPING_S)


if __name__ == "__main__":
    main()
