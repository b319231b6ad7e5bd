"""Looking up features of single entities in the online store, as the offline join would have them.

An entry is not unpacked: what a feature needs is read from the bytes where it stands. A window is two binary searches
over the times of the entity, and an aggregate the difference of two numbers.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.features.entries import Entries
from headrace.features.measures import measures_of
from headrace.features.packed import HEADER_KEY, SPELLINGS, Header, key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.features.entries import Entity
    from headrace.ports.online import OnlineStore

KEPT = 32 * 2**20
"""Bytes of the entries that a view keeps at hand. One that is larger than a hundredth of it is read each time."""

OVERHEAD = 512
"""Bytes that an entry at hand takes beside its content, roughly."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class OnlineView:
    """One generation of a view. It may be used from any thread."""

    def __init__(self, store: OnlineStore, generation: str, header: Header) -> None:
        self.generation = generation
        self.header = header
        self._store = store
        self._spellings = [SPELLINGS[kind] for _, kind in header.entity]
        self._overs = list(dict.fromkeys(each.over for each in header.features))
        self._no_lows = [0] * len(self._overs) if set(self._overs) == {None} else None
        self._entries = Entries(header, measures_of(header, self._overs))
        self._unknown: dict[str, object] = {each.name: None for each in header.features}
        self._kept: OrderedDict[bytes, Entity] = OrderedDict()
        self._weight = 0
        self._lock = Lock()

    @classmethod
    def open(cls, store: OnlineStore, generation: str) -> OnlineView:
        """A generation, which tells itself what it holds. Raises HR470, HR471 and HR472."""
        (content,) = store.get(generation, [HEADER_KEY])
        return cls(store, generation, Header.decoded(content, generation))

    @property
    def names(self) -> tuple[str, ...]:
        """The features, in order."""
        return tuple(self._unknown)

    def lookup(
        self, entities: Sequence[Sequence[object]], cutoffs: Sequence[int]
    ) -> tuple[list[dict[str, object]], list[int | None]]:
        """What was visible of each entity strictly before its cut-off.

        Args:
            entities: For each row the values that name the entity, in the order of the view's entity; ISO 8601 text
                will do for dates and datetimes. Where one is None, every feature is None.
            cutoffs: For each row the moment that is asked about, in microseconds since 1970.

        Returns:
            For each row its features by name, and when the newest row of its entity became visible that the cut-off
            sees, even where it is past every window; None where there is none.

        Raises:
            HeadraceError: HR475 for a cut-off before the horizon, HR476 for a value that cannot name an entity, HR456
                for a total beyond 64 bits, HR470, HR471 and HR472.
        """
        if cutoffs:
            self._refuse_early(min(cutoffs))
        key_of_one = self._key
        keys = [key_of_one(entity) for entity in entities]
        found = self._found(keys)
        values: list[dict[str, object]] = []
        seen: list[int | None] = []
        for key, cutoff in zip(keys, cutoffs, strict=True):
            if key is None:
                values.append(self._unknown.copy())
                seen.append(None)
                continue
            entity = found[key]
            row = self._unknown.copy()
            values.append(row)
            seen.append(self._take(entity, cutoff, row))
        return values, seen

    def _take(self, entity: Entity, cutoff: int, row: dict[str, object]) -> int | None:
        """Put what was visible of an entity into a row; answers when its newest row became visible."""
        times = entity.times
        count = bisect_left(times, cutoff)
        high = count + 1
        lows = self._no_lows or [
            0 if over is None else bisect_left(times, cutoff - over, 0, count) + 1 for over in self._overs
        ]
        runs, takes = entity.form.plan
        for run in runs:
            last = count + run.folded
            if last and high > lows[run.over]:
                row.update(zip(run.names, run.take(entity.content, run.start + 8 * (last - 1)), strict=True))
        for take in takes:
            take(entity, lows, high, row)
        return times[count - 1] if count else entity.newest if entity.folded else None

    def check(self, entity: Sequence[object], cutoff: int) -> None:
        """Raise HR475 or HR476 for what `lookup` would refuse of one row, without asking the store."""
        self._refuse_early(cutoff)
        self._key(entity)

    def _key(self, entity: Sequence[object]) -> bytes | None:
        """The key of an entity; None where one of its values is."""
        if len(entity) != len(self._spellings):
            raise HeadraceError(
                "HR476", f"{self.header.view} is looked up by {len(self._spellings)} values: {entity!r}"
            )
        if None in entity:
            return None
        try:
            return key_of([spell(value) for spell, value in zip(self._spellings, entity, strict=True)])
        except (TypeError, ValueError) as error:
            wanted = ", ".join(f"{name} ({kind})" for name, kind in self.header.entity)
            raise HeadraceError(
                "HR476", f"{self.header.view} is looked up by {wanted}, not by {entity!r:.100}"
            ) from error

    def _found(self, keys: Sequence[bytes | None]) -> dict[bytes, Entity]:
        """The entry of each key: those at hand, and the others by one consistent read."""
        kept, found, missing = self._kept, {}, []
        with self._lock:
            for key in keys:
                if key is not None:
                    entity = kept.get(key)
                    if entity is None:
                        missing.append(key)
                    else:
                        found[key] = entity
                        kept.move_to_end(key)
        if missing:
            contents = self._store.get(self.generation, missing)
            for key, content in zip(missing, contents, strict=True):
                found[key] = self._entries.absent if content is None else self._read(content)
            self._keep(missing, found)
        return found

    def _read(self, content: bytes) -> Entity:
        try:
            return self._entries.read(content)
        except (struct.error, TypeError) as error:
            what = f"generation {self.generation[:12]} of {self.header.view} has an entry that is none: {error}"
            raise HeadraceError("HR471", what) from error

    def _keep(self, keys: Sequence[bytes], found: dict[bytes, Entity]) -> None:
        """Keep entries at hand, unless they are large, in place of those that were not asked for the longest."""
        with self._lock:
            for key in keys:
                weight = len(found[key].content) + OVERHEAD
                if weight <= KEPT // 100 and key not in self._kept:
                    self._kept[key] = found[key]
                    self._weight += weight
            while self._weight > KEPT:
                _, gone = self._kept.popitem(last=False)
                self._weight -= len(gone.content) + OVERHEAD

    def _refuse_early(self, cutoff: int) -> None:
        horizon = self.header.horizon
        if horizon is not None and cutoff < horizon:
            asked, first = ((_EPOCH + timedelta(microseconds=each)).isoformat() for each in (cutoff, horizon))
            raise HeadraceError("HR475", f"{self.header.view} is asked about {asked}, and can be from {first} on")
