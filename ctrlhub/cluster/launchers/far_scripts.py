"""The scripts that the ssh launcher runs on other hosts; in the language of a POSIX shell."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

DETACHED = "ctrl-hub-detached "
"""What ``ctrl-hub engine --detach`` prints before what it has started, as JSON."""
STATE = "ctrl-hub-state "
FOUND = "ctrl-hub-found "

TICK = 0.1
"""Seconds between two looks whether a process has ended."""
KILL_TICKS = 50

_ALIVE = """\
alive() {{
  kill -0 {pid} 2>/dev/null || return 1
  [ -r /proc/{pid}/stat ] || return 0
  set -- $(sed 's/.*) //' /proc/{pid}/stat 2>/dev/null)
  [ "$1" != Z ] && [ "${{20}}" = {birth} ]
}}
"""

_LOOK = """\
if alive; then echo '{state}running'; else
  echo '{state}ended '$(cat {note} 2>/dev/null)
  tail -n 20 {log} 2>/dev/null
fi
"""

_END = """\
alive && kill -INT {pid}
n=0; while alive && [ $n -lt {ticks} ]; do sleep {tick}; n=$((n+1)); done
alive && kill -KILL {pid}
n=0; while alive && [ $n -lt {kill_ticks} ]; do sleep {tick}; n=$((n+1)); done
if alive; then echo '{state}running'; else echo '{state}ended'; fi
"""

_FIND = """\
logs={logs}
ps -A -o pid= -o ppid= -o args= | grep -F -- {name} | grep -v -F -- 'grep -F' | while read -r pid parent rest; do
  birth=; [ -r /proc/$pid/stat ] && birth=$(sed 's/.*) //' /proc/$pid/stat 2>/dev/null | cut -d ' ' -f 20)
  echo "{found}$pid $parent ${{birth:--}} $(uname -n) $logs"
done
"""


def look(far: Mapping[str, Any]) -> str:
    """Say whether a nanny runs, and if not how it ended, and its last lines."""
    note = f"{far['logs']}/{far['node']}-{far['pid']}.exit"
    return _alive(far) + _LOOK.format(
        state=STATE, note=shlex.quote(note), log=shlex.quote(str(far["log"]))
    )


def end(far: Mapping[str, Any], patience: float) -> str:
    """End a nanny: by SIGINT, since SIGTERM lets it finish, and in the end by SIGKILL; say whether it has ended."""
    return _alive(far) + _END.format(
        pid=int(far["pid"]), ticks=max(1, int(patience / TICK)), tick=TICK, kill_ticks=KILL_TICKS, state=STATE
    )


def signal(far: Mapping[str, Any], number: int) -> str:
    """Send a nanny a signal; say whether it runs."""
    return _alive(far) + (
        f"if alive; then kill -{int(number)} {int(far['pid'])} && echo '{STATE}running'; "
        f"else echo '{STATE}ended'; fi\n"
    )


def find(name: str, logs: str) -> str:
    """Find the processes that have a name in their command line; `logs` is written in shell."""
    return _FIND.format(name=shlex.quote(f" {name} "), found=FOUND, logs=logs)


def fetch(logs: str, most: int) -> str:
    """Print the end of each log, behind a line with its length and its name."""
    place = shlex.quote(logs)
    return (
        f"cd {place} 2>/dev/null || exit 0\n"
        "for file in *.log */*.log; do [ -f \"$file\" ] || continue\n"
        f"  size=$(tail -c {most} \"$file\" | wc -c)\n"
        "  echo \"ctrl-hub-log $((size)) $file\"\n"
        f"  tail -c {most} \"$file\" | head -c \"$((size))\"\n  echo\ndone\n"
    )


def _alive(far: Mapping[str, Any]) -> str:
    return _ALIVE.format(pid=int(far["pid"]), birth=shlex.quote(str(far["birth"])))
