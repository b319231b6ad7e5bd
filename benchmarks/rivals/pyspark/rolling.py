# mypy: disable-error-code="import-not-found"
"""The windows of `benchmarks.rolling` in PySpark on this machine. Runs in its environment: `rolling.py FOLDER FILE`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as f

_WEEK = 7 * 86_400 * 1_000_000


def main() -> None:
    """Work the windows out, throw them away, and tell how long it took; then once more for what they come to."""
    folder, answer = Path(sys.argv[1]), Path(sys.argv[2])
    builder = SparkSession.builder.master("local[*]").config("spark.ui.enabled", value=False)
    builder = builder.config("spark.driver.memory", "6g").config("spark.sql.session.timeZone", "UTC")
    spark = builder.config("spark.local.dir", str(answer.parent)).getOrCreate()
    spark.range(10).count()
    window = Window.partitionBy("entity").orderBy("micros").rangeBetween(-_WEEK, -1)
    rows = spark.read.parquet(str(folder / "rows.parquet")).withColumn("micros", f.unix_micros("sold_at"))
    found = rows.select(
        "entity",
        "sold_at",
        f.count("*").over(window).alias("n"),
        f.mean("value").over(window).alias("mean"),
        f.stddev_samp("value").over(window).alias("std"),
    )
    begin = time.perf_counter()
    found.write.format("noop").mode("overwrite").save()
    seconds = time.perf_counter() - begin
    sums = found.select(f.count("*").alias("rows"), *(f.sum(name).alias(name) for name in ("n", "mean", "std")))
    [row] = sums.collect()
    told = {name: float(value) for name, value in row.asDict().items()}
    status = Path(f"/proc/{_machine()}/status").read_text(encoding="ascii").splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024
    answer.write_text(json.dumps({**told, "seconds": seconds, "peak": peak}), encoding="utf-8")
    spark.stop()


def _machine() -> int:
    """The process of the Java machine: the child of this one."""
    me = Path("/proc/self").resolve().name
    children = Path(f"/proc/{me}/task/{me}/children").read_text(encoding="ascii").split()
    return next(int(pid) for pid in children if "java" in Path(f"/proc/{pid}/comm").read_text(encoding="ascii"))


if __name__ == "__main__":
    main()
