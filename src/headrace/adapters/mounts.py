"""What kind of file system a folder lies on, as far as the kernel says (`/proc`, Linux)."""

from __future__ import annotations

import re
from pathlib import Path

TABLE = Path("/proc/self/mounts")

_NETWORK = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4"}
    | {"orangefs", "pvfs2", "smb2", "smb3", "smbfs"}
    | {
        f"fuse.{name}"
        for name in ("beegfs", "ceph", "ceph-fuse", "davfs2", "gcsfuse", "glusterfs", "goofys", "juicefs")
    }
    | {f"fuse.{name}" for name in ("mount-s3", "mountpoint-s3", "rclone", "s3fs", "smbnetfs", "sshfs")}
)
_OCTAL = re.compile(r"\\([0-7]{3})")


def file_system_of(path: Path) -> str:
    """The type of the file system that a path lies on, "" where it cannot be told."""
    try:
        text = TABLE.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""  # no Linux
    place, found, length = path.resolve(), "", -1
    for line in text.splitlines():
        _, mounted, kind, *_ = line.split(" ")
        point = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), mounted))
        if len(point.parts) >= length and place.is_relative_to(point):  # of two on one point, the later one is on top
            found, length = kind, len(point.parts)
    return found


def on_network(path: Path) -> str | None:
    """The type of the network file system that a path lies on, None where it lies on none."""
    kind = file_system_of(path)
    return kind if kind in _NETWORK else None
