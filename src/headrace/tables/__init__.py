"""Tables: what a clean row looks like, what becomes of the others, and how a table grows."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.tables.engines import check
    from headrace.tables.expressions import col
    from headrace.tables.measures import rows
    from headrace.tables.named import rule

_HOME = {"check": "engines", "col": "expressions", "rows": "measures", "rule": "named"}
__all__ = ["check", "col", "rows", "rule"]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    if name not in _HOME:
        message = f"module 'headrace.tables' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(f"headrace.tables.{_HOME[name]}"), name)
