"""A real Grid Engine of this test process's own: a master and one host, which is this one."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import until
from tests.support.slurm import free_ports

INSTALLED = Path("/var/lib/gridengine")
TOOLS = Path("/usr/lib/gridengine")
RESOURCES = Path("/usr/share/gridengine")
NOTICE = 5
"""Seconds between the notice of its end and the end of a job."""

_BOOTSTRAP = """\
admin_user      none
default_domain  none
ignore_fqdn     true
spooling_method berkeleydb
spooling_lib    libspoolb
spooling_params {place}/spool/db
binary_path     /usr/sbin
qmaster_spool_dir {place}/spool/qmaster
security_mode   none
listener_threads 2
worker_threads  2
scheduler_threads 1
"""

_HOST = """\
hostname localhost
load_scaling NONE
complex_values NONE
user_lists NONE
xuser_lists NONE
projects NONE
xprojects NONE
usage_scaling NONE
report_variables NONE
"""

_PE = """\
pe_name            smp
slots              999
user_lists         NONE
xuser_lists        NONE
start_proc_args    NONE
stop_proc_args     NONE
allocation_rule    $pe_slots
control_slaves     FALSE
job_is_first_task  TRUE
urgency_slots      min
accounting_summary FALSE
qsort_args         NONE
"""

_NO_LIMIT = ("rt", "cpu", "fsize", "data", "stack", "core", "rss", "vmem")
_QUEUE = f"""\
qname                 all.q
hostlist              localhost
seq_no                0
load_thresholds       NONE
suspend_thresholds    NONE
nsuspend              1
suspend_interval      00:05:00
priority              0
min_cpu_interval      00:05:00
processors            UNDEFINED
qtype                 BATCH INTERACTIVE
ckpt_list             NONE
pe_list               smp
rerun                 FALSE
slots                 64
tmpdir                /tmp
shell                 /bin/bash
prolog                NONE
epilog                NONE
shell_start_mode      posix_compliant
starter_method        NONE
suspend_method        NONE
resume_method         NONE
terminate_method      NONE
notify                00:00:{NOTICE:02}
owner_list            NONE
user_lists            NONE
xuser_lists           NONE
subordinate_list      NONE
complex_values        NONE
projects              NONE
xprojects             NONE
calendar              NONE
initial_state         default
""" + "".join(f"{kind}_{each} INFINITY\n" for each in _NO_LIMIT for kind in ("s", "h"))

_AT_ONCE = {
    "schedule_interval": "0:0:1",
    "flush_submit_sec": "1",
    "flush_finish_sec": "1",
    "job_load_adjustments": "NONE",
}


def can_have_grid_engine() -> bool:
    """Say whether this process can run a Grid Engine."""
    programs = ("sge_qmaster", "sge_execd", "spooldefaults", "spoolinit")
    return (
        os.geteuid() == 0
        and all((TOOLS / each).exists() for each in programs)
        and shutil.which("qconf") is not None
    )


class GridEngine:
    """A Grid Engine, which runs while the context lasts.

    Parameters
    ----------
    place
        A directory of its own.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        master, host = free_ports(2)
        self.environment: Mapping[str, str] = {
            "SGE_ROOT": str(place),
            "SGE_CELL": "default",
            "SGE_QMASTER_PORT": str(master),
            "SGE_EXECD_PORT": str(host),
        }
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> GridEngine:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def run(self, *command: str) -> str:
        """Run one of its commands; return what it says."""
        done = self._try(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def queue(self) -> str:
        """Return the whole queue."""
        return self.run("qstat", "-u", "*", "-xml")

    def close(self) -> None:
        """End all jobs and daemons."""
        if len(self._daemons) == 2 and all(each.poll() is None for each in self._daemons):
            self._try("qdel", "-f", "-u", "*")
            until(lambda: "JB_job_number" not in self.queue(), "no job is left")
        for process in reversed(self._daemons):
            process.send_signal(signal.SIGKILL)
            process.wait()
        self._daemons.clear()

    def _start(self) -> None:
        common, spool = self.place / "default" / "common", self.place / "spool"
        for directory in (common, spool / "qmaster" / "job_scripts", spool / "db", spool / "execd"):
            directory.mkdir(parents=True)
        for name in ("bin", "lib", "util", "utilbin"):
            (self.place / name).symlink_to(INSTALLED / name)
        (common / "bootstrap").write_text(_BOOTSTRAP.format(place=self.place))
        (common / "act_qmaster").write_text("localhost\n")
        # Its own address has another name than its own.
        (common / "host_aliases").write_text(f"localhost {platform.node()}\n")
        self._spool(spool)
        self._run_daemon("sge_qmaster")
        until(lambda: self._try("qconf", "-sconf").returncode == 0, "the master answers")
        self._try("qconf", "-as", "localhost")
        self._try("qconf", "-ah", "localhost")
        for option, text in (("-Ae", _HOST), ("-Ap", _PE), ("-Aq", _QUEUE)):
            self.run("qconf", option, self._file(option, text))
        scheduler = [
            f"{name} {_AT_ONCE[name]}" if (name := line.split()[0]) in _AT_ONCE else line
            for line in self.run("qconf", "-ssconf").splitlines()
        ]
        self.run("qconf", "-Msconf", self._file("sconf", "\n".join(scheduler) + "\n"))
        self._run_daemon("sge_execd")
        until(lambda: "lx-" in self.run("qstat", "-f"), "its host is there")

    def _spool(self, spool: Path) -> None:
        settings = []
        for line in (RESOURCES / "default-configuration").read_text().splitlines():
            name = line.split(" ")[0]
            own = {"execd_spool_dir": spool / "execd", "min_uid": 0, "min_gid": 0}
            settings.append(f"{name} {own[name]}" if name in own else line)
        configuration = self._file("configuration", "\n".join(settings) + "\n")
        resources = RESOURCES / "util" / "resources"
        self.run(str(TOOLS / "spoolinit"), "berkeleydb", "libspoolb", str(spool / "db"), "init")
        defaults = str(TOOLS / "spooldefaults")
        self.run(defaults, "configuration", configuration)
        self.run(defaults, "complexes", str(resources / "centry"))
        self.run(defaults, "usersets", str(resources / "usersets"))
        self.run(defaults, "managers", "root")
        self.run(defaults, "operators", "root")

    def _file(self, name: str, text: str) -> str:
        path = self.place / name.lstrip("-")
        path.write_text(text)
        return str(path)

    def _try(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip

    def _run_daemon(self, name: str) -> None:
        # None of what tests look for, and ended with them if these are killed.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("CTRLHUB_")}
        with open(self.place / f"{name}.out", "ab") as log:
            self._daemons.append(
                subprocess.Popen(
                    ["setpriv", "--pdeathsig=KILL", str(TOOLS / name)],
                    env={**environment, **self.environment, "SGE_ND": "true"},
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
