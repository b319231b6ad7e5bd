# mypy: disable-error-code="import-not-found"
"""The work of `benchmarks.ingest` in PySpark on this machine. Runs in its environment: `ingest.py FILE FOLDER ANSWER`.

The file is read with a schema; one pass counts the breaches of each rule of the contract and writes the rows that keep
it as Parquet (a Delta table needs packages that do not come with PySpark). The key is looked at in the written rows.
Only where a rule is broken the file is read again, for the rows that are set aside. The start of Spark is not counted.
"""

from __future__ import annotations

import functools
import json
import operator
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import Observation, SparkSession
from pyspark.sql import functions as f

if TYPE_CHECKING:
    from pyspark.sql import Column

_SCHEMA = (
    "id long, year long, month long, day long, dep_time long, sched_dep_time long, dep_delay long, arr_time long, "
    "sched_arr_time long, arr_delay long, carrier string, flight long, tailnum string, origin string, dest string, "
    "air_time long, distance long, hour long, minute long, time_hour timestamp"
)
_NULLABLE = ("dep_time", "dep_delay", "arr_time", "arr_delay", "tailnum", "air_time")
_BETWEEN = {
    "month": (1, 12),
    "day": (1, 31),
    "dep_time": (0, 2400),
    "sched_dep_time": (0, 2400),
    "arr_time": (0, 2400),
    "sched_arr_time": (0, 2400),
    "hour": (0, 24),
    "minute": (0, 59),
}
_LENGTHS = {"carrier": 2, "dest": 3}


def main() -> None:
    """Read, check, write, and tell how long it took and how many rows there are."""
    file, folder, answer = (Path(each) for each in sys.argv[1:])
    builder = SparkSession.builder.master("local[*]").config("spark.ui.enabled", value=False)
    builder = builder.config("spark.driver.memory", "6g").config("spark.sql.session.timeZone", "UTC")
    spark = builder.config("spark.local.dir", str(answer.parent)).getOrCreate()
    spark.range(10).count()
    begin = time.perf_counter()
    rows = spark.read.csv(str(file), schema=_SCHEMA, header=True, mode="FAILFAST")
    broken = _broken()
    counted = Observation("rules")
    sums = [f.sum(each.cast("int")).alias(rule) for rule, each in broken.items()]
    bad = functools.reduce(operator.or_, broken.values())
    rows.observe(counted, *sums).filter(~bad).write.parquet(str(folder / "clean"))
    if any(counted.get.values()):
        rows.filter(bad).write.parquet(str(folder / "aside"))
    clean = spark.read.parquet(str(folder / "clean"))
    twice = clean.groupBy("id").count().filter("count > 1").limit(1).count()
    seconds = time.perf_counter() - begin
    if twice:
        sys.exit("the key is not unique")
    answer.write_text(json.dumps({"seconds": seconds, "rows": clean.count()}), encoding="utf-8")
    spark.stop()


def _broken() -> dict[str, Column]:
    """What breaks the contract, never null, by rule."""
    needed = [name for name in (each.split()[0] for each in _SCHEMA.split(", ")) if name not in _NULLABLE]
    found = {f"{name} is null": f.col(name).isNull() for name in needed}
    for name, (low, high) in _BETWEEN.items():
        found[f"{name} < {low}"] = f.col(name) < low
        found[f"{name} > {high}"] = f.col(name) > high
    for name, length in _LENGTHS.items():
        found[f"length of {name}"] = f.length(name) != length
    for name in ("flight", "air_time", "distance"):
        found[f"{name} <= 0"] = f.col(name) <= 0
    found["year < 2013"] = f.col("year") < 2013
    found["origin"] = ~f.col("origin").isin("EWR", "JFK", "LGA")
    return {rule: f.coalesce(each, f.lit(False)) for rule, each in found.items()}  # noqa: FBT003 - a literal


if __name__ == "__main__":
    main()
