"""The body of a class of features, read when the class is made."""

from __future__ import annotations

import types
import typing
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.features.aggregates import Aggregate
from headrace.features.recipes import Windows, hint, refuse_floats, refuse_name
from headrace.tables.contract import TYPES, keys, marked
from headrace.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.features.recipes import Terms


def windows(cls: type, of: Table, terms: Terms) -> Windows:
    """What the body of a class declares of a table, checked against the contract of the table.

    Raises:
        HeadraceError: HR440 for a table without event times, HR441 for an unknown column, HR442 for an annotation
            that does not fit, HR443 without features, HR444 for something else in the body, HR445 for a column that
            the aggregate cannot take, HR446 for a window beyond the ttl, HR447 for a name that is taken, HR448 for an
            entity of floats.
    """
    contract = of.contract if isinstance(of, Table) else None
    event_time = marked(contract, "event_time")
    if contract is None or event_time is None:
        raise HeadraceError("HR440", f"{cls.__name__} is declared of {of!r}")
    kinds = {each.name: each.type for each in contract.__columns__}
    for name in terms.entity:
        _refuse_unknown(name, kinds, f"the entity of {cls.__name__}", of)
    refuse_floats([name for name in terms.entity if kinds[name] == "Float64"], cls.__name__)
    found = {name: _bounded(f"{cls.__name__}.{name}", each, terms) for name, each in _body(cls).items()}
    hints = _hints(cls)
    for name, each in found.items():
        _refuse_taken(cls, name, terms)
        column = each.column
        if column is not None:
            _refuse_unknown(column, kinds, f"{cls.__name__}.{name}", of)
        _refuse_misfit(f"{cls.__name__}.{name}", each, "" if column is None else kinds[column], hints[name])
    return Windows(found, event_time, marked(contract, "known_at"), keys(contract))


def _body(cls: type) -> Mapping[str, Aggregate]:
    """The aggregates in the body, by name, in order; each has its annotation, and there is nothing else."""
    annotated = vars(cls).get("__annotations__", {})
    names = dict.fromkeys((*annotated, *vars(cls)))
    found = {}
    for name in names:
        if name.startswith("__") and name.endswith("__"):
            continue
        value = vars(cls).get(name)
        if not isinstance(value, Aggregate):
            raise HeadraceError("HR444", f"{cls.__name__}.{name} is {value!r:.60}")
        if name not in annotated:
            raise HeadraceError("HR444", f"{cls.__name__}.{name} has no type", why="The annotation decides the type.")
        found[name] = value
    if not found:
        raise HeadraceError("HR443", f"{cls.__name__} has no features")
    return found


def _bounded(where: str, each: Aggregate, terms: Terms) -> Aggregate:
    """The aggregate with a window that ends where the rows do: a row that is past its ttl is not visible any more."""
    if terms.ttl is None or (each.over is not None and each.over <= terms.ttl):
        return each
    if each.over is not None:
        raise HeadraceError("HR446", f"{where} looks back over {each.over}, and rows end after {terms.ttl}")
    return type(each)(each.column, terms.ttl)


def _hints(cls: type) -> Mapping[str, object]:
    """The annotations as types. Raises HR442 for one that cannot be read."""
    try:
        return typing.get_type_hints(cls)
    except (NameError, TypeError) as error:
        raise HeadraceError("HR442", f"an annotation of {cls.__name__} cannot be read: {error}") from error


def _refuse_misfit(where: str, each: Aggregate, column: str, annotation: object) -> None:
    gives = each.type_of(column)
    if gives is None:
        raise HeadraceError("HR445", f"{where} is the {each.word} of {each.column!r}, which is of type {column}")
    options = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    plain = [option for option in options if option is not type(None)]
    if len(plain) != 1 or not isinstance(plain[0], type) or TYPES.get(plain[0]) != gives:
        wanted = next(kind.__name__ for kind, name in TYPES.items() if name == gives)
        said = getattr(annotation, "__name__", annotation)
        fix = f"Annotate it as {wanted}."
        raise HeadraceError("HR442", f"{where} is annotated as {said}, and {each.word} gives {wanted}", fix=fix)


def _is_union(annotation: object) -> bool:
    return isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union


def _refuse_unknown(name: str, kinds: Mapping[str, str], what: str, of: Table) -> None:
    if name not in kinds:
        raise HeadraceError("HR441", f"{what}: {of.name} has no column {name!r}", fix=hint(name, kinds))


def _refuse_taken(cls: type, name: str, terms: Terms) -> None:
    refuse_name(name, cls.__name__)
    if name in terms.entity or name == "on":
        raise HeadraceError("HR447", f"{cls.__name__} has a feature {name!r}")
