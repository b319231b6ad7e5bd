# mypy: disable-error-code="import-not-found"
"""The twelve rules by pointblank on Polars. Runs in pointblank's environment: `check.py PARQUET FILE`."""

from __future__ import annotations

import json
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pointblank as pb
import polars as pl


def main() -> None:
    """Once with a few rows, which is not counted, and once with all."""
    flights = pl.read_parquet(sys.argv[1])
    check(flights.head(1_000))
    begin = time.perf_counter()
    failed = check(flights)
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    Path(sys.argv[2]).write_text(json.dumps({"seconds": seconds, "peak": peak, "failed": failed}), encoding="utf-8")


def check(flights: pl.DataFrame) -> int:
    """How many failures there are."""
    validation = (
        pb.Validate(flights)
        .col_vals_not_null("flight_id")
        .rows_distinct("flight_id")
        .col_vals_in_set("origin", ["EWR", "JFK", "LGA"])
        .col_vals_regex("carrier", r"^[A-Z0-9]{2}$", na_pass=True)
        .col_vals_gt("distance", 0, na_pass=True)
        .col_vals_le("distance", 5_000, na_pass=True)
        .col_vals_ge("delay", -120, na_pass=True)
        .col_vals_lt("delay", 2_000, na_pass=True)
        .col_vals_expr(pl.col("tail").str.len_chars() >= 5)
        .col_vals_expr(pl.col("tail").str.len_chars() <= 6)
        .col_vals_ge("departed_at", datetime(2013, 1, 1, tzinfo=UTC), na_pass=True)
        .col_vals_ge("arrived_at", pb.col("departed_at"), na_pass=True)
        .interrogate()
    )
    return sum(int(each) for each in validation.n_failed().values())


if __name__ == "__main__":
    main()
