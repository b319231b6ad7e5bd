# mypy: disable-error-code="import-not-found, untyped-decorator"
"""The file of `benchmarks.ingest` by dlt, as a Delta table. Runs in its environment: `ingest.py FILE FOLDER ANSWER`.

What its documentation says is fast: Arrow tables are yielded, written as Parquet once, and handed on as they are. The
schema contract freezes columns and types, and nulls are refused where the contract of Headrace refuses them. dlt has
no rules for rows of Arrow tables, and does not look at whether a key is unique: neither is asked here.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import dlt
import pyarrow as pa
from deltalake import DeltaTable
from dlt.destinations import filesystem
from pyarrow import csv

if TYPE_CHECKING:
    from collections.abc import Iterator

_NULLABLE = ("dep_time", "dep_delay", "arr_time", "arr_delay", "tailnum", "air_time")
_TEXTS = ("carrier", "tailnum", "origin", "dest")
_BLOCK = 2**24
"""Bytes of CSV that become one Arrow table."""


def main() -> None:
    """Load the file, and tell how long it took and how many rows there are."""
    file, folder, answer = (Path(each) for each in sys.argv[1:])
    with file.open(encoding="utf-8") as lines:
        names = lines.readline().strip().split(",")
    types = {name: pa.string() if name in _TEXTS else pa.int64() for name in names}
    types["time_hour"] = pa.timestamp("us", "UTC")
    columns = {name: {"name": name, "nullable": name in _NULLABLE} for name in names}

    @dlt.resource(
        name="flights",
        write_disposition="replace",
        table_format="delta",
        columns=columns,
        primary_key="id",
        schema_contract={"columns": "freeze", "data_type": "freeze"},
    )
    def flights() -> Iterator[pa.Table]:
        convert = csv.ConvertOptions(column_types=types, strings_can_be_null=True)
        with csv.open_csv(file, csv.ReadOptions(block_size=_BLOCK), convert_options=convert) as reader:
            for batch in reader:
                yield pa.Table.from_batches([batch])

    begin = time.perf_counter()
    pipeline = dlt.pipeline(
        "ingest",
        pipelines_dir=str(folder / "pipelines"),
        destination=filesystem(bucket_url=str(folder / "lake")),
        dataset_name="bench",
    )
    pipeline.run(flights(), loader_file_format="parquet").raise_on_failed_jobs()
    seconds = time.perf_counter() - begin
    rows = DeltaTable(str(folder / "lake" / "bench" / "flights")).to_pyarrow_dataset().count_rows()
    answer.write_text(json.dumps({"seconds": seconds, "rows": rows}), encoding="utf-8")


if __name__ == "__main__":
    main()
