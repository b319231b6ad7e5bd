#!/usr/bin/env bash
# Many small appends: the table is compacted on the way, gc compacts what is left, old versions stay readable.
source "$(dirname "$0")/lib.sh"
shop
COUNT=${COUNT:-130}
show apply; code 0
"$PYTHON" - "$COUNT" <<'PY'
import sys
import time
from pathlib import Path

from headrace.project.workspace import Workspace
from headrace.runtime.observer import Observer

took = []
with Workspace.open(Path.cwd()) as workspace:
    for number in range(int(sys.argv[1])):
        first = 11 + 5 * number
        rows = "".join(f"{n},a,{n},2024-01-01T00:00:00\n" for n in range(first, first + 5))
        (Path("data") / f"m{number:05}.csv").write_text("order_id,shop,amount,at\n" + rows)
        begin = time.perf_counter()
        applied = workspace.apply(workspace.question(), Observer())
        took.append(time.perf_counter() - begin)
        if applied.failed:
            sys.exit(f"FAILED: {applied.failed}")
    versions = workspace.ledger.versions("orders")
    ref = max(versions, key=lambda version: version.rows or 0).manifest.outputs["table"]
    files = len(list((workspace.settings.folder / ".headrace/store/tables" / ref.path).glob("*.parquet")))
early, late = sorted(took[5:25])[10], sorted(took[-20:])[10]
print(f"\n{len(took)} appends; median {1000 * early:.0f} ms at the beginning, {1000 * late:.0f} ms at the end; {files} files")
if files > 80:
    sys.exit("FAILED: the table was not compacted on the way")
if late > 4 * early:
    sys.exit("FAILED: appends became slow")
PY
show gc --yes; code 0; expect "orders: its rows lie in fewer files"
show query "select count(*) as n from orders"; code 0; expect "$((10 + 5 * COUNT))"
show doctor; code 0; expect "All is well."
show rollback orders; code 0
show query "select count(*) as n from orders"; code 0; expect "$((5 + 5 * COUNT))"
