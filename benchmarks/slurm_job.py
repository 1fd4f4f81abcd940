"""How long a Slurm job of four engines takes to its first result, beside ``srun hostname``.

``python -m benchmarks.slurm_job`` runs a Slurm of its own (root on Debian, `make system-parts`);
with ``--here`` it uses the one of this site, and the address that its nodes reach this host by:
``python -m benchmarks.slurm_job --here --listen 10.0.0.1``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import median

from ctrlhub import Cluster
from ctrlhub.cluster.launchers.sets import make_set, start_set
from ctrlhub.wire.places import Profile

ENGINES = 4
GOAL = 2.0
"""The most (seconds) beyond `srun hostname`."""
PROFILE = "slurm-benchmark"


def srun_hostname() -> float:
    """Time Slurm's own way from nothing to a result."""
    begin = time.perf_counter()
    subprocess.run(["srun", f"--ntasks={ENGINES}", "hostname"], check=True, capture_output=True)
    return time.perf_counter() - begin


def first_result(cluster: Cluster) -> float:
    """Time the way from a hub without engines to a result of one of four, and of all."""
    profile = Profile.named(PROFILE)
    launcher = make_set(profile, "slurm", ENGINES)
    client = cluster.client
    begin = time.perf_counter()
    start_set(launcher)
    client.wait_for_engines(1, timeout=60, interactive=False)
    assert client.load_balanced_view().apply_sync(pow, 6, 2) == 36
    took = time.perf_counter() - begin
    client.wait_for_engines(ENGINES, timeout=60, interactive=False)
    launcher.stop()
    while client.ids:
        time.sleep(0.01)
    return took


def own_slurm(place: Path) -> AbstractContextManager[object]:
    """Run a Slurm on this machine."""
    from tests.support.slurm import Slurm

    slurm = Slurm(place)
    os.environ.update(slurm.environment)
    return slurm


def main() -> int:
    """Print both, and say whether the goal is reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--here", action="store_true", help="use the Slurm of this site")
    parser.add_argument("--listen", default="127.0.0.1", help="this host's address for its nodes")
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        slurm = nullcontext() if given.here else own_slurm(Path(place))
        with slurm, Cluster(n=0, profile=PROFILE, listen=given.listen) as client:
            cluster = client.cluster
            srun = [srun_hostname() for _ in range(given.runs)]
            ours = [first_result(cluster) for _ in range(given.runs)]
    beyond = median(ours) - median(srun)
    print(f"srun -n {ENGINES} hostname          {median(srun):6.2f} s   ({', '.join(f'{t:.2f}' for t in srun)})")
    print(f"{ENGINES} engines, first result     {median(ours):6.2f} s   ({', '.join(f'{t:.2f}' for t in ours)})")
    print(f"beyond it                    {beyond:6.2f} s   goal: at most {GOAL:.1f} s")
    return 0 if beyond <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
