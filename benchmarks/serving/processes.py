"""What a server costs: the processor time of all its processes, and the memory of the one that works most."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def processor_seconds(leader: int) -> dict[int, float]:
    """The processor time that a process and everything below it has used so far, by process."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we were looking
        fields = text.rpartition(")")[2].split()
        parents[int(stat.parent.name)] = int(fields[1])
        used[int(stat.parent.name)] = (int(fields[11]) + int(fields[12])) / _TICKS
    return {pid: seconds for pid, seconds in used.items() if _is_below(pid, leader, parents)}


def resident(pid: int) -> float:
    """The resident memory of a process in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * _PAGE / (1 << 20)


def _is_below(pid: int, leader: int, parents: dict[int, int]) -> bool:
    while pid and pid != leader:
        pid = parents.get(pid, 0)
    return pid == leader
