# mypy: disable-error-code="import-not-found"
"""The twelve rules by pandera on Polars. Runs in pandera's environment: `check.py PARQUET FILE`."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaErrors

BEGIN = pl.datetime(2013, 1, 1, time_zone="UTC")
LONG, SHORT = pa.Check.str_length(min_value=5), pa.Check.str_length(max_value=6)
LATE = pa.Check(lambda data: data.lazyframe.select(pl.col(data.key) >= BEGIN))
SCHEMA = pa.DataFrameSchema(
    {
        "flight_id": pa.Column(pl.Int64, unique=True),
        "origin": pa.Column(pl.String, pa.Check.isin(["EWR", "JFK", "LGA"]), nullable=True),
        "carrier": pa.Column(pl.String, pa.Check.str_matches(r"^[A-Z0-9]{2}$"), nullable=True),
        "distance": pa.Column(pl.Int64, [pa.Check.gt(0), pa.Check.le(5_000)], nullable=True),
        "delay": pa.Column(pl.Float64, [pa.Check.ge(-120), pa.Check.lt(2_000)], nullable=True),
        "tail": pa.Column(
            pl.String, [pa.Check.str_length(min_value=5), pa.Check.str_length(max_value=6)], nullable=True
        ),
        "departed_at": pa.Column(pl.Datetime("us", "UTC"), LATE, nullable=True),
        "arrived_at": pa.Column(pl.Datetime("us", "UTC"), nullable=True),
    },
    checks=[pa.Check(lambda data: data.lazyframe.select(pl.col("arrived_at") >= pl.col("departed_at")))],
)


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
    try:
        SCHEMA.validate(flights, lazy=True)
    except SchemaErrors as error:
        return int(error.failure_cases.height)
    return 0


if __name__ == "__main__":
    main()
