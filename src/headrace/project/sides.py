"""What is compared: an environment, or one version of one node."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from headrace.errors import HeadraceError
from headrace.ports.own import is_own
from headrace.runtime.environments import existing

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from headrace.ports.ledger import Ledger
    from headrace.ports.records import Version

_KEY: Final = re.compile(r"[0-9a-f]{6,64}")
_TOO_SHORT: Final = re.compile(r"(?=.*\d)[0-9a-f]{1,5}")
_SHORT: Final = 12


@dataclass(frozen=True, slots=True)
class Side:
    """The versions by node, and what to call them. `only` is the node of a side that is one version."""

    name: str
    versions: Mapping[str, Version]
    only: str | None = None


def side(ledger: Ledger, text: str) -> Side:
    """What a text names: an environment, `ENV@KEY` for a version that it once had, or the key of a version.

    A key may be cut after six characters or more. Raises HR609 for an unknown environment, HR837 for a key that names
    no version, or several.
    """
    if text in ledger.environments():
        pointers = existing(ledger, text).pointers
        live = ledger.live(sorted(set(pointers.values())))
        return Side(text, {node: live[key] for node, key in pointers.items() if key in live and not is_own(node)})
    name, at, key = text.rpartition("@")
    if at:
        existing(ledger, name)
        known = {change.key for change in ledger.history(name) if change.key and not is_own(change.node)}
        return _one(ledger, text, {each for each in known if key and each.startswith(key)})
    if _TOO_SHORT.fullmatch(text):
        raise HeadraceError("HR837", f"{text} is no environment, and less than six characters of a key")
    if not _KEY.fullmatch(text):
        existing(ledger, text)
    return _one(ledger, text, {each.key for each in ledger.versions(collected=True) if each.key.startswith(text)})


def _one(ledger: Ledger, text: str, keys: Collection[str]) -> Side:
    found = ledger.live(sorted(keys))
    if len(found) == 1:
        [version] = found.values()
        return Side(text, {version.node: version}, version.node)
    if not found:
        gone = [version.node for version in map(ledger.version, sorted(keys)) if version is not None]
        what = f"a version of {gone[0]} that was collected" if len(gone) == 1 else "no version"
        raise HeadraceError("HR837", f"{text} is {what}")
    several = ", ".join(f"{each.key[:_SHORT]} of {each.node}" for each in found.values())
    raise HeadraceError("HR837", f"{text} is the beginning of several keys: {several}")
