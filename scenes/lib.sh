# What the scenes share. A scene prints what a user sees, and fails when it is not so.
# HEADRACE names the command; without it the scene uses the one of this clone (`make setup` or `make demo` makes it).
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
HEADRACE=${HEADRACE:-$ROOT/.venv/bin/headrace}
PYTHON=${PYTHON:-$ROOT/.venv/bin/python}
[ -x "$HEADRACE" ] || { echo "no $HEADRACE: run make setup first" >&2; exit 2; }
SCENE=$(mktemp -d); trap 'rm -rf "$SCENE"' EXIT
cd "$SCENE"
export NO_COLOR=1 COLUMNS=120

# show WORDS...: run headrace, print the command and its output, keep the output in $OUT and the exit code in $CODE.
show() {
    printf '\n$ headrace %s\n' "$*"
    CODE=0
    OUT=$("$HEADRACE" "$@" 2>&1) || CODE=$?
    printf '%s\n' "$OUT"
}
# expect TEXT: the last output holds this text.
expect() { grep -qF -- "$1" <<<"$OUT" || { printf '\nFAILED: expected to see: %s\n' "$1" >&2; exit 1; }; }
# refuse TEXT: the last output does not hold this text.
refuse() { ! grep -qF -- "$1" <<<"$OUT" || { printf '\nFAILED: did not expect to see: %s\n' "$1" >&2; exit 1; }; }
# code N: the last command ended with this exit code.
code() { [ "$CODE" = "$1" ] || { printf '\nFAILED: expected exit code %s, got %s\n' "$1" "$CODE" >&2; exit 1; }; }
# orders FIRST LAST > FILE: a CSV of orders.
orders() {
    echo 'order_id,shop,amount,at'
    for n in $(seq "$1" "$2"); do printf '%d,%s,%d,2024-%02d-%02dT00:00:00\n' "$n" a "$n" $((1 + n / 28 % 12)) $((1 + n % 28)); done
}
# shop: a project in the present folder, with one table that grows and one that is counted from it.
shop() {
    mkdir -p data
    printf 'pipeline = "pipeline:shop"\n' > headrace.toml
    cat > pipeline.py <<'PY'
from datetime import datetime

import polars as pl

from headrace import Contract, Pipeline, column, files

shop = Pipeline("shop")
raw = shop.source("raw", files("data/*.csv"))
FACTOR = 1


class Order(Contract):
    order_id: int = column(key=True)
    shop: str
    amount: float = column(ge=0)
    at: datetime = column(event_time=True)


@shop.table(raw, contract=Order, incremental=True)
def orders(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.with_columns(pl.col("amount").cast(pl.Float64) * FACTOR)


@shop.table(orders)
def by_shop(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.group_by("shop").agg(pl.len().alias("orders"), pl.col("amount").sum()).sort("shop")
PY
    orders 1 10 > data/01.csv
}
