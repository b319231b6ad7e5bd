"""Settings that every test shares."""

from __future__ import annotations

from hypothesis import settings

# Many processes share the machine: how long one example takes says nothing about the code.
settings.register_profile("headrace", deadline=None)
settings.load_profile("headrace")
