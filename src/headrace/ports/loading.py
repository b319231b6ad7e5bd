"""Whether this process loads a project that another one has loaded and checked before."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

checked_before: Final[ContextVar[bool]] = ContextVar("checked_before", default=False)
"""Then checks that start threads are left out: a process that has some cannot be forked."""
