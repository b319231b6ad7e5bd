# mypy: disable-error-code="import-not-found,misc,no-untyped-call,untyped-decorator"
"""The twelve rules by dataframely. Runs in dataframely's environment: `check.py PARQUET FILE`."""

from __future__ import annotations

import json
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import dataframely as dy
import polars as pl


class Flight(dy.Schema):
    """The rules of `benchmarks.rules.Flight`."""

    flight_id = dy.Int64(primary_key=True)
    origin = dy.String(nullable=True, check=lambda value: value.is_in(["EWR", "JFK", "LGA"]))
    carrier = dy.String(nullable=True, regex=r"^[A-Z0-9]{2}$")
    distance = dy.Int64(nullable=True, min_exclusive=0, max=5_000)
    delay = dy.Float64(nullable=True, min=-120, max_exclusive=2_000)
    tail = dy.String(nullable=True, min_length=5, max_length=6)
    departed_at = dy.Datetime(
        nullable=True, time_zone="UTC", check=lambda value: value >= datetime(2013, 1, 1, tzinfo=UTC)
    )
    arrived_at = dy.Datetime(nullable=True, time_zone="UTC")

    @dy.rule()
    def arrives_after_it_leaves(cls) -> pl.Expr:  # noqa: N805 - as dataframely has it
        """A rule of two columns."""
        return pl.col("arrived_at") >= pl.col("departed_at")


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
    _, failures = Flight.filter(flights)
    return sum(failures.counts().values())


if __name__ == "__main__":
    main()
