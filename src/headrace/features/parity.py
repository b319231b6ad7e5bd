"""Whether features that were used online are what the offline join gives for the same entity and moment."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from headrace.errors import HeadraceError, did_you_mean
from headrace.features.join import point_in_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from headrace.features.join import ViewRows

TOLERANCE = 1e-9
"""By how much floats may differ, relative to the larger one: a log may not keep every bit."""


class Unused(Enum):
    """Stands where a row has a value that was not looked up, so that there is nothing to compare."""

    UNUSED = "unused"


UNUSED: Final = Unused.UNUSED


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One feature of one logged row, by number, that was not what the offline join gives."""

    row: int
    feature: str
    online: object
    offline: object


@dataclass(frozen=True, slots=True)
class Parity:
    """How many rows and values were compared, and where they differ, by row and then by feature."""

    rows: int
    values: int
    mismatches: tuple[Mismatch, ...]


def parity(logged: pl.DataFrame, view: ViewRows, *, cutoff: str, tolerance: float = TOLERANCE) -> Parity:
    """Replay logged rows through the offline join and compare what they used.

    Args:
        logged: One row for each look-up: the columns `view.on`, the cut-off, and the features that were used, named as
            the view names them with its prefix. Features that the log does not have are not compared.
        view: The rows that the look-up should have seen: of the version that was online, or of a later one, to find
            out what was known too late.
        cutoff: The column with the cut-off: a time, or whole microseconds since 1970.
        tolerance: By how much floats may differ, relative to the larger one.

    Raises:
        HeadraceError: HR452 where the log lacks the cut-off or the entity, or has no feature of the view, HR453 for
            entities of another type, HR455 for a cut-off that is no time.
    """
    used = {name: logged[name].to_list() for name in view.columns() if name in logged.columns}
    if not used:
        fix = did_you_mean(view.columns()[0], logged.columns)
        what = f"the log has no feature of {view.name} ({', '.join(view.columns())})"
        raise HeadraceError("HR452", what, fix=fix[:1].upper() + fix[1:])
    asked = logged.select([name for name in (*view.on, cutoff) if name in logged.columns])
    return compared(asked, used, view, cutoff=cutoff, tolerance=tolerance)


def compared(
    asked: pl.DataFrame,
    used: Mapping[str, Sequence[object]],
    view: ViewRows,
    *,
    cutoff: str,
    tolerance: float = TOLERANCE,
) -> Parity:
    """Compare values of any type, also where only some of a row were looked up.

    Args:
        asked: One row for each look-up: the columns `view.on` and the cut-off.
        used: By feature, named with the prefix of the view, the value that each row used, or `UNUSED`.
        view: See `parity`.
        cutoff: See `parity`.
        tolerance: See `parity`.

    Raises:
        HeadraceError: See `parity`.
    """
    import polars as pl

    if cutoff in asked.columns and asked.schema[cutoff].is_integer():
        asked = asked.with_columns(pl.from_epoch(cutoff, time_unit="us").dt.replace_time_zone("UTC"))
    offline = point_in_time(asked, [view], cutoff=cutoff)
    found = [_mismatches(name, values, offline[name].to_list(), tolerance) for name, values in used.items()]
    order = {name: place for place, name in enumerate(used)}
    mismatches = sorted((each for part in found for each in part), key=lambda each: (each.row, order[each.feature]))
    values = sum(value is not UNUSED for each in used.values() for value in each)
    return Parity(asked.height, values, tuple(mismatches))


def _mismatches(name: str, online: Sequence[object], offline: list[object], tolerance: float) -> list[Mismatch]:
    pairs = enumerate(zip(online, offline, strict=True))
    return [
        Mismatch(row, name, mine, theirs)
        for row, (mine, theirs) in pairs
        if mine is not UNUSED and not _same(mine, theirs, tolerance)
    ]


def _same(online: object, offline: object, tolerance: float) -> bool:
    """Whether two values agree.

    Whole numbers may have been logged as floats, and what is no number or infinite as missing, since JSON has no word
    for it; true and false are no numbers here.
    """
    if isinstance(online, bool) or isinstance(offline, bool):
        return online is offline
    if online is None and isinstance(offline, float):
        return not math.isfinite(offline)
    if isinstance(online, float | int) and isinstance(offline, float | int):
        if isinstance(online, int) and isinstance(offline, int):
            return online == offline
        both_missing = math.isnan(online) and math.isnan(offline)
        return both_missing or online == offline or math.isclose(online, offline, rel_tol=tolerance, abs_tol=0.0)
    return online == offline
