"""Why a node changes, in words: the present version compared with the one that is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.graph.keys import SETTING
from headrace.plan.marks import kept_among, mark_of
from headrace.ports.mappings import differences

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.graph.keys import Coded
    from headrace.plan.address import Address
    from headrace.ports.records import Version


def reason(address: Address, coded: Coded, pointed: Version | None) -> tuple[str, list[str]]:
    """The reason in a few words, and details worth a line each."""
    if pointed is None:
        return "new", []
    if address.generation > pointed.generation:
        return "refresh asked for", []
    why, details = _changed(address, coded, pointed)
    return why, [*details, *_kept(address)]


def _changed(address: Address, coded: Coded, pointed: Version) -> tuple[str, list[str]]:
    if coded.fingerprint != pointed.fingerprint:
        return _code_changed(coded.parts, pointed.parts)
    before = dict(pointed.inputs)
    changed = [name for name, key in address.inputs if before.get(name) != key]
    different = differences(pointed.batches, address.batches)
    again = [batch for batch, (was, now) in different.items() if was and now and mark_of(was) != mark_of(now)]
    if again and not changed:
        return "backfill", [f"{len(again)} of {len(address.batches)} batches made again"]
    observed = address.observation is not None
    if (observed or not changed) and different:
        return _batches_changed(different)
    return "input changed", [f"made from a new version of {name}" for name in changed]


def _kept(address: Address) -> list[str]:
    """How much of it earlier code has made."""
    kept = kept_among(address.batches)
    return [f"forward only: {kept} of {len(address.batches)} batches stay as earlier code made them"] if kept else []


def _code_changed(wanted: Mapping[str, str], present: Mapping[str, str]) -> tuple[str, list[str]]:
    changed = sorted(name for name in wanted.keys() & present.keys() if wanted[name] != present[name])
    added = sorted(wanted.keys() - present.keys())
    removed = sorted(present.keys() - wanted.keys())
    named = [f"{spelled(name)} changed" for name in changed]
    named += [f"{spelled(name)} is new" for name in added]
    named += [f"{spelled(name)} is gone" for name in removed]
    touched = changed + added + removed
    if touched and all(name == f"{SETTING}contract" for name in touched):
        return "contract changed", named
    if touched and all(name.startswith(SETTING) for name in touched):
        return "settings changed", named
    return "code changed", named


def spelled(part: str) -> str:
    """A part of a fingerprint as people call it."""
    return f"setting {part.removeprefix(SETTING)}" if part.startswith(SETTING) else part


def _batches_changed(different: Mapping[str, tuple[str | None, str | None]]) -> tuple[str, list[str]]:
    added = [name for name, (was, _) in different.items() if was is None]
    removed = [name for name, (_, now) in different.items() if now is None]
    altered = [name for name, (was, now) in different.items() if was is not None and now is not None]
    details = [f"{_listed(names)} {verb}" for names, verb in _named(added, altered, removed) if names]
    return ("new rows" if added and not removed and not altered else "rows changed"), details


def _named(added: Sequence[str], altered: Sequence[str], removed: Sequence[str]) -> list[tuple[Sequence[str], str]]:
    return [(added, "arrived"), (altered, "changed"), (removed, "went away")]


def _listed(names: Sequence[str], limit: int = 3) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
