"""Settings that every test shares."""

from __future__ import annotations

import os

# Before anything loads OpenMP: threads that spin while they wait starve the other test processes.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "2")


import compileall
import signal
import sys
import sysconfig
from importlib.util import cache_from_source
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import settings

if TYPE_CHECKING:
    import pytest

# Many processes share the machine: how long one example takes says nothing about the code.
settings.register_profile("headrace", deadline=None)
settings.load_profile("headrace")


def pytest_configure(config: pytest.Config) -> None:
    """Hear Ctrl-C, which tests press; compile modules once where PYTHONDONTWRITEBYTECODE is set.

    The tests start hundreds of processes, and each would compile scikit-learn for itself, which takes seconds.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell does so with what it runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not sys.dont_write_bytecode or hasattr(config, "workerinput"):
        return
    libraries, root = Path(sysconfig.get_path("purelib")), Path(__file__).parents[1]
    is_compiled = Path(cache_from_source(str(libraries / "sklearn" / "__init__.py"))).exists()
    for folder in (root / "src", root / "tests", *(() if is_compiled else (libraries,))):
        compileall.compile_dir(folder, quiet=2, workers=0)
