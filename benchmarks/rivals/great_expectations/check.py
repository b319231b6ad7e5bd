# mypy: disable-error-code="import-not-found"
"""The twelve rules by Great Expectations on pandas. Runs in its environment: `check.py PARQUET FILE`."""

from __future__ import annotations

import json
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd

RULES = (
    gxe.ExpectColumnValuesToNotBeNull(column="flight_id"),
    gxe.ExpectColumnValuesToBeUnique(column="flight_id"),
    gxe.ExpectColumnValuesToBeInSet(column="origin", value_set=["EWR", "JFK", "LGA"]),
    gxe.ExpectColumnValuesToMatchRegex(column="carrier", regex=r"^[A-Z0-9]{2}$"),
    gxe.ExpectColumnValuesToBeBetween(column="distance", min_value=0, strict_min=True),
    gxe.ExpectColumnValuesToBeBetween(column="distance", max_value=5_000),
    gxe.ExpectColumnValuesToBeBetween(column="delay", min_value=-120),
    gxe.ExpectColumnValuesToBeBetween(column="delay", max_value=2_000, strict_max=True),
    gxe.ExpectColumnValueLengthsToBeBetween(column="tail", min_value=5),
    gxe.ExpectColumnValueLengthsToBeBetween(column="tail", max_value=6),
    gxe.ExpectColumnValuesToBeBetween(column="departed_at", min_value=datetime(2013, 1, 1, tzinfo=UTC)),
    gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="arrived_at", column_B="departed_at", or_equal=True),
)


def main() -> None:
    """Once with a few rows, which is not counted, and once with all."""
    flights = pd.read_parquet(sys.argv[1])
    check(flights.head(1_000), "warm")
    begin = time.perf_counter()
    failed = check(flights, "all")
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    Path(sys.argv[2]).write_text(json.dumps({"seconds": seconds, "peak": peak, "failed": failed}), encoding="utf-8")


def check(flights: pd.DataFrame, name: str) -> int:
    """How many failures there are."""
    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas(name).add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe(name).get_batch({"dataframe": flights})
    suite = gx.ExpectationSuite(name=name, expectations=list(RULES))
    found = batch.validate(suite, result_format="SUMMARY")
    return sum(int(each.result.get("unexpected_count", 0)) for each in found.results)


if __name__ == "__main__":
    main()
