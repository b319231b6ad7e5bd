"""Look-ups in Headrace's online store: `python -m benchmarks.serving.lookup_ours ROWS SPEC FILE`, in a new folder.

ROWS is a Parquet file with `entity`, `at` and the features. SPEC says how many entities a call asks for and how many
calls are made. A generation is packed and filled as the node of a feature view does it.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

import polars as pl

from headrace.adapters.online_lmdb import LmdbOnlineStore
from headrace.features.aggregates import Newest
from headrace.features.join import ViewRows
from headrace.features.lookup import OnlineView
from headrace.features.packing import pack

_GENERATION = "1" * 64
_HOUR = 3_600_000_000


def main() -> None:
    """Fill the store, then measure: entities at random, and the same ones again and again."""
    rows, spec, target = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")), Path(sys.argv[3])
    frame = pl.read_parquet(rows)
    names = [name for name in frame.columns if name not in {"entity", "at"}]
    shown = ViewRows(
        "numbers",
        frame.rename({"at": "_visible_at"}),
        ("entity",),
        ("entity",),
        {name: Newest(name, None) for name in names},
    )
    store = LmdbOnlineStore(Path("online"))
    store.fill(_GENERATION, pack(shown)[1])
    view = OnlineView.open(store, _GENERATION)
    chance = random.Random(1)  # noqa: S311 - a choice of entities, no secret
    asked = [[(each,) for each in chance.sample(range(frame.height), spec["asked"])] for _ in range(spec["calls"])]
    cutoff = int(frame["at"].cast(pl.Int64).max()) + _HOUR  # type: ignore[arg-type]  # not empty
    at_random = _seconds(view, asked, cutoff)
    found, _ = view.lookup(asked[-1], [cutoff] * len(asked[-1]))
    written = frame.filter(entity=asked[-1][-1][0]).select(names).row(0, named=True)
    if found[-1] != written:
        sys.exit(f"{found[-1]} was looked up, {written} was written")
    again = _seconds(view, [asked[0]] * len(asked), cutoff)
    target.write_text(json.dumps({"random": at_random, "again": again}), encoding="utf-8")
    store.close()


def _seconds(view: OnlineView, asked: list[list[tuple[int]]], cutoff: int) -> float:
    """Seconds of a call."""
    cutoffs = [cutoff] * len(asked[0])
    view.lookup(asked[0], cutoffs)
    begin = time.perf_counter()
    for each in asked:
        view.lookup(each, cutoffs)
    return (time.perf_counter() - begin) / len(asked)


if __name__ == "__main__":
    main()
