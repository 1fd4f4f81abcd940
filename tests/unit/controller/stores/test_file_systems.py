"""Where a database may stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctrlhub.controller.stores import file_systems, sqlite
from ctrlhub.controller.stores.file_systems import kind_of, network_kind
from ctrlhub.controller.stores.sqlite import SqliteStore
from ctrlhub.wire.errors import StoreError

MOUNTS = """\
22 1 252:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /home rw,relatime shared:2 master:3 - nfs4 server:/home rw,vers=4.2
24 23 0:22 / /home/me/with\\040space rw - xfs /dev/vdb rw
a line that is none
"""


@pytest.mark.parametrize(
    ("directory", "kind"),
    [
        ("/", "ext4"), ("/var/tmp/x", "ext4"), ("/home", "nfs4"), ("/home/me/.local/state", "nfs4"),
        ("/home/me/with space/x", "xfs"), ("/homely", "ext4"),
    ],
)  # fmt: skip
def test_the_nearest_mount_counts(directory: str, kind: str) -> None:
    """Names are compared whole."""
    assert kind_of(Path(directory), MOUNTS) == kind


def test_nobody_says() -> None:
    """Then it is taken for local."""
    assert kind_of(Path("/x"), "") == ""


def test_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what to do instead, and nothing is made there."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS.replace("/home rw", f"{tmp_path} rw"))
    monkeypatch.setattr(file_systems, "MOUNTS", mounts)
    assert network_kind(tmp_path) == "nfs4"
    with pytest.raises(StoreError, match=r"nfs4.*--store sqlite:.*--store memory"):
        SqliteStore(tmp_path / "store", 0.0, lambda call: None)
    assert not (tmp_path / "store").exists()
    assert sqlite.network_kind is network_kind
