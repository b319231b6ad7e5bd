"""Quality of answers, by labels that come later: which answers find which labels in an environment.

Answers are old enough when they were given `settle` ago; quality is told from those that were given in the time `over`
until then. An answer finds its label by the key that its record carried, in the version of the label table that the
environment points to, once the label is known by the column that says when it is. A record without the key is answered
like any other, and never finds a label.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from headrace.errors import HeadraceError
from headrace.features.moments import moment
from headrace.models.metrics import SLICE_ROWS
from headrace.monitors.estimation import estimated
from headrace.monitors.intervals import Estimate, wilson
from headrace.monitors.judging import Seen
from headrace.monitors.late import settle_of
from headrace.monitors.measures import ESTIMATED, LABELLED, QUALITY, Family
from headrace.monitors.quality import CLASSIFICATION, Names, Quality, labelled, quality
from headrace.project.measured_subject import moment_of
from headrace.tables.table import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import polars as pl

    from headrace.endpoints.log_lines import Prediction
    from headrace.monitors.monitor import Watch
    from headrace.monitors.quality import Part
    from headrace.ports.records import Facts, Json, Version
    from headrace.project.measured_subject import Subject

_SLICES: Final = 200
"""Values of a column that are looked at one by one: the most frequent ones."""
_OTHER: Final = "(other)"
_AT, _SCORE, _LABEL, _KNOWN_AT = "_at", "_score", "_label", "_known_at"


@dataclass(frozen=True, slots=True)
class Late:
    """The quality of the answers from `start` to `end`; `keyed` of them carried the key. None: there are no labels."""

    start: datetime
    end: datetime
    keyed: int
    quality: Quality

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "from": self.start.isoformat(),
            "until": self.end.isoformat(),
            "keyed": self.keyed,
            **self.quality.to_json(),
        }


def late_of(subject: Subject) -> Late | None:
    """The quality of the answers that are old enough, overall and by the slices of the monitor's conditions.

    Raises:
        HeadraceError: HR988 where the label table of the environment lacks a column that the endpoint was made with.
    """
    facts, watch = subject.monitor.manifest.facts, subject.watch
    place = facts.get("labels")
    if place is None:
        return None
    end = subject.now - timedelta(seconds=settle_of(watch.settle, facts.get("delay")))
    start, after = subject.before(end), end + timedelta(microseconds=1)
    asked = subject.answers(start, after)
    if watch.last is not None and asked:
        start = moment_of(asked[0].at)  # of the first one of the last so many
    slices = _slices_of(watch, QUALITY)
    names, frame = label_names(place), keyed_answers(asked, place, slices)
    told = label_rows(subject, place, frame)
    found = labelled(frame, told, (start, after), subject.now, names)
    keyed = frame.height - frame.select(names.keys).filter(_any_null(names.keys)).height
    return Late(start, end, keyed, quality(found, slices, facts.get("task", CLASSIFICATION), names))


def label_names(place: Facts) -> Names:
    """How the columns of `keyed_answers` and `label_rows` are called."""
    key, *also = (_hidden(name) for name, _ in place["keys"])
    return Names(key=key, at=_AT, score=_SCORE, label=_LABEL, known_at=_KNOWN_AT, also=tuple(also))


def late_seen(late: Late | None) -> Seen:
    """What conditions can ask of it."""
    if late is None:
        return Seen()
    part = late.quality.overall
    slices = {
        column: {value: dict(each.metrics) for value, each in parts.items()}
        for column, parts in late.quality.slices.items()
    }
    metrics = {name: part.metrics.get(name, Estimate(None)) for name in QUALITY if name in part.metrics}
    counts = {Family.LABELS: part.labelled, Family.SETTLED: part.rows}
    return Seen({**metrics, LABELLED: _labelled_share(part)}, slices, counts)


def _labelled_share(part: Part) -> Estimate:
    return wilson(part.labelled, part.rows)


def estimates(monitor: Version, watch: Watch, window: Sequence[Prediction]) -> Seen:
    """What scores tell of a classifier before labels come, overall and by the slices of the conditions."""
    import polars as pl

    if monitor.manifest.facts.get("task") != CLASSIFICATION:
        return Seen()
    columns = _slices_of(watch, [f"estimated({name})" for name in ESTIMATED])
    scores = pl.Series(_SCORE, [each.prediction for each in window], dtype=pl.Float64)
    frame = pl.DataFrame([scores, *(_slice(window, column) for column in columns)]).filter(pl.col(_SCORE).is_finite())
    return Seen(_estimated(frame), {column: _estimated_by(frame, column) for column in columns})


def _estimated_by(frame: pl.DataFrame, column: str) -> dict[str, dict[str, Estimate]]:
    parts = frame.group_by(column, maintain_order=True)
    return {str(value): _estimated(part) for (value,), part in parts if len(part) >= SLICE_ROWS}


def _estimated(frame: pl.DataFrame) -> dict[str, Estimate]:
    found = estimated(frame[_SCORE].to_numpy())
    return {f"estimated({name})": Estimate(found[name]) for name in ESTIMATED}


def _slices_of(watch: Watch, names: Iterable[str]) -> list[str]:
    """The columns by which these metrics are watched."""
    known = set(names)
    found = [each.metric.column for each in watch.when if each.metric.name in known]
    return list(dict.fromkeys(column for column in found if column is not None))


def _slice(window: Sequence[Prediction], column: str) -> pl.Series:
    """The values of an input as text; those that are rare among very many are one."""
    import polars as pl

    values = [_text(each.features.get(column)) for each in window]
    common = {value for value, _ in Counter(values).most_common(_SLICES)}
    return pl.Series(column, [each if each in common else _OTHER for each in values], dtype=pl.String)


def _text(value: Json) -> str:
    if value is None:
        return "(missing)"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def keyed_answers(asked: Sequence[Prediction], place: Facts, slices: Sequence[str] = ()) -> pl.DataFrame:
    """The answers with their keys, in the types of the label table."""
    import polars as pl

    at = pl.Series(_AT, [each.at for each in asked], dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
    scores = pl.Series(_SCORE, [each.prediction for each in asked], dtype=pl.Float64)
    keys = [
        pl.Series(_hidden(name), [_key(dtype, each.inputs.get(name)) for each in asked], dtype=_dtype(dtype))
        for name, dtype in place["keys"]
    ]
    return pl.DataFrame([at, scores, *keys, *(_slice(asked, column) for column in slices)])


def label_rows(subject: Subject, place: Facts, frame: pl.DataFrame) -> pl.DataFrame:
    """The labels of these answers, as the environment has them now. Raises HR988."""
    import polars as pl

    workspace = subject.workspace
    key = workspace.ledger.snapshot(subject.environment).pointers.get(place["table"])
    version = None if key is None else workspace.ledger.live([key]).get(key)
    columns = [_hidden(name) for name, _ in place["keys"]]
    if version is None:
        return frame.select(*columns, pl.lit(None, pl.Float64).alias(_LABEL), pl.col(_AT).alias(_KNOWN_AT)).clear()
    rows = workspace.stores.tables.scan(version.manifest.outputs[TABLE])
    schema = rows.collect_schema()
    wanted = [*(name for name, _ in place["keys"]), place["label"], place["known_at"]]
    missing = [name for name in wanted if name not in schema]
    if missing:
        raise HeadraceError("HR988", f"{place['table']} of {subject.environment} has no column {missing[0]!r}")
    keys = [pl.col(name).cast(_dtype(dtype), strict=False).alias(_hidden(name)) for name, dtype in place["keys"]]
    known_at = moment(place["known_at"], schema[place["known_at"]], what="the column")
    told = rows.select(*keys, pl.col(place["label"]).alias(_LABEL), known_at.alias(_KNOWN_AT))
    return told.join(frame.lazy().select(columns).unique(), on=columns, how="semi").collect()


def _any_null(columns: Sequence[str]) -> pl.Expr:
    import polars as pl

    return pl.any_horizontal(pl.col(columns).is_null())


def _hidden(name: str) -> str:
    """The name of a column of a key: no slice is named so."""
    return f"_key_{name}"


def _dtype(name: str) -> pl.DataType:
    """The type of a column of a contract; moments are in UTC, as contracts have them."""
    import polars as pl

    known: Mapping[str, pl.DataType] = {
        "String": pl.String(),
        "Int64": pl.Int64(),
        "Float64": pl.Float64(),
        "Boolean": pl.Boolean(),
        "Datetime": pl.Datetime("us", "UTC"),
        "Date": pl.Date(),
    }
    return known[name]


def _key(dtype: str, value: Json) -> object:
    """A value of a record in the type of the key; None for one that cannot be of it, which finds no label."""
    if value is None:
        return None
    try:
        return _KEYS[dtype](value)
    except (ValueError, TypeError, OverflowError):
        return None


def _whole(value: Json) -> int | None:
    """An integer of 64 bits; JSON may spell it as 5.0."""
    number = int(value)
    return number if number == value and -(2**63) <= number < 2**63 else None


def _moment(value: Json) -> datetime:
    found = datetime.fromisoformat(value)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


_KEYS: Final[Mapping[str, Callable[[Json], object]]] = {
    "String": lambda value: value if isinstance(value, str) else None,
    "Int64": _whole,
    "Float64": float,
    "Boolean": lambda value: value if isinstance(value, bool) else None,
    "Datetime": _moment,
    "Date": date.fromisoformat,
}
