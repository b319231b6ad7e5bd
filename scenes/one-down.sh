#!/usr/bin/env bash
# Two sources, of which one is lost: the other one lands and is published with all that depends on it alone, the error is
# told by plan, apply and JSON with exit code 1, and nothing is made of both; once it is back, all is made, and told.
source "$(dirname "$0")/lib.sh"

mkdir -p data
printf 'pipeline = "pipeline:shop"\n[databases]\ncrm = "sqlite:crm.db"\n' > headrace.toml
cat > pipeline.py <<'PY'
import polars as pl

from headrace import Pipeline, files
from headrace.sources import database

shop = Pipeline("shop")
orders = shop.source("orders", files("data/*.csv"))
payments = shop.source("payments", database("crm", table="payments"))


@shop.table(orders, incremental=True)
def daily(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select("order_id", "amount")


@shop.table(payments)
def paid(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.group_by("order_id").agg(pl.col("paid").sum())


@shop.table(daily, paid)
def unpaid(rows: pl.LazyFrame, paid: pl.LazyFrame) -> pl.LazyFrame:
    open_ = pl.col("amount") - pl.col("paid").fill_null(0)
    return rows.join(paid, on="order_id", how="left").filter(open_ > 0).select("order_id")
PY
sql() { "$PYTHON" -c 'import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()' "$1" "$2"; }
rows() { show query "select count(*) as n from $1"; code 0; OUT=$(tr -s ' \n' ' ' <<<"$OUT"); }
sql crm.db "CREATE TABLE payments (order_id INTEGER, paid INTEGER)"
pay() { for n in $(seq "$2" "$3"); do sql "$1" "INSERT INTO payments VALUES ($n, $n)"; done; }
pay crm.db 2 10 # order 1 is not paid
orders 1 10 > data/01.csv
show apply; code 0; expect "5 published to prod"
rows unpaid; expect "n 1"

printf '\n(the database is out of reach, and new orders come in, which are paid over there)\n'
mv crm.db away.db
orders 11 20 > data/02.csv
pay away.db 11 20
show plan; code 1
expect "~ orders"; expect "x payments  cannot be observed: HR341"; expect "fix: "
expect "x paid      waits for payments"; expect "x unpaid    waits for payments"
expect "2 to make, 1 not observed, 2 waiting"
show apply; code 1
expect "x payments cannot be observed: HR341"; expect "fix: "
expect "2 made, 1 not observed, 2 left out because of that; 2 published to prod."
rows daily; expect "n 20"
rows unpaid; expect "n 1" # and not eleven
show apply --json; code 1; expect '"payments": {'; expect '"code": "HR341"'
show runs; code 0; expect "failed"; expect "1 unobserved"
show status; code 0; expect "! payments could not be observed by run"
show plan --only daily; code 0; expect "Nothing to do"

printf '\n(it is back)\n'
mv away.db crm.db
show apply; code 0; expect "published to prod"; refuse "HR341"
rows unpaid; expect "n 1"
show apply; code 0; expect "Nothing to do"

printf '\n(a pattern that no file matches any more is told in the same way, and the database goes on)\n'
mv data elsewhere
sql crm.db "INSERT INTO payments VALUES (20, 0)"
show apply; code 1; expect "x orders cannot be observed: HR301"; expect "2 published to prod"
mv elsewhere data
show apply; code 0; refuse "HR301"

printf '\n(a new project whose database was never there: what does not need it is there from the first apply on)\n'
mkdir fresh && cp -r data pipeline.py headrace.toml fresh/ && cd fresh
show apply; code 1; expect "HR341"; expect "2 published to prod"
rows daily; expect "n 20"
show status; code 0; refuse "unpaid"
cp ../crm.db .
show apply; code 0; expect "3 published to prod"
