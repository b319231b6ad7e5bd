#!/usr/bin/env bash
# A table of a database is a source: what is new is landed by its cursor, ties and late rows within the overlap included,
# once each; a bad batch is left out and stays out; a database that cannot be reached is told. With PostgreSQL installed
# the same is played over a server.
source "$(dirname "$0")/lib.sh"

project() { # the address
    mkdir -p "$1" && cd "$1"
    printf 'pipeline = "pipeline:shop"\n[databases]\ncrm = "%s"\n' "$2" > headrace.toml
    cat > pipeline.py <<'PY'
import polars as pl

from headrace import Pipeline
from headrace.sources import database

shop = Pipeline("shop")
raw = shop.source("raw", database("crm", table="orders", cursor="updated_at", overlap="1h", key="order_id"))


@shop.table(raw)
def by_shop(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.group_by("shop").agg(pl.len().alias("orders"), pl.col("amount").sum()).sort("shop")
PY
}

rows() { show query "select * from by_shop"; code 0; OUT=$(tr -s ' ' <<<"$OUT"); }

life() { # with sql, which runs a statement
    sql "CREATE TABLE orders (order_id INTEGER, shop TEXT, amount INTEGER, updated_at TIMESTAMP)"
    sql "INSERT INTO orders VALUES (1, 'a', 10, '2026-01-01 10:00:00'), (2, 'b', 20, '2026-01-01 11:00:00')"
    show apply; code 0
    rows; expect "a 1 10"
    show apply; code 0; expect "Nothing to do"

    printf '\n(an order that was committed late, one at the same moment as the newest, and one that was changed)\n'
    sql "INSERT INTO orders VALUES (3, 'a', 1, '2026-01-01 10:30:00'), (4, 'a', 2, '2026-01-01 11:00:00')"
    sql "UPDATE orders SET amount = 25, updated_at = '2026-01-01 12:00:00' WHERE order_id = 2"
    show apply; code 0
    rows; expect "a 3 13"; expect "b 1 25"
    show why raw; code 0; expect "crm.orders/000002"

    printf '\n(a batch that should not have come in)\n'
    sql "INSERT INTO orders VALUES (5, 'a', 1000000, '2026-01-01 13:00:00')"
    show apply --quiet; code 0
    BATCH=$("$HEADRACE" why raw --json | "$PYTHON" -c 'import json, sys; print(sorted(json.load(sys.stdin)["facts"]["batches"])[-1])')
    show rollback raw --exclude "$BATCH"; code 0
    show apply --quiet; code 0
    sql "INSERT INTO orders VALUES (6, 'b', 5, '2026-01-01 13:30:00')"
    show apply --quiet; code 0
    rows; expect "a 3 13"; expect "b 2 30"
    show doctor; code 0; expect "database crm"
}

printf '\n(SQLite)\n'
sql() { "$PYTHON" -c 'import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()' crm.db "$1"; }
project sqlite "sqlite:crm.db"
life

printf '\n(the database is gone)\n'
mv crm.db away.db
show apply; code 1; expect "HR341"
show doctor; expect "HR341"
mv away.db crm.db
show apply; code 0; expect "nothing to make"
cd ..

PROGRAMS=$(dirname "$(command -v pg_ctl || ls -d /usr/lib/postgresql/*/bin/pg_ctl 2>/dev/null | tail -n 1 || true)")
if [ ! -x "$PROGRAMS/pg_ctl" ]; then
    printf '\n(no PostgreSQL here: its part is left out)\n'
    exit 0
fi
printf '\n(PostgreSQL)\n'
as_server() { if [ "$(id -u)" -eq 0 ]; then su postgres -s /bin/bash -c 'cd / && "$0" "$@"' -- "$@"; else "$@"; fi; }
SERVER=$(mktemp -d); trap 'as_server "$PROGRAMS/pg_ctl" -s -D "$SERVER/data" -m immediate stop || true; rm -rf "$SCENE" "$SERVER"' EXIT
[ "$(id -u)" -ne 0 ] || chown postgres "$SERVER"
as_server "$PROGRAMS/initdb" -D "$SERVER/data" -U headrace -A trust -E UTF8 --no-sync > /dev/null
as_server "$PROGRAMS/pg_ctl" -w -s -D "$SERVER/data" -l "$SERVER/log" -o "-k $SERVER -c listen_addresses='' -c fsync=off" start
sql() { "$PYTHON" -c 'import psycopg, sys; psycopg.connect(sys.argv[1], autocommit=True).execute(sys.argv[2])' "$CRM" "$1"; }
export CRM="postgresql://headrace@/postgres?host=$SERVER"
project postgres "env:CRM"
life
