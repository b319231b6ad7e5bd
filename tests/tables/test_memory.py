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
from headrace.tables.contract import Contract, column
from headrace.tables.table import Table
from tests.tables.workshop import Workshop, csv_source

class Line(Contract):
    id: int = column(key=True)
    text: str = column(min_length=1)

class Small(Workshop):
    def context(self, key, versions):
        return replace(super().context(key, versions), memory=int(sys.argv[2]))

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))

shop = Small(Path(sys.argv[1]))
shop.stores.tables._memory = int(sys.argv[2])
table = Table("lines", [csv_source()], lambda rows: rows, contract=Line, **json.loads(sys.argv[3]))
shop.write("data/0.csv", "id,text\\n" + "-1,a\\n" * 3)
shop.table(table)  # everything is imported
Path(sys.argv[1], "large.csv").rename(Path(sys.argv[1], "data/1.csv"))
before = peak()
made = shop.table(table, afresh=not table.incremental)
print(json.dumps({"rows": made.rows, "new": made.manifest.facts["new_rows"], "before": before, "peak": peak()}))
"""


@pytest.mark.parametrize("settings", [{}, {"incremental": True}], ids=str)
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
    assert found["rows"] == ROWS + 1
    assert found["new"] == ROWS + (not settings)
    assert found["peak"] - found["before"] < 2 * MEMORY, found
