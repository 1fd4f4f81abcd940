"""Where a database may stand: SQLite's write-ahead log needs memory that all its users share."""

from __future__ import annotations

import os
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

NETWORK = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse.ceph", "fuse.glusterfs", "fuse.s3fs",
    "fuse.sshfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs",
    "pvfs2", "smb3", "smbfs", "wekafs",
})  # fmt: skip
"""File systems of the network, or of several hosts, as the system calls them."""


def kind_of(directory: Path, mounts: str) -> str:
    """Return the kind of file system on which a directory stands; empty if nobody says.

    Parameters
    ----------
    directory
        An absolute path without links.
    mounts
        What stands in ``/proc/self/mountinfo``.
    """
    found, longest = "", -1
    for line in mounts.splitlines():
        before, dash, behind = line.partition(" - ")
        fields, kinds = before.split(), behind.split()
        if not dash or len(fields) < 5 or not kinds:
            continue
        point = Path(fields[4].encode().decode("unicode_escape"))
        if directory.is_relative_to(point) and len(point.parts) >= longest:
            found, longest = kinds[0], len(point.parts)
    return found


def network_kind(directory: Path) -> str:
    """Return the kind of network file system on which a directory stands; empty if it is local."""
    try:
        mounts = MOUNTS.read_text(errors="replace")
    except OSError:  # a system that does not say so
        return ""
    kind = kind_of(Path(os.path.realpath(directory)), mounts)
    return kind if kind in NETWORK else ""
