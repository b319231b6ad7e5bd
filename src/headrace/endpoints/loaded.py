"""One version of an endpoint, loaded: it completes rows from the online store and has the model score them."""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

from headrace.endpoints.endpoint import LABELS, REFUSE, UNKNOWN
from headrace.endpoints.service import Field, Scored
from headrace.endpoints.tables import Table
from headrace.models.columns import Input

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headrace.features.lookup import OnlineView
    from headrace.models.scorer import Scorer
    from headrace.ports.records import Facts, Version


@dataclass(frozen=True, slots=True)
class Looked:
    """One feature view as the model asks for it: looked up by the columns `on` of a row, named with a prefix."""

    name: str
    on: tuple[str, ...]
    names: tuple[tuple[str, str], ...]  # of the feature in the view, of the model's input
    entity_kinds: tuple[str, ...]
    view: OnlineView


class Loaded:
    """Implements `headrace.endpoints.service.Served`."""

    def __init__(self, version: Version, model: Version, scorer: Scorer, looked: Sequence[Looked]) -> None:
        self.key = version.key
        self.model = model.key
        self.quick = scorer.quick
        self.facts: Facts = model.manifest.facts
        self.generations: Mapping[str, str] = {each.name: each.view.generation for each in looked}
        facts = version.manifest.facts
        self.fields = fields_of(model, looked, facts.get(LABELS), closed=facts.get(UNKNOWN) == REFUSE)
        self._scorer = scorer
        self._looked = tuple(looked)
        self._inputs = tuple(each.name for each in scorer.inputs)
        self._values = _getter(self._inputs)

    def score(self, rows: Sequence[Mapping[str, object]], at: Sequence[int]) -> Scored:
        """See `Served`."""
        if not self._looked:
            return self._scored(rows, [{}] * len(rows))
        completed = [dict(row) for row in rows]
        seen: list[dict[str, int | None]] = [{} for _ in rows]
        for looked in self._looked:
            self._look_up(looked, completed, seen, at)
        return self._scored(completed, seen)

    def _scored(self, rows: Sequence[Mapping[str, object]], seen: Sequence[Mapping[str, int | None]]) -> Scored:
        """The scores of complete rows, which hold their features and maybe entities besides."""
        if type(rows) is Table and rows.names == self._inputs:
            return Scored(self._scorer.score(rows.matrix), rows, seen)
        if all(map(self._inputs.__eq__, map(tuple, rows))):  # in the order of the inputs, too: nearly every request
            return Scored(self._scorer.score([tuple(row.values()) for row in rows]), rows, seen)
        whole = set(self._inputs)
        if all(row.keys() == whole for row in rows):
            return Scored(self._scorer.score(list(map(self._values, rows))), rows, seen)
        values = [[row.get(name) for name in self._inputs] for row in rows]
        features = [dict(zip(self._inputs, each, strict=True)) for each in values]
        return Scored(self._scorer.score(values), features, seen)

    def contributions(self, features: Sequence[Mapping[str, object]], top: int) -> Sequence[Mapping[str, float]]:
        """See `Served`."""
        from headrace.models.contributions import contributions

        rows = [[each.get(name) for name in self._inputs] for each in features]
        return contributions(self._scorer, rows, top)

    def _look_up(
        self,
        looked: Looked,
        rows: Sequence[dict[str, object]],
        seen: Sequence[dict[str, int | None]],
        at: Sequence[int],
    ) -> None:
        """Complete those rows that were sent without all features of a view."""
        wanting = [n for n, row in enumerate(rows) if any(name not in row for _, name in looked.names)]
        if not wanting:
            return
        entities = [tuple(rows[n].get(name) for name in looked.on) for n in wanting]
        values, newest = looked.view.lookup(entities, [at[n] for n in wanting])
        for n, found, moment in zip(wanting, values, newest, strict=True):
            row = rows[n]
            for feature, name in looked.names:
                if name not in row:
                    row[name] = found.get(feature)
            seen[n][looked.name] = moment


def _getter(names: Sequence[str]) -> Callable[[Mapping[str, object]], tuple[object, ...]]:
    """The values of these names, faster than one by one."""
    if len(names) == 1:
        return lambda row: (row[names[0]],)
    return itemgetter(*names)


def fields_of(
    model: Version, looked: Sequence[Looked], labels: Facts | None = None, *, closed: bool = False
) -> tuple[Field, ...]:
    """What a record may hold, in the order of the model's inputs; then what features are looked up by besides.

    At the end comes what names the row that will hold the label, where `labels` says so. With `closed`, a category
    that the model has not seen is refused.
    """
    facts = model.manifest.facts
    views = {name: each for each in looked for _, name in each.names}
    entities = {name: kind for each in looked for name, kind in zip(each.on, each.entity_kinds, strict=True)}
    found = {}
    for each in map(Input.from_json, facts["inputs"]):
        view = views.get(each.name)
        found[each.name] = Field(
            each.name,
            _kind(each),
            required=view is None,
            view=None if view is None else view.name,
            entity=each.name in entities,
            categories=each.categories,
            closed=closed and each.categories is not None,
        )
    for name, kind in entities.items():
        found.setdefault(name, Field(name, kind, required=True, entity=True))
    for name, dtype in () if labels is None else labels["keys"]:
        found.setdefault(name, Field(name, kind_of(dtype), required=False, key=True))
    return tuple(found.values())


def _kind(each: Input) -> str:
    if each.categories is not None:
        return "text"
    return "boolean" if each.dtype == "Boolean" else "number"


def kind_of(dtype: str) -> str:
    """The kind of a field, from the name of its Polars type."""
    if dtype == "Boolean":
        return "boolean"
    return "number" if dtype.startswith(("Int", "UInt", "Float")) else "text"
