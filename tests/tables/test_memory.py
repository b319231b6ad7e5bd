"""A file several times larger than `memory` is landed and made a table of within it, besides what libraries take."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEMORY = 128 * 2**20
ROWS = 900_000
PROGRAM = """
import json, sys
from dataclasses import replace
from pathlib import Path
import polars as pl
from headrace.tables.contract import Contract, column
from headrace.tables.table import Table
from tests.tables.workshop import Workshop, csv_source

class Line(Contract):
    id: int = column(key=True)
    text: str = column(min_length=1)

class Parted(Line):
    part: str

def parted(rows):
    return rows.with_columns(pl.col("id") // 2 if "upsert" in settings else "id", part=pl.col("text").str.head(1))

class Small(Workshop):
    def context(self, key, versions):
        return replace(super().context(key, versions), memory=int(sys.argv[2]))

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))

shop = Small(Path(sys.argv[1]))
shop.stores.tables._memory = int(sys.argv[2])
settings = json.loads(sys.argv[3])
function, contract = (lambda rows: rows, Line) if len(settings) < 2 else (parted, Parted)
table = Table("lines", [csv_source()], function, contract=contract, **settings)
shop.write("data/0.csv", "id,text\\n" + "-1,a\\n" * 3)
shop.table(table)  # everything is imported
Path(sys.argv[1], "large.csv").rename(Path(sys.argv[1], "data/1.csv"))
before = peak()
made = shop.table(table, afresh=not table.incremental)
print(json.dumps({"rows": made.rows, "new": made.manifest.facts["new_rows"], "before": before, "peak": peak()}))
"""


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"incremental": True},
        {"incremental": False, "partition_by": "part"},
        {"incremental": True, "upsert": "part", "partition_by": "part"},
    ],
    ids=str,
)
def test_memory_is_bounded(tmp_path: Path, settings: dict[str, object]) -> None:
    large = tmp_path / "large.csv"
    texts = [letter * 500 for letter in "abcdefgh"]
    with large.open("w") as file:
        file.write("id,text\n")
        for start in range(0, ROWS, 10_000):
            file.writelines(f"{number},{texts[number % 8]}\n" for number in range(start, start + 10_000))
    assert large.stat().st_size > 3 * MEMORY
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(MEMORY), json.dumps(settings)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=240)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rows = ROWS // 2 if "upsert" in settings else ROWS
    assert found["rows"] == rows + 1
    assert found["new"] == rows + (not settings.get("incremental"))
    assert found["peak"] - found["before"] < 2.5 * MEMORY, found
