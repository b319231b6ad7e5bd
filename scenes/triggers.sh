#!/usr/bin/env bash
# Schedules, events and calls by hand: each fires once, whoever is killed meanwhile, and none is lost.
source "$(dirname "$0")/lib.sh"
shop
cat >> pipeline.py <<'PY'


from pathlib import Path

from headrace import by_hand, cron, event, every, published


@shop.task(by_shop)
def report(rows: pl.LazyFrame) -> None:
    with Path("effects").open("a") as file:
        file.write("reported\n")


@shop.table(orders)
def largest(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.sort("amount").tail(1)


@shop.table(orders)
def weekly(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select(pl.len())


shop.schedule(by_shop, every("2s"))
shop.schedule(weekly, cron("0 6 * * mon", zone="America/New_York"))
shop.trigger(report, on=event("com.example.refresh"))
shop.trigger(largest, on=by_hand())
shop.trigger(largest, on=published(by_shop))
PY
export HEADRACE_EVENTS_SECRET=whsec_$(printf 'a secret of the two' | base64)
PORT=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
up() {  # up NAME: start a supervisor; its process is in PID, what it says in NAME.log
    "$HEADRACE" up --watch 500ms --control "127.0.0.1:$PORT" 2> "$1.log" & PID=$!
    printf '\n$ headrace up --watch 500ms --control 127.0.0.1:%s\n' "$PORT"
}
trap 'kill -9 ${PID:-} 2>/dev/null || true; rm -rf "$SCENE"' EXIT
until_said() {  # until_said NAME TEXT [TIMES]: a supervisor says so within minutes, at least so many times
    for _ in $(seq 2000); do
        [ "$(grep -cF -- "$2" "$1.log")" -ge "${3:-1}" ] && { grep -F -- "$2" "$1.log" | tail -1; return; }
        sleep 0.1
    done
    printf 'FAILED: %s never said: %s\n' "$1" "$2" >&2; cat "$1.log"; exit 1
}
send() {  # send ID: a signed CloudEvent, as any sender of webhooks makes it
    local body moment signature
    body=$(printf '{"specversion": "1.0", "id": "%s", "source": "/scene", "type": "com.example.refresh"}' "$1")
    moment=$(date +%s)
    signature=$(printf 'msg-%s.%s.%s' "$1" "$moment" "$body" |
        openssl dgst -sha256 -hmac 'a secret of the two' -binary | base64)
    OUT=$(curl -s -w '\n%{http_code}' "http://127.0.0.1:$PORT/events" -H 'content-type: application/cloudevents+json' \
        -H "webhook-id: msg-$1" -H "webhook-timestamp: $moment" -H "webhook-signature: ${2:-v1,$signature}" -d "$body")
    printf '\n$ curl ... %s -d %s\n%s\n' "/events" "$body" "$OUT"
}
show check; code 0
show plan; code 0; expect 'headrace up makes it on every("2s")'
expect 'headrace up makes it on cron("0 6 * * mon", zone="America/New_York")'
show trigger report; code 0; expect "nobody looks after prod now: it waits"
up first
until_said first "report-on-com.example.refresh (asked for by hand)"
until_said first "published to prod"
until_said first "by_shop-schedule: nothing new to learn from"
orders 11 20 > data/02.csv
until_said first "by_shop-schedule: made by_shop"
until_said first "largest-on-by_shop: made largest"
send one; expect '"seen_before": false'; expect "202"
until_said first "report-on-com.example.refresh: made report"
send one; expect '"seen_before": true'; expect "202"
send two "v1,d3JvbmcgaW4gZXZlcnkgd2F5LCBidXQgQmFzZTY0IQ=="; expect "HR976"; expect "401"
[ "$(wc -l < effects)" = 2 ] || { echo "FAILED: the report was made $(wc -l < effects) times" >&2; exit 1; }
orders 21 30 > data/03.csv
until_said first "by_shop-schedule: made by_shop" 2
send three; expect '"seen_before": false'
kill -9 "$PID"; wait "$PID" 2> /dev/null || true
printf '\n$ kill -9 the supervisor, in the middle of that\n'
show trigger largest --reason "while nobody looked"; code 0; expect "it waits for"
show triggers; code 0; expect "weekly-schedule"
up second
until_said second "largest-by-hand: "
send four; expect '"seen_before": false'
until_said second "report-on-com.example.refresh: "
send three; expect '"seen_before": true'
[ "$(wc -l < effects)" = 3 ] || { echo "FAILED: the report was made $(wc -l < effects) times" >&2; exit 1; }
show trigger by_shop; code 0; expect "it begins at once"
until_said second "by_shop-schedule (asked for by hand)"
kill -TERM "$PID"; wait "$PID"
cat first.log second.log
show triggers; code 0; expect "nothing new to learn from"
show runs; code 0
