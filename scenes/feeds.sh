#!/usr/bin/env bash
# A function that pages through an API is a source: each page is kept and asked for once, whatever fails between two of
# them. The API gives late rows, the same row twice, and rows that changed; the table has the newest one of each key.
source "$(dirname "$0")/lib.sh"

# The API: a log of events in a file, each with its place as the cursor; every request is noted in `asked`.
event() { printf '{"order_id": %d, "amount": %s, "at": "%s"}\n' "$1" "$2" "$3" >> events.ndjson; }
asked() { wc -l < asked; }
printf 'pipeline = "pipeline:shop"\n' > headrace.toml
cat > pipeline.py <<'PY'
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import polars as pl

from headrace import Contract, Pipeline, column

shop = Pipeline("shop")
PAGE = 3


@shop.feed(cursor=0, schema={"amount": float})
def raw(since: int) -> Iterator[tuple[list[dict[str, object]], int]]:
    here = Path.cwd()
    while True:
        with (here / "asked").open("a") as asked:
            asked.write(f"{since}\n")
        lines = (here / "events.ndjson").read_text().splitlines()[since : since + PAGE]
        if not lines:
            return
        if "breaks" in lines[0]:
            raise OSError("the API answers 502")
        since += len(lines)
        yield [json.loads(line) for line in lines], since


class Order(Contract):
    order_id: int = column(key=True)
    amount: float = column(ge=0)
    at: datetime = column(known_at=True)


@shop.table(raw, contract=Order, incremental=True, upsert=True)
def orders(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows
PY

rows() { show query "select order_id, amount from orders order by order_id"; code 0; OUT=$(tr -s ' ' <<<"$OUT"); }

event 1 10 2026-01-01T10:00:00; event 2 20 2026-01-01T10:05:00; event 3 30 2026-01-01T10:10:00
event 4 40 2026-01-01T10:15:00
show apply; code 0; expect "raw made, 4 rows"
rows; expect "1 10"; expect "4 40"
show apply; code 0; expect "Nothing to do"

printf '\n(one that is late, one that comes twice, one that changed, and the older state of it once more)\n'
event 5 5 2026-01-01T09:00:00; event 4 40 2026-01-01T10:15:00; event 2 25 2026-01-01T11:00:00
event 2 20 2026-01-01T10:05:00; event 3 -1 2026-01-01T11:00:00
show apply; code 0
rows; expect "2 25"; expect "4 40"; expect "5 5"; expect "3 30"; refuse "2 20"
show query "select count(*) as n, count(distinct order_id) as keys from orders"; OUT=$(tr -s ' ' <<<"$OUT"); expect "5 5"
show quarantine orders; code 0; expect "amount >= 0"; expect "raw/000004"
show why orders --row 2; code 0; expect "raw/000003"

printf '\n(the API fails after the first of two new pages: that page is kept, and not asked for again)\n'
event 6 60 2026-01-01T12:00:00; event 7 70 2026-01-01T12:05:00; event 8 80 2026-01-01T12:10:00
echo '{"breaks": true}' >> events.ndjson
show apply; code 1; expect "HR351"; expect "502"
sed -i '$d' events.ndjson
event 9 90 2026-01-01T12:15:00
BEFORE=$(asked)
show apply; code 0
rows; expect "6 60"; expect "9 90"
[ "$(sed -n "$((BEFORE + 1)),\$p" asked | grep -c '^9$' || true)" = 0 ] || { echo "FAILED: a page was asked for twice" >&2; exit 1; }
show apply; code 0; expect "Nothing to do"
show doctor; code 0; expect "All is well"
