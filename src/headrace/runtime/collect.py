"""Garbage collection: what may go, shown before it goes, and gone in an order that is safe to kill at any moment.

First the ledger says that versions are collected, then their manifests go (so that nobody adopts half of an output),
then the data. What a killed collection left behind belongs to no live version, so the next one finds and removes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from headrace.ports.failpoints import failpoint
from headrace.ports.ledger import Collect
from headrace.ports.online import online_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from headrace.ports.clock import Clock
    from headrace.ports.ledger import Ledger
    from headrace.ports.records import Json, Version
    from headrace.ports.stores import ArtefactStore, Stores, TableStore


@dataclass(frozen=True, slots=True)
class Garbage:
    """What a collection would remove: versions, and paths and generations in the data stores with their bytes."""

    versions: tuple[Version, ...]
    tables: Mapping[str, int]
    artefacts: Mapping[str, int]
    generations: Mapping[str, int]
    manifests: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes that would be free."""
        return sum(sum(each.values()) for each in (self.tables, self.artefacts, self.generations))

    def to_json(self) -> Json:
        """Plain data, for `--json`."""
        return {
            "versions": [{"key": each.key, "node": each.node, "made_at": each.made_at} for each in self.versions],
            "tables": dict(self.tables),
            "artefacts": dict(self.artefacts),
            "generations": dict(self.generations),
            "bytes": self.size,
        }


def find_garbage(ledger: Ledger, stores: Stores, clock: Clock, keep: timedelta) -> Garbage:
    """What no environment, no model and no retention rule needs. Reads only.

    Needed is: every version that an environment points to or started from, what it pointed to within `keep`, every
    version made within `keep`, the online features that served models look up, and whatever any of those was made from
    or was built upon.
    """
    versions = {version.key: version for version in ledger.versions()}
    limit = clock.now() - keep
    roots = {key for version in versions.values() for key in [version.key] if _at(version.made_at) >= limit}
    for environment in ledger.environments():
        roots |= _pointed_to(ledger, environment, limit)
    roots |= _looked_up(roots, versions)
    needed = _closure(roots, versions)
    unneeded = tuple(version for key, version in versions.items() if key not in needed)
    return Garbage(unneeded, *_orphans(stores, [versions[key] for key in needed], limit), _manifests(stores, needed))


def _manifests(stores: Stores, needed: set[str]) -> tuple[str, ...]:
    return tuple(sorted(key for key in stores.manifests.keys() if key not in needed))  # noqa: SIM118 - a method of the store


def _pointed_to(ledger: Ledger, environment: str, limit: datetime) -> set[str]:
    snapshot = ledger.snapshot(environment)
    keys = set(snapshot.pointers.values()) | set(snapshot.started.values())
    recent = [change for change in ledger.history(environment) if _at(change.at) >= limit]
    return keys | {change.previous for change in recent if change.previous is not None}


def _looked_up(roots: Iterable[str], versions: Mapping[str, Version]) -> set[str]:
    """The generations that models look up which are served: the newest one of each definition that such a model has.

    A roll-out may need two definitions of a view at once, of which the environment points to one.
    """
    inputs = {key for root in roots if root in versions for _, key in versions[root].inputs}
    wanted = {
        (online_name(view["view"]), view["fingerprint"])
        for model in inputs & versions.keys()
        for view in versions[model].manifest.facts.get("views", ())
    }
    newest: dict[tuple[str, str], str] = {}
    for version in versions.values():
        made_from = versions.get(version.inputs[0][1]) if version.inputs else None
        if made_from is not None and (version.node, made_from.fingerprint) in wanted:
            newest[version.node, made_from.fingerprint] = version.key
    return set(newest.values())


def _closure(roots: Iterable[str], versions: Mapping[str, Version]) -> set[str]:
    needed: set[str] = set()
    waiting = [key for key in roots if key in versions]
    while waiting:
        key = waiting.pop()
        if key not in needed:
            needed.add(key)
            waiting += [parent for _, parent in versions[key].inputs if parent in versions]
    return needed


def _orphans(
    stores: Stores, kept: Sequence[Version], limit: datetime
) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """The stored paths and the generations that no kept version refers to, by store, with their size."""
    used = {(ref.store, ref.path) for version in kept for ref in version.manifest.outputs.values()}
    used |= {(ref["store"], ref["path"]) for version in kept for ref in _left(version, limit)}
    online = stores.online
    generations = {each: online.size(each) for each in online.generations() if ("online", each) not in used}
    return _unused("table", stores.tables, used), _unused("artefact", stores.artefacts, used), generations


def _left(version: Version, limit: datetime) -> list[Json]:
    """The places where the outputs of a version lay within the time that is kept: somebody may still read there."""
    moved = version.manifest.facts.get("moved")
    return [] if moved is None or _at(moved["at"]) < limit else list(moved["from"].values())


def _unused(name: str, store: TableStore | ArtefactStore, used: set[tuple[str, str]]) -> dict[str, int]:
    return {path: store.size(path) for path in store.paths() if (name, path) not in used}


def collect(ledger: Ledger, stores: Stores, garbage: Garbage) -> None:
    """Remove what was found. The caller makes sure that no run is in flight."""
    for answer in ledger.write(Collect([version.key for version in garbage.versions])):
        answer.get()
    for key in garbage.manifests:
        failpoint("collect.remove.before")
        stores.manifests.remove(key)
        failpoint("collect.remove.after")
    for path in garbage.tables:
        failpoint("collect.remove.before")
        stores.tables.remove(path)
        failpoint("collect.remove.after")
    for path in garbage.artefacts:
        failpoint("collect.remove.before")
        stores.artefacts.remove(path)
        failpoint("collect.remove.after")
    for generation in garbage.generations:
        failpoint("collect.remove.before")
        stores.online.drop(generation)
        failpoint("collect.remove.after")
    stores.online.sweep()


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
