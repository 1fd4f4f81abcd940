"""A PostgreSQL server of the tests' own: unprivileged, in a temporary directory, on a unix socket."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tests.support.processes import STATE_VARIABLE, is_alive, until

_DEBIAN = Path("/usr/lib/postgresql")


def programs() -> Path | None:
    """Return where the server's programs are, the newest first; None if they are not installed."""
    found = sorted(_DEBIAN.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("postgres")
    if not found and on_path is None:
        return None
    return (found[-1] if found else Path(str(on_path))).parent


def can_have_postgres() -> bool:
    """Say whether there are programs, and somebody other than root to run them."""
    return programs() is not None and (os.geteuid() != 0 or shutil.which("setpriv") is not None)


class PostgresServer:
    """A server, with as many databases as wanted. It listens on no port."""

    def __init__(self) -> None:
        # A unix socket's path is short, so the place is not below pytest's.
        self.place = Path(tempfile.mkdtemp(prefix="pg-"))
        self._databases = 0
        self._server: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(self.place, "nobody")
        self._run("initdb", "-D", str(self.data), "-U", "tests", "-A", "trust", "-E", "UTF8", "-N")

    @property
    def data(self) -> Path:
        """Where its files are."""
        return self.place / "data"

    def start(self) -> None:
        """Start it, and wait until it serves."""
        options = [f"-k{self.place}", "-h", "", "-c", "max_wal_size=64MB", "-c", "min_wal_size=32MB"]
        command = self._as_nobody("postgres", "-D", str(self.data), *options)
        # It may outlive the test that needs it first, and is none of what that has started.
        environment = {name: v for name, v in os.environ.items() if name != STATE_VARIABLE}
        with open(self.place / "log", "ab") as log:
            self._server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        until(self._serves, "PostgreSQL serves")

    def _serves(self) -> bool:
        assert self._server is not None
        assert self._server.poll() is None, (self.place / "log").read_text()
        command = self._as_nobody("pg_isready", "-q", "-h", str(self.place), "-U", "tests", "-d", "postgres")
        return subprocess.run(command, check=False).returncode == 0

    def processes(self) -> list[int]:
        """Return the pids of the server, its first process first."""
        assert self._server is not None
        found = Path(f"/proc/{self._server.pid}/task/{self._server.pid}/children").read_text().split()
        return [self._server.pid, *map(int, found)]

    def kill(self) -> None:
        """Kill all of it, as a power cut would, but for what the system has in its memory."""
        pids = self.processes()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert self._server is not None
        self._server.wait()
        until(lambda: not any(map(is_alive, pids)), "the server is dead")

    def stop(self) -> None:
        """End it at once."""
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait()

    def close(self) -> None:
        """End it, and leave nothing."""
        self.stop()
        shutil.rmtree(self.place)

    def new_database(self) -> str:
        """Make an empty database; return its URL."""
        self._databases += 1
        name = f"store{self._databases}"
        self.sql("postgres", f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, database: str, user: str = "tests") -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}@{quote(str(self.place), safe='')}/{database}"

    def require_password(self, user: str, password: str) -> None:
        """Make a user who has to give a password, on this server's socket as well."""
        self.sql("postgres", f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
        rules = self.data / "pg_hba.conf"
        rules.write_text(f"local all {user} scram-sha-256\n{rules.read_text()}")
        self.sql("postgres", "SELECT pg_reload_conf()")

    def sql(self, database: str, *statements: str) -> str:
        """Carry out statements as the administrator; return what they say."""
        commands = [part for statement in statements for part in ("-c", statement)]
        return self._run("psql", "-XAtq", "-h", str(self.place), "-U", "tests", "-d", database, *commands)

    def _run(self, program: str, *arguments: str) -> str:
        result = subprocess.run(
            self._as_nobody(program, *arguments), capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, f"{program}: {result.stdout}{result.stderr}"
        return result.stdout.strip()

    def _as_nobody(self, program: str, *arguments: str) -> Sequence[str]:
        """Return a command; PostgreSQL refuses to be run by root."""
        where = programs()
        assert where is not None
        command = (str(where / program), *arguments)
        if os.geteuid() != 0:
            return command
        # Also it ends with the tests, if these are killed.
        nobody = ("--reuid=nobody", "--regid=nogroup", "--clear-groups", "--pdeathsig=QUIT")
        return ("setpriv", *nobody, *command)
