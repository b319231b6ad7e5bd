#!/usr/bin/env bash
# Callers begin to send kilometres for miles: the monitor sees it, tells, and has the model made again.
source "$(dirname "$0")/lib.sh"
mkdir -p data project && cd project
cp "$ROOT"/src/headrace/cli/demo/project/{pipeline.py,headrace.toml} .
arrive() { "$PYTHON" -c "import sys; from pathlib import Path; from headrace.cli.demo.data import Year; Year().arrive(int(sys.argv[1]), Path())" "$1"; }
arrive 1; arrive 2
cat >> pipeline.py <<'PY'

from headrace import drift, retrain

flights.monitor(
    "distance_drift", scores, when=drift("distance") > 0.25, then=retrain(lateness), rows=300, over="1m", cooldown="1h"
)
PY
show check; code 0
show apply --quiet; code 0
show monitors; code 0; expect "too few answers"
PORT=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$HEADRACE" up --port "$PORT" --watch 250ms 2> up.log & UP=$!
trap 'kill -9 $UP 2>/dev/null || true; rm -rf "$SCENE"' EXIT
until_said() {
    for _ in $(seq 3000); do grep -qF -- "$1" up.log && { grep -F -- "$1" up.log | tail -1; return; }; sleep 0.1; done
    printf 'FAILED: never said: %s\n' "$1" >&2; cat up.log; exit 1
}
ask() {  # ask FACTOR: a thousand flights of the first days of January, with distances so many times as long
    "$PYTHON" - "$PORT" "$1" <<'PY'
import json, sys, urllib.request
import polars as pl
from pathlib import Path

rows = pl.read_csv(sorted(Path("data/flights").glob("*.csv.gz"))[-1], null_values=["NA", ""]).sample(1000, seed=1)
records = [
    {"carrier": carrier, "origin": origin, "distance": miles * float(sys.argv[2]), "hour": hour}
    for carrier, origin, miles, hour in rows.select("carrier", "origin", "distance", "hour").iter_rows()
]
request = urllib.request.Request(
    f"http://localhost:{sys.argv[1]}/predict/scores",
    json.dumps({"records": records}).encode(),
    {"content-type": "application/json"},
)
print(f"\n({len(json.load(urllib.request.urlopen(request))['predictions'])} answers, distances times {sys.argv[2]})")
PY
}
until_said "Serving scores"
ask 1
show monitors; code 0; expect "distance_drift: ok"
show why lateness; code 0
arrive 3
until_said "Applying: new data"
sleep 0.1
ask 1.609; ask 1.609; ask 1.609
until_said "distance_drift: raised"
until_said "Applying: distance_drift asks for lateness"
for _ in $(seq 3000); do [ "$(grep -c "published to prod" up.log)" -ge 2 ] && break; sleep 0.1; done
[ "$(grep -c "published to prod" up.log)" -ge 2 ] || { echo "FAILED: the model was not made again" >&2; exit 1; }
show monitors distance_drift; code 0; expect "acted"; expect "psi(distance)"
kill -TERM $UP; wait $UP
cat up.log
