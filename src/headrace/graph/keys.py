"""Keys: the recipe of a version, as one hash.

A key covers the scheme of keys itself, the kind of node and its semantics, its name, the fingerprint of its code and
settings, the keys of its inputs, what a source was observed to hold, and a generation that `--refresh` raises. It never
covers an environment or the wall clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.ports.canonical import digest_of
from headrace.ports.mappings import Pieces, pieced

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.graph.node import Node

KEY_SCHEME = 1

SETTING = "setting:"
"""Parts of a fingerprint that are settings, not code, begin with this."""


@dataclass(frozen=True, slots=True)
class Coded:
    """What a node's code and settings come to: one digest, and the digest of each part for people to compare."""

    fingerprint: str
    parts: Mapping[str, str]
    libraries: tuple[str, ...] = ()


def version_key(
    node: Node,
    coded: Coded,
    inputs: Sequence[str],
    *,
    observed: Mapping[str, str] | None,
    generation: int,
    marks: Mapping[str, str] | None = None,
) -> str:
    """The key of the version that this node makes of these input keys.

    `marks` says, by batch, what the present code has not simply made of it (see `headrace.plan.marks`).
    """
    identity = None if observed is None else _identity(pieced(observed))
    recipe = [KEY_SCHEME, node.kind, node.semantics, node.name, coded.fingerprint, list(inputs), identity, generation]
    return digest_of([*recipe, dict(marks)] if marks else recipe)


def _identity(observed: Mapping[str, str]) -> object:
    """What was observed, as part of a key: of many batches the digest that stands for just these."""
    return ("pieces", observed.tree.root.digest) if isinstance(observed, Pieces) else dict(observed)


def seed_of(key: str) -> int:
    """The seed for everything random in a step: 31 bits of its key."""
    return int(key[:8], 16) & 0x7FFFFFFF
