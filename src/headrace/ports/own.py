"""Pointers that an environment keeps for itself: no pipeline declares such a node, and no promotion carries it."""

from __future__ import annotations

from typing import Final

from headrace.ports.predictions import is_predictions

_SETTLED: Final = ".settled"


def settled_name(endpoint: str) -> str:
    """The pointer to the version of an endpoint that has been through its roll-out: it answers what no other does."""
    return endpoint + _SETTLED


def is_own(node: str) -> bool:
    """Whether a pointer is the environment's own: what was answered there, and what is settled there."""
    return is_predictions(node) or node.endswith(_SETTLED)
