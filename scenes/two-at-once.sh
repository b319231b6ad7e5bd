#!/usr/bin/env bash
# Two applies at once share the work; a step that the other one makes is waited for, saying who makes it.
source "$(dirname "$0")/lib.sh"
shop
cat >> pipeline.py <<'PY'


@shop.table(raw)
def slow(rows: pl.LazyFrame) -> pl.LazyFrame:
    with open("made", "a") as made:
        made.write("once\n")
    with open("gate") as gate:
        gate.read()
    return rows.select("order_id")
PY
mkfifo gate
"$HEADRACE" apply > first.log 2>&1 & first=$!
until [ -s made ]; do kill -0 $first; sleep 0.1; done
"$HEADRACE" apply > second.log 2>&1 & second=$!
until grep -q "waiting for it" second.log; do kill -0 $second; sleep 0.1; done
echo go > gate
wait $first; wait $second
printf '\n$ headrace apply   # the first\n'; cat first.log
printf '\n$ headrace apply   # the second\n'; cat second.log
[ "$(wc -l < made)" = 1 ] || { echo "FAILED: slow ran more than once" >&2; exit 1; }
