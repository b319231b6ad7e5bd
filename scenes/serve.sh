#!/usr/bin/env bash
# A model goes live: it is asked, changed and rolled back while it answers, killed, and its answers are explained.
source "$(dirname "$0")/lib.sh"
mkdir -p data project && cd project
cp "$ROOT"/src/headrace/cli/demo/project/{pipeline.py,headrace.toml} .
"$PYTHON" - <<'PY'
from pathlib import Path

from headrace.cli.demo.data import Year

year = Year()
for month in (1, 2):
    year.arrive(month, Path())
PY
show apply --quiet; code 0
PORT=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
up() {  # up: start the server and wait for its first answer
    HEADRACE_ACCESS_LOG=access.log "$HEADRACE" serve --port "$PORT" 2> serve.log & SERVER=$!
    trap 'kill -9 $SERVER 2>/dev/null || true; rm -rf "$SCENE"' EXIT
    local begin; begin=$(date +%s%N)
    until curl -sf "localhost:$PORT/ready" > /dev/null; do kill -0 $SERVER || { cat serve.log; exit 1; }; sleep 0.02; done
    printf '\n$ headrace serve --port %s   (answers after %d ms)\n' "$PORT" $((($(date +%s%N) - begin) / 1000000))
}
ROW='{"carrier": "AA", "origin": "JFK", "distance": 2475, "hour": 17}'
ask() {  # ask PATH BODY: the answer is in OUT
    printf '\n$ curl localhost:%s%s -d %s\n' "$PORT" "$1" "$2"
    OUT=$(curl -s "localhost:$PORT$1" -H 'content-type: application/json' -d "$2"); printf '%s\n' "$OUT"
}
field() { "$PYTHON" -c 'import json, sys; print(eval("d" + sys.argv[2], {"d": json.loads(sys.argv[1])}))' "$OUT" "$1"; }
up
ask /predict/scores "{\"records\": [$ROW], \"at\": \"2013-03-01T06:00:00Z\", \"features\": true, \"explain\": 2}"
expect '"carrier_late_7d":'; expect '"contributions"'
FIRST=$(field '["version"]')
ask /predict/scores '{"carier": "AA"}'; expect "Did you mean 'carrier'?"
ask /predict/scores "${ROW/2475/NaN}"; expect HR904
ask /predict/score "$ROW"; expect "Did you mean 'scores'?"
ask /invocations "{\"dataframe_records\": [$ROW]}"; expect '"predictions"'
ask /v2/models/scores/infer '{"inputs": []}'; expect '"error"'
# Under load: a changed model is published, and rolled back. No request may fail.
(
    while [ ! -e stop ]; do
        curl -s -o /dev/null -w '%{http_code}\n' "localhost:$PORT/predict/scores" -H 'content-type: application/json' -d "$ROW"
    done > codes
) & LOAD=$!
sed -i 's/max_iter=60/max_iter=40/' pipeline.py
show apply --quiet; code 0
for _ in $(seq 100); do ask /predict/scores "$ROW" > /dev/null; [ "$(field '["version"]')" = "$FIRST" ] || break; sleep 0.05; done
[ "$(field '["version"]')" != "$FIRST" ] || { echo "FAILED: the new version does not answer" >&2; exit 1; }
show rollback lateness; code 0
for _ in $(seq 100); do ask /predict/scores "$ROW" > /dev/null; [ "$(field '["version"]')" != "$FIRST" ] || break; sleep 0.05; done
[ "$(field '["version"]')" = "$FIRST" ] || { echo "FAILED: the first version does not answer again" >&2; exit 1; }
touch stop; wait $LOAD
printf '\n%s requests meanwhile, %s of them failed\n' "$(wc -l < codes)" "$(grep -vc 200 codes || true)"
[ "$(grep -vc 200 codes)" = 0 ] || exit 1
ID=$(field '["predictions"][0]["id"]')
kill -9 $SERVER; wait $SERVER 2> /dev/null || true
printf '\n$ kill -9 the server\n'
show why "$ID"; code 0; expect "data/flights/2013-02.csv.gz"; expect "CarrierHistory"
up
kill -TERM $SERVER; wait $SERVER
show status; code 0; expect "scores.predictions"
# What was looked up is what training would see; and each request has its line in the access log.
show parity scores; code 0
printf '\n$ tail -2 access.log\n'; OUT=$(tail -2 access.log); printf '%s\n' "$OUT"; expect '"path":"/'
show why "$ID"; code 0; expect "$ID"
