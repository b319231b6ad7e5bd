from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

from headrace.adapters.delta import DeltaTableStore
from headrace.adapters.delta_schema import fitted, stored
from headrace.errors import HeadraceError
from headrace.testing.stores import key_of

if TYPE_CHECKING:
    from pathlib import Path

BERLIN = pl.Datetime("us", "Europe/Berlin")
MOMENT = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=ZoneInfo("Europe/Berlin"))

KEPT = {
    "boolean": pl.Series([True, None]),
    "int8": pl.Series([-128, 127], dtype=pl.Int8),
    "int16": pl.Series([1, None], dtype=pl.Int16),
    "int32": pl.Series([1, None], dtype=pl.Int32),
    "int64": pl.Series([-(2**63), 2**63 - 1]),
    "float32": pl.Series([0.1, float("nan")], dtype=pl.Float32),
    "float64": pl.Series([-0.0, float("inf")]),
    "string": pl.Series(["", "é\n\0"]),
    "binary": pl.Series([b"", b"\0"]),
    "date": pl.Series([date(1, 1, 1), date(9999, 12, 31)]),
    "decimal": pl.Series([Decimal("-1.25"), None], dtype=pl.Decimal(38, 4)),
    "naive": pl.Series([datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)], dtype=pl.Datetime("us")),  # noqa: DTZ001 - the case
    "utc": pl.Series([datetime(2026, 1, 1, tzinfo=UTC), None], dtype=pl.Datetime("us", "UTC")),
    "zoned": pl.Series([MOMENT, None], dtype=BERLIN),
    "list": pl.Series([[1, None], None], dtype=pl.List(pl.Int64)),
    "struct": pl.Series([{"a": 1, "b": [MOMENT]}, None], dtype=pl.Struct({"a": pl.Int8, "b": pl.List(BERLIN)})),
}

CHANGED = {
    "uint8": (pl.Series([255, None], dtype=pl.UInt8), pl.Int16()),
    "uint16": (pl.Series([65535], dtype=pl.UInt16), pl.Int32()),
    "uint32": (pl.Series([2**32 - 1], dtype=pl.UInt32), pl.Int64()),
    "uint64": (pl.Series([2**63 - 1, None], dtype=pl.UInt64), pl.Int64()),
    "int128": (pl.Series([-5, None], dtype=pl.Int128), pl.Int64()),
    "float16": (pl.Series([0.5, None], dtype=pl.Float16), pl.Float32()),
    "categorical": (pl.Series(["a", None, "b"], dtype=pl.Categorical), pl.String()),
    "enum": (pl.Series(["b", "a"], dtype=pl.Enum(["a", "b"])), pl.String()),
    "array": (pl.Series([[[1, 2], [3, 4]]], dtype=pl.Array(pl.UInt8, (2, 2))), pl.List(pl.List(pl.Int16))),
    "milliseconds": (pl.Series([MOMENT.replace(microsecond=5000)], dtype=pl.Datetime("ms", "Europe/Berlin")), BERLIN),
    "nanoseconds": (pl.Series([1_000, None]).cast(pl.Datetime("ns")), pl.Datetime("us")),
    "nested": (
        pl.Series([[{"a": "x"}]], dtype=pl.List(pl.Struct({"a": pl.Categorical}))),
        pl.List(pl.Struct({"a": pl.String})),
    ),
}

LOSSY = {
    "uint64": pl.Series([None, 2**63], dtype=pl.UInt64),
    "int128": pl.Series([2**64], dtype=pl.Int128),
    "nanoseconds": pl.Series([1_001]).cast(pl.Datetime("ns")),
    "milliseconds": pl.Series([2**60]).cast(pl.Datetime("ms")),
    "nested": pl.Series([[{"a": 2**63}]], dtype=pl.List(pl.Struct({"a": pl.UInt64}))),
}

REFUSED = {
    "null": pl.Series([None]),
    "duration": pl.Series([timedelta(1)]),
    "time": pl.Series([datetime(2026, 1, 1, tzinfo=UTC).time()]),
    "object": pl.Series([object()], dtype=pl.Object),
    "no fields": pl.Series([{}], dtype=pl.Struct([])),
    "nested": pl.Series([[None]], dtype=pl.List(pl.Null)),
}


@pytest.mark.parametrize("series", KEPT.values(), ids=KEPT)
def test_a_column_is_kept_and_other_engines_see_it(tmp_path: Path, series: pl.Series) -> None:
    frame = pl.DataFrame({"column": series})
    assert stored(frame, "table").equals(frame)
    store = DeltaTableStore(tmp_path)
    base = store.write(key_of(1), "table", frame)
    ref = store.write(key_of(2), "table", frame, base)
    found = store.scan(ref).collect()
    assert_frame_equal(found, pl.concat([frame, frame]))
    others = pl.DataFrame(DeltaTable(str(tmp_path / ref.path)).to_pyarrow_table())
    assert_frame_equal(others, found.cast(others.schema))


@pytest.mark.parametrize(("series", "dtype"), CHANGED.values(), ids=CHANGED)
def test_a_column_gets_a_type_that_holds_all_its_values(tmp_path: Path, series: pl.Series, dtype: pl.DataType) -> None:
    frame = pl.DataFrame({"column": series})
    store = DeltaTableStore(tmp_path)
    found = store.scan(store.write(key_of(1), "table", frame)).collect()
    assert found.schema == {"column": dtype}
    assert found.get_column("column").cast(series.dtype).equals(series)


@pytest.mark.parametrize("series", LOSSY.values(), ids=LOSSY)
def test_values_that_would_change_are_refused(series: pl.Series) -> None:
    with pytest.raises(HeadraceError, match="HR640 column amount of table orders") as raised:
        stored(pl.DataFrame({"fine": series.is_null(), "amount": series}), "orders")
    assert "1 value, the first in row" in raised.value.what


@pytest.mark.parametrize("series", REFUSED.values(), ids=REFUSED)
def test_other_types_are_refused_by_name(series: pl.Series) -> None:
    with pytest.raises(HeadraceError, match="HR638 column amount of table orders") as raised:
        stored(pl.DataFrame({"fine": [1], "amount": series}), "orders")
    assert raised.value.fix


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"id": [1], "ID": [2]}),
        pl.DataFrame({"É": [1], "é": [2]}),
        pl.DataFrame({"s": [[{"a": {"b": 1, "B": 2}}]]}),
    ],
)
def test_names_that_differ_in_case_alone_are_refused(frame: pl.DataFrame) -> None:
    with pytest.raises(HeadraceError, match="HR644"):
        stored(frame, "orders")


def test_no_columns_are_refused() -> None:
    with pytest.raises(HeadraceError, match="HR642"):
        stored(pl.DataFrame(), "orders")


@pytest.mark.parametrize("name", ["", " ", "a b", "*", "^a.*$", "a,b;{}()=", "é", "A.b", "_delta_log", "`"])
def test_any_text_names_a_column(tmp_path: Path, name: str) -> None:
    frame = pl.DataFrame({"x": [1], name: [2]})
    store = DeltaTableStore(tmp_path)
    base = store.write(key_of(1), "table", frame)
    ref = store.write(key_of(2), "table", frame, base)
    assert_frame_equal(store.scan(ref).collect(), pl.concat([frame, frame]))


def test_new_rows_get_the_order_and_the_zones_of_the_base() -> None:
    base = {"a": pl.Int64(), "at": BERLIN}
    frame = pl.DataFrame({"at": pl.Series([MOMENT.astimezone(UTC)], dtype=pl.Datetime("us", "UTC")), "a": [1]})
    found = fitted(frame, base, "table")
    assert found.schema == base
    assert found.row(0) == (1, MOMENT)


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"a": [1]}, "without b"),
        ({"a": [1], "b": ["x"], "c": [1]}, "with c"),
        ({"a": [1], "d": [1]}, "without b and with d"),
        ({"a": [1.5], "b": ["x"]}, "column a of table orders is Int64 so far and Float64"),
        ({"a": [datetime(2026, 1, 1, tzinfo=UTC)], "b": ["x"]}, "column a of table orders is Int64 so far"),
    ],
)
def test_other_columns_than_those_of_the_base_are_refused(columns: dict[str, list[object]], what: str) -> None:
    with pytest.raises(HeadraceError, match="HR641") as raised:
        fitted(pl.DataFrame(columns), {"a": pl.Int64(), "b": pl.String()}, "orders")
    assert what in raised.value.what


def test_a_naive_datetime_does_not_fit_a_zoned_one() -> None:
    naive = pl.DataFrame({"at": [MOMENT.replace(tzinfo=None)]})
    with pytest.raises(HeadraceError, match="HR641"):
        fitted(naive, {"at": BERLIN}, "table")
