"""Where rows come from. Each source has a cursor: it knows which batches it has landed, by their content.

The origins that `headrace` has no room for are importable from here, and loaded when they are asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.sources.databases import database
    from headrace.sources.neighbours import shared

_HOME = {"database": "databases", "shared": "neighbours"}
__all__ = ["database", "shared"]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(importlib.import_module(f"headrace.sources.{_HOME[name]}"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
