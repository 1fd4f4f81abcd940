"""A real Slurm of this test process's own: munged, slurmctld and a slurmd for each of its nodes.

All nodes are this host; its ports, keys and directories are nobody else's.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
NODES = ("n1", "n2")
CORES = 8

_CONFIG = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={place}/munge/socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool/%n
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.%n.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,sched_min_interval=0
KillWait=5
MessageTimeout=4
SlurmdTimeout={node_timeout}
SwitchType=switch/none
SlurmdParameters=config_overrides
{nodes}
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
PartitionName=idle Nodes=ALL MaxTime=INFINITE State=DOWN
"""


def can_have_slurm() -> bool:
    """Say whether this process can run a Slurm."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    return os.geteuid() == 0 and all(shutil.which(each, path=path) for each in PROGRAMS)


class Slurm:
    """A Slurm of two nodes, which runs while the context lasts.

    Parameters
    ----------
    place
        A directory of its own.
    node_timeout
        After so many seconds without a sign of life a node is down.
    """

    def __init__(self, place: Path, node_timeout: int = 300) -> None:
        self.place = place
        self.config = place / "slurm.conf"
        self._node_timeout = node_timeout
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def environment(self) -> Mapping[str, str]:
        """By which its commands find it."""
        return {"SLURM_CONF": str(self.config)}

    def __enter__(self) -> Slurm:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def run(self, *command: str, patience: float = 60.0) -> str:
        """Run one of its commands; return what it says."""
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True,
            timeout=patience, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def queue(self) -> list[str]:
        """Return what stands in the queue: number, name and state of each job."""
        return self.run("squeue", "--noheader", "--format=%i %j %T").splitlines()

    def kill(self, daemon: str) -> None:
        """Kill a daemon: slurmctld, or a node's slurmd by the name of the node."""
        process = self._daemons[daemon]
        process.kill()
        process.wait()

    def start_controller(self) -> None:
        """Start slurmctld, again perhaps."""
        self._run_daemon("slurmctld", "slurmctld", "-D", "-f", str(self.config))
        until(self._answers, "slurmctld answers")

    def start_node(self, name: str) -> None:
        """Start a node's slurmd, again perhaps."""
        self._run_daemon(name, "slurmd", "-D", "-N", name, "-f", str(self.config))

    def cancel_all(self) -> None:
        """End what a failed test left."""
        if self.queue():
            self.run("scancel", "--quiet", "--full", "--signal=KILL", "--user=root")
            self.run("scancel", "--quiet", "--user=root")
            until(lambda: not self.queue(), "no job is left")

    def close(self) -> None:
        """End all jobs and daemons."""
        if "slurmctld" in self._daemons and self._daemons["slurmctld"].poll() is None and self._answers():
            self.cancel_all()
        for name in ("slurmctld", *NODES, "munged"):
            process = self._daemons.pop(name, None)
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()

    def _start(self) -> None:
        munge = self.place / "munge"
        for directory in (munge, self.place / "state", self.place / "spool"):
            directory.mkdir()
        # munged refuses a place that others than it and root could change, whoever looks at it.
        (munge / "key").write_bytes(os.urandom(1024))
        (munge / "key").chmod(0o400)
        ports = free_ports(1 + len(NODES))
        nodes = "\n".join(
            f"NodeName={name} NodeHostname={platform.node()} NodeAddr=127.0.0.1 Port={port} CPUs={CORES} "
            f"SocketsPerBoard={CORES} CoresPerSocket=1 ThreadsPerCore=1 RealMemory=1000 State=UNKNOWN"
            for name, port in zip(NODES, ports[1:], strict=True)
        )
        self.config.write_text(
            _CONFIG.format(
                host=platform.node(),
                ports=ports,
                place=self.place,
                nodes=nodes,
                node_timeout=self._node_timeout,
            )
        )
        self._run_daemon(
            "munged", "munged", "--foreground", "--force", f"--key-file={munge}/key", f"--socket={munge}/socket",
            f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed",
        )  # fmt: skip
        until((munge / "socket").exists, "munged listens")
        for name in NODES:
            self.start_node(name)
        self.start_controller()
        until(lambda: self._idle_nodes() == len(NODES), "all nodes are idle")

    def _run_daemon(self, name: str, *command: str) -> None:
        path = f"{os.environ.get('PATH', '')}:/usr/sbin"
        # None of what tests look for, and ended with them if these are killed.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("CTRLHUB_")}
        with open(self.place / f"{name}.out", "ab") as log:
            self._daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", *command],
                env={**environment, **self.environment, "PATH": path},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _answers(self) -> bool:
        done = subprocess.run(
            ["scontrol", "ping"], env={**os.environ, **self.environment}, capture_output=True, check=False
        )
        return done.returncode == 0 and b"is UP" in done.stdout

    def _idle_nodes(self) -> int:
        return len(self.run("sinfo", "--noheader", "-N", "--partition=debug", "--states=idle").splitlines())


def free_ports(count: int) -> list[int]:
    """Find ports that nobody has, below those that the system gives away by itself; other processes begin elsewhere."""
    found: list[int] = []
    start = 20000 + os.getpid() % 5000
    for port in range(start, start + 5000):
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free ports")
