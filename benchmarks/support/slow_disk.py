"""Runs benchmarks as on a disk whose fsync takes longer, so that a ratio to the floor can be read for other disks."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.support.figures import BenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

EXTRA = "SLOW_DISK_MICROS"
"""The variable of the environment that says how much longer each fsync takes, in microseconds."""
_SOURCE = Path(__file__).with_name("slow_disk.c")


def again(arguments: Sequence[str], millis: float) -> int:
    """Run the benchmarks once more in a process in which each fsync takes so many milliseconds more.

    Returns the exit status. Raises BenchError where there is no C compiler.
    """
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "slow_disk.so"
        command = ["gcc", "-shared", "-fPIC", "-O2", "-o", str(library), str(_SOURCE), "-ldl"]
        try:
            subprocess.run(command, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            message = f"a slower disk needs gcc: {error}"
            raise BenchError(message) from error
        environment = {**os.environ, "LD_PRELOAD": str(library), EXTRA: str(round(1000 * millis))}
        return subprocess.run([sys.executable, "-m", "benchmarks", *arguments], env=environment, check=False).returncode
