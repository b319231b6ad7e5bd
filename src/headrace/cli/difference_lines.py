"""How two environments differ, in lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.cli.frames import cell
from headrace.cli.output import columns, counted, number, short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.project.difference import Batches, Difference, NodeDifference
    from headrace.tables.comparing import Changed, RowsDifference, SchemaDifference

_SIGNS = {"same": "=", "remade": "=", "changed": "~", "added": "+", "removed": "-"}
_LISTED = 5


def difference_lines(found: Difference) -> list[str]:
    """A line for each node, and below it what differs."""
    differing = sum(each.differs for each in found.nodes)
    same = len(found.nodes) - differing
    told = (
        f"{counted(differing, 'node')} {'differs' if differing == 1 else 'differ'}" if differing else "nothing differs"
    )
    lines = [f"{found.before} → {found.after}: {told}, {same} the same"]
    heads = columns([(f"{_SIGNS[each.state]} {each.node}", _headline(each, found)) for each in found.nodes])
    for each, head in zip(found.nodes, heads, strict=True):
        lines += [f"  {head}", *(f"      {line}".rstrip() for line in _details(each))]
    return lines


def _headline(each: NodeDifference, found: Difference) -> str:
    if each.state in ("added", "removed"):
        only = found.after if each.state == "added" else found.before
        version = each.after or each.before
        return f"{each.kind}, only in {only}: {short(version.key if version else None)}"
    if each.state == "same":
        return f"{each.kind}, the same version"
    versions = f"{short(each.before.key if each.before else None)} → {short(each.after.key if each.after else None)}"
    if each.state == "remade":
        what = "made anew, with the same rows" if each.rows is not None else "made anew, with the same content"
        return f"{each.kind}, {what}: {versions}"
    return f"{each.kind}, {versions}"


def _details(each: NodeDifference) -> list[str]:
    lines = [f"because: {', '.join(each.because)}"] if each.because else []
    if each.batches is not None:
        lines += _batches(each.batches)
    if each.rows is not None and each.state == "changed":
        lines += _rows(each.rows)
    if each.set_aside is not None and each.set_aside[0] != each.set_aside[1]:
        lines.append(f"set aside: {each.set_aside[0]:,} → {counted(each.set_aside[1], 'row')}")
    if each.metrics:
        lines += _metrics(each.metrics)
    return lines


def _batches(found: Batches) -> list[str]:
    kinds = (("came", found.added), ("went away", found.removed), ("changed", found.changed))
    return [f"{counted_batches(len(names))} {what}: {_listed(names)}" for what, names in kinds if names]


def counted_batches(count: int) -> str:
    """A count of batches: "1 batch", "2 batches"."""
    return f"{count:,} batch" if count == 1 else f"{count:,} batches"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_LISTED])
    return shown if len(names) <= _LISTED else f"{shown} and {len(names) - _LISTED} more"


def _metrics(metrics: Mapping[str, tuple[float | None, float | None]]) -> list[str]:
    rows = [
        (name, number(then), number(now), "" if then is None or now is None else f"{now - then:+.6g}")
        for name, (then, now) in metrics.items()
    ]
    return columns(rows, ("", "before", "after", ""), right=[1, 2, 3])


def _rows(found: RowsDifference) -> list[str]:
    by = f"by {', '.join(found.key)}" if found.key else "by whole rows"
    told = f"{found.added:,} added, {found.removed:,} removed"
    changed = f", {found.changed:,} changed" if found.key else ""
    lines = [f"rows: {found.before:,} → {found.after:,}: {told}{changed} ({by})"]
    if found.repeated:
        lines.append(f"{counted(found.repeated, 'row')} whose key is not theirs alone: compared as whole rows")
    lines += _schema(found.schema)
    if found.by_column:
        often = ", ".join(f"{name} {count:,}" for name, count in found.by_column.items())
        lines.append(f"changed columns: {often}")
    lines += _changed(found.examples_changed)
    lines += _whole("added", found.examples_added, found.added)
    return lines + _whole("removed", found.examples_removed, found.removed)


def _schema(found: SchemaDifference) -> list[str]:
    return [
        *(f"column {name} came: {dtype}" for name, dtype in found.added.items()),
        *(f"column {name} went away: {dtype}" for name, dtype in found.removed.items()),
        *(f"column {name}: {old} → {new}, values not compared" for name, (old, new) in found.retyped.items()),
    ]


def _changed(found: Sequence[Changed]) -> list[str]:
    rows = [
        (*(cell(value) for value in each.key.values()), name, cell(old), cell(new))
        for each in found
        for name, (old, new) in each.values.items()
    ]
    return [*columns(rows, (*found[0].key, "column", "before", "after"))] if rows else []


def _whole(what: str, found: Sequence[Mapping[str, object]], of: int) -> list[str]:
    if not found:
        return []
    rows = [tuple(cell(value) for value in row.values()) for row in found]
    head = what if len(found) >= of else f"{what}, the first {len(found)}"
    return [head, *(f"  {line}" for line in columns(rows, tuple(found[0])))]
