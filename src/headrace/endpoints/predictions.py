"""Sealed segments of the prediction log become rows of a table, each record exactly once.

A version of `ENDPOINT.predictions` names the segments that it added. The pointers of all endpoints move in one
transaction; only then the segments go. Whatever moment a drain is killed at, the next one knows by the versions that
are pointed to which segments are in the tables, and removes those before it adds others. So a version need not name
the segments of those before it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from headrace.endpoints.log_lines import Prediction, Seen, predictions
from headrace.endpoints.quick_json import dumps
from headrace.errors import HeadraceError
from headrace.ports.canonical import digest_of
from headrace.ports.clock import stamp
from headrace.ports.failpoints import failpoint
from headrace.ports.ledger import AddVersion, MovePointers
from headrace.ports.predictions import is_predictions, predictions_name
from headrace.ports.records import Manifest, PointerMove, Version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from headrace.ports.clock import Clock
    from headrace.ports.ledger import Ledger
    from headrace.ports.predictions import Segments
    from headrace.ports.records import Json, Snapshot
    from headrace.ports.stores import TableStore

KIND: Final = "predictions"
ROWS: Final = "rows"
"""The output of a version that holds the rows."""
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where predictions of one environment lie."""

    environment: str
    segments: Segments
    tables: TableStore
    ledger: Ledger
    clock: Clock


@dataclass(frozen=True, slots=True)
class Drained:
    """What a drain did.

    `rows` were added by `segments`; `damaged` lines could not be read; `torn` segments of dead writers ended in half a
    line; `left` sealed segments wait for the next drain. `versions` are the new ones, by node.
    """

    segments: int = 0
    rows: int = 0
    damaged: int = 0
    torn: int = 0
    left: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Taken:
    """The segments of one drain: their digests, and what they hold, by endpoint."""

    digests: dict[str, str] = field(default_factory=dict)
    found: dict[str, list[Prediction]] = field(default_factory=dict)
    damaged: int = 0

    def add(self, segment: str, content: bytes) -> None:
        self.digests[segment] = hashlib.sha256(content).hexdigest()
        for line in predictions(content):
            if line is None:
                self.damaged += 1
                continue
            for each in line:
                self.found.setdefault(each.endpoint, []).append(each)


def drain(place: Place, *, segments: int = 64, size: int = 16 << 20) -> Drained:
    """Move sealed segments into the tables: at most so many, and no more bytes than `size` beyond the first one.

    Segments that dead writers left are sealed before. The caller keeps garbage collection away.

    Raises:
        HeadraceError: HR602 when another process drained the same environment meanwhile (nothing is done then), HR609
            without the environment, HR630 to HR642 when a table is damaged or cannot be written. The segments stay.
    """
    orphans = place.segments.seal_orphans()
    snapshot = place.ledger.snapshot(place.environment)
    pointed = _pointed(place.ledger, snapshot)
    known = {segment for version in pointed.values() for segment in version.batches}
    found = place.segments.sealed()
    place.segments.remove([each.id for each in found if each.id in known])
    sealed = [each for each in found if each.id not in known]
    taken, room = _Taken(), size
    for each in sealed[:segments]:
        if taken.digests and each.size > room:
            break
        content = place.segments.content(each.id)
        if content is not None:  # else another process drained it
            taken.add(each.id, content)
            room -= each.size
    failpoint("predictions.drain.before")
    versions = _published(place, snapshot, pointed, taken) if taken.found else {}
    failpoint("predictions.drain.after")
    place.segments.remove(taken.digests)
    return Drained(
        segments=len(taken.digests),
        rows=sum(map(len, taken.found.values())),
        damaged=taken.damaged,
        torn=orphans.torn,
        left=len(sealed) - len(taken.digests),
        versions=versions,
    )


def _pointed(ledger: Ledger, snapshot: Snapshot) -> dict[str, Version]:
    """The versions of prediction tables that an environment points to."""
    pointers = {node: key for node, key in snapshot.pointers.items() if is_predictions(node)}
    live = ledger.live(sorted(pointers.values()))
    return {node: live[key] for node, key in pointers.items() if key in live}


def _published(place: Place, snapshot: Snapshot, pointed: Mapping[str, Version], taken: _Taken) -> dict[str, str]:
    """Write the rows of each endpoint, then point to all of them at once; answers the new keys by node."""
    versions = []
    for endpoint, found in sorted(taken.found.items()):
        node = predictions_name(endpoint)
        base = None if _inherited(snapshot, node) else pointed.get(node)
        versions.append(_written(place, node, base, found, taken))
    moves = [PointerMove(each.node, snapshot.pointers.get(each.node), each.key) for each in versions]
    why = f"{len(taken.digests)} segments of the prediction log"
    for answer in place.ledger.write(*map(AddVersion, versions), MovePointers(place.environment, moves, why)):
        answer.get()
    return {each.node: each.key for each in versions}


def _inherited(snapshot: Snapshot, node: str) -> bool:
    """Whether a branch still points to what its base had answered when it began: its own answers begin a table."""
    return snapshot.base is not None and snapshot.started.get(node) == snapshot.pointers.get(node)


def _written(place: Place, node: str, base: Version | None, found: Sequence[Prediction], taken: _Taken) -> Version:
    key = digest_of([KIND, _FORMAT, node, None if base is None else base.key, taken.digests])
    frame = _frame(found, _entities(place.ledger, found))
    ref = place.tables.write(key, node, frame, None if base is None else base.manifest.outputs[ROWS])
    rows = frame.height + (0 if base is None else base.rows or 0)
    return Version(
        key=key,
        node=node,
        kind=KIND,
        fingerprint=digest_of([KIND, _FORMAT]),
        inputs=(),
        manifest=Manifest(key, {ROWS: ref}, {"rows": rows, "added": frame.height, "damaged": taken.damaged}),
        batches=taken.digests,
        made_at=stamp(place.clock),
    )


def _entities(ledger: Ledger, found: Sequence[Prediction]) -> dict[str, Sequence[str]]:
    """By model, the inputs that features were looked up by."""
    names: dict[str, Sequence[str]] = {}
    for model in {each.model for each in found}:
        version = ledger.version(model)
        views = () if version is None else version.manifest.facts.get("views", ())
        names[model] = tuple(dict.fromkeys(name for view in views for name in view["on"]))
    return names


def _frame(found: Sequence[Prediction], entities: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    import polars as pl

    moment = pl.Datetime("us", "UTC")
    inputs = [dumps(each.inputs) for each in found]
    features = [
        sent if each.features is each.inputs else dumps(each.features) for sent, each in zip(inputs, found, strict=True)
    ]
    columns = {
        "id": pl.Series([each.id for each in found], dtype=pl.String),
        "at": pl.Series([each.at for each in found], dtype=pl.Int64).cast(moment),
        "cutoff": pl.Series([each.cutoff for each in found], dtype=pl.Int64).cast(moment),
        "endpoint": pl.Series([each.endpoint for each in found], dtype=pl.String),
        "version": pl.Series([each.version for each in found], dtype=pl.String),
        "model": pl.Series([each.model for each in found], dtype=pl.String),
        "stage": pl.Series([each.stage for each in found], dtype=pl.String),
        "entity": pl.Series([dumps(_entity(each, entities[each.model])) for each in found], dtype=pl.String),
        "inputs": pl.Series(inputs, dtype=pl.String),
        "features": pl.Series(features, dtype=pl.String),
        "seen": pl.Series([dumps(_seen_as_json(each)) for each in found], dtype=pl.String),
        "prediction": pl.Series([each.prediction for each in found], dtype=pl.Float64),
        "micros": pl.Series([each.micros for each in found], dtype=pl.Int64),
    }
    return pl.DataFrame(columns)


def _entity(prediction: Prediction, names: Sequence[str]) -> dict[str, Json]:
    return {name: prediction.inputs.get(name) for name in names}


def _seen_as_json(prediction: Prediction) -> dict[str, Json]:
    return {view: {"generation": each.generation, "newest": each.newest} for view, each in prediction.seen.items()}


def find_prediction(place: Place, prediction: str) -> Prediction:
    """An answer by its id: in a segment, open or sealed, or in a table. Raises HR931.

    A record moves from segments to tables, so they are looked through in this order.
    """
    return _in_segments(place.segments, prediction) or _in_tables(place, prediction) or _refuse(place, prediction)


def _refuse(place: Place, prediction: str) -> Prediction:
    raise HeadraceError("HR931", f"{place.environment} gave no answer with the id {prediction!r}")


def _in_segments(segments: Segments, prediction: str) -> Prediction | None:
    """First in the segment that the id names; in any other one, where it was sealed before the answer was written."""
    named = prediction.rpartition("-")[0]
    mark = json.dumps(prediction).encode()
    for segment in dict.fromkeys([named, *segments.all()]):
        content = segments.content(segment) if segment else None
        if content is None or mark not in content:
            continue
        for line in predictions(content):
            for each in line or ():
                if each.id == prediction:
                    return each
    return None


def _in_tables(place: Place, prediction: str) -> Prediction | None:
    import polars as pl

    for version in _pointed(place.ledger, place.ledger.snapshot(place.environment)).values():
        rows = place.tables.scan(version.manifest.outputs[ROWS]).filter(pl.col("id") == prediction).collect()
        if rows.height:
            return prediction_of(rows.with_columns(pl.col("at", "cutoff").cast(pl.Int64)).row(0, named=True))
    return None


def prediction_of(row: Mapping[str, Json]) -> Prediction:
    """The answer that stands in a row of a table of predictions; moments as whole microseconds."""
    loaded = {name: json.loads(row[name]) for name in ("inputs", "features")}
    seen = {view: Seen(**each) for view, each in json.loads(row["seen"]).items()}
    rest = {name: value for name, value in row.items() if name not in ("entity", "inputs", "features", "seen")}
    return Prediction(**rest, **loaded, seen=seen)
