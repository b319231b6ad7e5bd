#!/usr/bin/env bash
# A model that knows what nobody knows when it is asked passes its gate with ease. When the labels of its answers come,
# the monitor of quality sees what it is worth, and goes back to the model before.
source "$(dirname "$0")/lib.sh"
mkdir -p data project && cd project
cp "$ROOT"/src/headrace/cli/demo/project/{pipeline.py,headrace.toml} .
arrive() { "$PYTHON" -c "import sys; from pathlib import Path; from headrace.cli.demo.data import Year; Year().arrive(int(sys.argv[1]), Path())" "$1"; }
arrive 1; arrive 2
cat >> pipeline.py <<'PY'

from headrace import drift, estimated, retrain, rollback

flights.monitor(
    "late_quality",
    scores,
    when=metric("roc_auc") < 0.58,
    then=rollback(scores),
    over="1h",
    settle="0s",  # these flights left long ago: what is not known yet is what has not come in
    rows=300,
)
flights.monitor("unsure", scores, when=estimated("roc_auc") < 0.5, over="1h", rows=300)
flights.monitor("distance_drift", scores, when=drift("distance") > 5, then=retrain(lateness), over="1h")
PY
show check; code 0
show apply --quiet; code 0
PORT=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$HEADRACE" up --port "$PORT" --watch 250ms 2> up.log & UP=$!
trap 'kill -9 $UP 2>/dev/null || true; rm -rf "$SCENE"' EXIT
until_said() {
    for _ in $(seq 3000); do grep -qF -- "$1" up.log && { grep -F -- "$1" up.log | tail -1; return; }; sleep 0.1; done
    printf 'FAILED: never said: %s\n' "$1" >&2; cat up.log; exit 1
}
mkdir -p "$SCENE/coming/data"
(cd "$SCENE/coming" && for month in 1 2 3; do arrive "$month"; done)
ask() {  # ask ahead|now [NAME...]: the flights of the first two days of March, an hour ahead of each, or as of now;
         # NAME...: inputs that nobody knows then
    "$PYTHON" - "$PORT" "$SCENE/coming" "$@" <<'PY'
import json, sys, urllib.request
from datetime import timedelta
from pathlib import Path
import polars as pl

rows = pl.read_csv(sorted(Path(sys.argv[2]).glob("data/flights/*.csv.gz"))[-1], null_values=["NA", ""], try_parse_dates=True)
rows = rows.filter(pl.col("day") <= 2).with_columns(
    flight_id=pl.format("{}{}-{}-{}", "carrier", "flight", "origin", pl.date("year", "month", "day"))
)
count, versions = 0, set()
for (hour,), part in rows.group_by("time_hour", maintain_order=True):
    records = part.select("flight_id", "carrier", "origin", "distance", "hour").to_dicts()
    at = (hour - timedelta(hours=1)).isoformat() if sys.argv[3] == "ahead" else None
    body = {"records": [row | dict.fromkeys(sys.argv[4:]) for row in records], "at": at}
    request = urllib.request.Request(
        f"http://localhost:{sys.argv[1]}/predict/scores", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    answer = json.load(urllib.request.urlopen(request))
    count, versions = count + len(answer["predictions"]), versions | {answer["version"][:12]}
print(f"\n({count} answers of version {', '.join(versions)})")
PY
}
version() { "$HEADRACE" status --json | "$PYTHON" -c 'import json, sys; print(next(each["key"] for each in json.load(sys.stdin)[0]["nodes"] if each["node"] == "scores"))'; }
until_said "Serving scores"
ask ahead
show monitors late_quality; code 0; expect "too few labels"; expect "0.0%"
FIRST=$(version)

printf '\n(somebody gives the model the delay itself, which is in the table)\n'
sed -i 's/^    late: bool | None .*/    dep_delay: float | None\n&/; s/^        (pl.col("dep_delay") > LATE_AFTER)/        pl.col("dep_delay").cast(pl.Float64),\n&/; s/inputs=\["carrier",/inputs=["dep_delay", "carrier",/' pipeline.py
show apply --quiet; code 0; expect "published"
SECOND=$(version)
[ "$FIRST" != "$SECOND" ] || { echo "FAILED: the new model is not live" >&2; exit 1; }
show show lateness; code 0
for _ in $(seq 300); do ask ahead dep_delay > asked.log 2>&1 && grep -qF "${SECOND:0:12}" asked.log && break; sleep 0.2; done
cat asked.log
grep -qF "${SECOND:0:12}" asked.log || { echo "FAILED: the new model does not answer" >&2; exit 1; }

printf '\n(March comes in, and with it the labels)\n'
arrive 3
until_said "Applying: new data"
until_said "late_quality: raised"
until_said "scores is rolled back, and held there"
[ "$(version)" = "$FIRST" ] || { echo "FAILED: the first model is not back" >&2; exit 1; }
for _ in $(seq 300); do ask now > asked.log 2>&1 && grep -qF "${FIRST:0:12}" asked.log && break; sleep 0.2; done
cat asked.log
grep -qF "${FIRST:0:12}" asked.log || { echo "FAILED: the first model does not answer" >&2; exit 1; }
show monitors late_quality; code 0; expect "acted"; expect "roc_auc"; expect "labels known"
show status; code 0; expect "rolled back with scores"
kill -TERM $UP; wait $UP
cat up.log
