"""What a model saw when it was evaluated, and how far from it is what it is asked now. Pure.

Numbers are counted between quantiles of the reference, texts by value; both by shares of all rows, missing values
included. So a window's distance needs the reference's counts only, never its rows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from headrace.ports.records import Facts, Json

    Floats = npt.NDArray[np.float64]

_BINS: Final = 10
_TEXTS: Final = 200
"""How many values of a text column are told apart: the most frequent ones."""
_FLOOR: Final = 1e-4
"""The share that counts for an empty bin: a usual choice, without which one empty bin would make PSI infinite."""
MEASURES: Final = ("psi", "js", "nulls", "unseen")


def reference_of(frame: pl.DataFrame) -> Facts:
    """The counts of each column of a frame, as plain data: numbers and booleans by bins, everything else by value."""
    return {name: _counted(frame[name]) for name in frame.columns}


def distances(reference: Facts, frame: pl.DataFrame) -> Mapping[str, float | None]:
    """How far a window is from its reference: `psi(c)`, `js(c)`, `nulls(c)` and `unseen(c)` of each column c.

    - psi: the population stability index, the sum of (a - e) ln(a / e) over the bins, with the shares a of the window
      and e of the reference, each at least 1e-4 (N. Siddiqi, Credit Risk Scorecards, 2006). 0 for equal shares; more
      than 0.25 is commonly called a shift.
    - js: the Jensen-Shannon distance, the root of the divergence in bits, from 0 to 1 (J. Lin, Divergence measures
      based on the Shannon entropy, 1991; D. Endres, J. Schindelin, A new metric for probability distributions, 2003).
    - nulls: how much larger the share of missing values is than in the reference; negative where it is smaller.
    - unseen: the share of rows whose text the reference does not know, or whose number is outside its range.

    None where the window has no rows. A column that the window lacks counts as missing in every row.
    """
    found: dict[str, float | None] = {}
    for name, told in reference.items():
        values = frame[name] if name in frame.columns else pl.Series(name, [None] * frame.height)
        expected, actual, unseen = _shares(told, values)
        for measure, value in zip(MEASURES, _measured(expected, actual, unseen), strict=True):
            found[f"{measure}({name})"] = value if frame.height else None
    return found


def _measured(expected: Sequence[float], actual: Sequence[float], unseen: float) -> tuple[float, float, float, float]:
    return _psi(expected, actual), _js(expected, actual), actual[0] - expected[0], unseen


def _counted(values: pl.Series) -> Json:
    """Counts of a column: `nulls`, then either `edges` with one more count than there are of them, or `texts`."""
    if _is_number(values.dtype):
        numbers = _finite(values)
        edges = np.unique(np.quantile(numbers, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(numbers) else np.empty(0)
        ends = [float(numbers.min()), float(numbers.max())] if len(numbers) else []
        return {
            "nulls": len(values) - len(numbers),
            "edges": edges.tolist(),
            "counts": _binned(numbers, edges),
            "range": ends,
        }
    texts = _texts(values)
    kept = dict(sorted(texts.items(), key=lambda item: (-item[1], item[0]))[:_TEXTS])
    return {"nulls": values.null_count(), "texts": kept, "others": sum(texts.values()) - sum(kept.values())}


def _shares(told: Json, values: pl.Series) -> tuple[Sequence[float], Sequence[float], float]:
    """The shares of the reference and of a window, missing values first, and the share of what is unseen."""
    rows = len(values)
    if "edges" in told:
        numbers = _finite(values) if _is_number(values.dtype) else np.empty(0)
        counts = _binned(numbers, np.array(told["edges"]))
        low, high = told["range"] or (math.inf, -math.inf)
        outside = int(((numbers < low) | (numbers > high)).sum())
        expected = _of_all([told["nulls"], *told["counts"]])
        return expected, _of_all([rows - len(numbers), *counts]), outside / max(rows, 1)
    texts = _texts(values)
    known = [texts.pop(text, 0) for text in told["texts"]]
    others = sum(texts.values())
    unseen = 0.0 if told["others"] else others / max(rows, 1)  # what was counted together may be among the others
    expected = _of_all([told["nulls"], told["others"], *told["texts"].values()])
    return expected, _of_all([values.null_count(), others, *known]), unseen


def _binned(numbers: Floats, edges: Floats) -> list[int]:
    """How many numbers are up to the first edge, up to the next one, and so on, and beyond the last."""
    found: list[int] = np.bincount(np.searchsorted(edges, numbers, side="left"), minlength=len(edges) + 1).tolist()
    return found


def _texts(values: pl.Series) -> dict[str, int]:
    """How often each text occurs."""
    counted = values.drop_nulls().cast(pl.String).value_counts()
    return dict(zip(counted[values.name].to_list(), counted["count"].to_list(), strict=True))


def _is_number(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype == pl.Boolean


def _finite(values: pl.Series) -> Floats:
    """The values that are finite numbers; the others count as missing."""
    numbers: Floats = values.cast(pl.Float64).drop_nulls().to_numpy()
    return numbers[np.isfinite(numbers)]


def _of_all(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]


def _psi(expected: Sequence[float], actual: Sequence[float]) -> float:
    pairs = [(max(e, _FLOOR), max(a, _FLOOR)) for e, a in zip(expected, actual, strict=True) if e or a]
    return sum((a - e) * math.log(a / e) for e, a in pairs)


def _js(expected: Sequence[float], actual: Sequence[float]) -> float:
    middle = [(e + a) / 2 for e, a in zip(expected, actual, strict=True)]
    divergence = (_relative(expected, middle) + _relative(actual, middle)) / 2
    return math.sqrt(min(1.0, max(0.0, divergence)))


def _relative(shares: Sequence[float], to: Sequence[float]) -> float:
    """The Kullback-Leibler divergence in bits."""
    log: Callable[[float], float] = math.log2
    return sum(share * log(share / other) for share, other in zip(shares, to, strict=True) if share)
