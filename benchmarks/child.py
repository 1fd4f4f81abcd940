"""One run in a process of its own: ``python -m benchmarks.child PEER WORKLOAD EFFORT FILE``.

The outcome goes to the file as JSON; what is said on the way goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

from benchmarks import figures, measure
from benchmarks.figures import Effort, Measured, Outcome, Workload
from benchmarks.peers import NotOffered, Peer, make
from benchmarks.workloads import WORKLOADS

EFFORTS = {"full": figures.FULL, "quick": figures.QUICK}


def main() -> None:
    """Run, write, and leave at once: the parent ends whatever the peer left behind."""
    peer_name, workload, effort, path = sys.argv[1:]
    measure.adopt_orphans()  # so that a peer's daemons count as its processes
    found = Measured({})
    outcome = Outcome.MEASURED
    try:
        found = _run(make(peer_name), WORKLOADS[workload], EFFORTS[effort])
    except NotOffered as reason:
        outcome, found = Outcome.NOT_OFFERED, Measured({}, str(reason))
    except Exception as error:
        traceback.print_exc()
        outcome, found = Outcome.FAILED, Measured({}, f"{type(error).__name__}: {error}")
    answer = {"outcome": outcome, "figures": dict(found.figures), "remark": found.remark}
    Path(path).write_text(json.dumps(answer))
    sys.stderr.flush()
    os._exit(0)


def _run(peer: Peer, workload: Workload, effort: Effort) -> Measured:
    if workload.one_core:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if workload.engines:
        peer.start(workload.engines)
    return workload.measure(peer, effort)


if __name__ == "__main__":
    main()
