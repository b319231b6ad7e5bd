"""The node that fills the online store: one generation for each version of a feature view."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from headrace.features.packed import FORMAT, HEADER_KEY, Header
from headrace.features.packing import pack
from headrace.features.view import join_of
from headrace.graph.node import Node
from headrace.ports.online import digest_of, online_name
from headrace.ports.records import Manifest, Ref

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.features.view import FeatureView
    from headrace.graph.node import Options
    from headrace.ports.online import Entry, OnlineStore
    from headrace.ports.records import Facts, Version
    from headrace.ports.work import Context, Step

STORE = "online"
"""How references name the store, and outputs what lies in it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class OnlineFeatures(Node):
    """A feature view in the online store. Its versions are generations, named by their keys."""

    kind: ClassVar[str] = "online"
    verb: ClassVar[str] = "publish"
    semantics: ClassVar[int] = FORMAT

    def __init__(self, view: FeatureView, options: Options | None = None) -> None:
        super().__init__(online_name(view.name), (view,), options)
        self.view = view

    def make(self, step: Step, context: Context) -> Manifest:
        """Fill the generation and read it back: what the manifest says is of what lies there.

        A generation that an earlier try has filled stays as it is.
        """
        version = context.versions[self.view.name]
        store = context.stores.online
        _, entries = pack(join_of(self.view).read(version, context.stores), _micros(version.made_at))
        store.fill(step.key, entries)
        tally = _Tally(store, step.key)
        digest = digest_of(tally)
        facts = _facts(tally, version)
        context.log(f"{facts['entities']} entities, {facts['bytes']} bytes, newest row of {facts['newest_visible']}")
        return Manifest(step.key, {STORE: Ref(STORE, step.key, digest)}, facts)


class _Tally:
    """The entries of a generation, counted as they pass."""

    def __init__(self, store: OnlineStore, generation: str) -> None:
        self._store = store
        self._generation = generation
        self.entries = 0
        self.bytes = 0
        (content,) = store.get(generation, [HEADER_KEY])
        self.header = Header.decoded(content, generation)

    def __iter__(self) -> Iterator[Entry]:
        for key, value in self._store.entries(self._generation):
            self.entries += 1
            self.bytes += len(key) + len(value)
            yield key, value


def _facts(tally: _Tally, version: Version) -> Facts:
    """What is known of a generation. `lag` is how many seconds old its newest row was when the view was made."""
    header, made = tally.header, _micros(version.made_at)
    lag = None if made is None or header.newest is None else (made - header.newest) / 1_000_000
    return {
        "view": version.key,
        "entity_types": [version.manifest.facts["schema"][name] for name, _ in header.entity],
        "features": version.manifest.facts["features"],
        "entities": tally.entries - 1,
        "bytes": tally.bytes,
        "newest_visible": _iso(header.newest),
        "horizon": _iso(header.horizon),
        "lag": lag,
    }


def _micros(moment: str) -> int | None:
    """A moment of the ledger in microseconds since 1970; None where there is none."""
    return (datetime.fromisoformat(moment) - _EPOCH) // timedelta(microseconds=1) if moment else None


def _iso(moment: int | None) -> str | None:
    return None if moment is None else (_EPOCH + timedelta(microseconds=moment)).isoformat()
