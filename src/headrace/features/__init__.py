"""Feature views: what is known of an entity at a moment, joined to labels as serving would have had it.

The aggregates that `headrace` has no room for are importable from here, and loaded when they are asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.features.aggregates import count, distinct, largest, latest, mean, smallest, std, total

__all__ = ["count", "distinct", "largest", "latest", "mean", "smallest", "std", "total"]


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(importlib.import_module("headrace.features.aggregates"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
