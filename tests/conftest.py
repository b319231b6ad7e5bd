"""Settings that every test shares."""

from __future__ import annotations

import os

# Before anything loads OpenMP: threads that spin while they wait starve the other test processes.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "2")


from hypothesis import settings

# Many processes share the machine: how long one example takes says nothing about the code.
settings.register_profile("headrace", deadline=None)
settings.load_profile("headrace")
