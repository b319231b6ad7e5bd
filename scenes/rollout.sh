#!/usr/bin/env bash
# A new model takes over stage by stage while it is watched; a bad one returns by itself; a person steps in.
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
CANARY='rollout=canary(20, 50, shadow="1s", bake="10s", answers=50, abort_if=[metric("mean_score") > champion + 0.1])'
sed -i "s/flights.endpoint(\"scores\", lateness)/flights.endpoint(\"scores\", lateness, $CANARY)/; s/^from headrace import (/from headrace import (\n    canary,/" pipeline.py
show apply --quiet; code 0
PORT=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
up() {  # up: start the server and wait until it answers
    "$HEADRACE" serve --port "$PORT" 2>> serve.log & SERVER=$!
    trap 'rm -f go; kill -9 $SERVER 2>/dev/null || true; rm -rf "$SCENE"' EXIT
    until curl -sf "localhost:$PORT/ready" > /dev/null; do kill -0 $SERVER || { cat serve.log; exit 1; }; sleep 0.02; done
    printf '\n$ headrace serve --port %s\n' "$PORT"
}
until_said() {  # until_said TEXT: the server says so within a minute
    for _ in $(seq 600); do grep -qF -- "$1" serve.log && { grep -F -- "$1" serve.log | tail -1; return; }; sleep 0.1; done
    printf 'FAILED: the server never said: %s\n' "$1" >&2; cat serve.log; exit 1
}
callers() {  # callers: one for each carrier, who ask without a pause until `quiet`
    rm -f codes.*; touch go
    for CARRIER in AA B6 DL EV MQ UA US WN 9E AS F9 FL HA OO VX YV; do
        (
            ROW="{\"carrier\": \"$CARRIER\", \"origin\": \"JFK\", \"distance\": 1000, \"hour\": 17}"
            while [ -e go ]; do
                curl -s -o /dev/null -w '%{http_code}\n' "localhost:$PORT/predict/scores" \
                    -H 'content-type: application/json' -d "$ROW" || true
            done > "codes.$CARRIER"
        ) & CALLERS="${CALLERS-} $!"
    done
}
quiet() {  # quiet [STATUS]: the callers stop; none of them saw anything but 200 (or STATUS)
    rm go; wait $CALLERS; CALLERS=
    printf '\n%s requests, %s of them failed\n' "$(cat codes.* | wc -l)" "$(cat codes.* | grep -vcE "200|${1:-200}" || true)"
    ! cat codes.* | grep -qvE "200|${1:-200}" || exit 1
}
up
callers
sed -i 's/max_iter=60/max_iter=40/' pipeline.py
show plan; code 0; expect "takes over by shadow, 20 %, 50 %, 100 %"
show apply --quiet; code 0
until_said "shadow -> 20 %"
show rollout scores; code 0; expect "of 4) since"; expect "for 10s at least"; expect "aborts if mean_score > champion + 0.1"
until_said "20 % -> 50 %"
kill -9 $SERVER; wait $SERVER 2> /dev/null || true
quiet 000
printf '\n$ kill -9 the server: the stage stays\n'
show rollout scores; code 0; expect "50 % (3 of 4)"
up
callers
until_said "answers everything now"
show rollout scores; code 0; expect "no roll-out is under way"
# A version that breaks its condition (here one that no version can keep): the server takes it back, and holds it there.
sed -i 's/max_iter=40/max_iter=30/; s/metric("mean_score") > champion + 0.1/metric("p50_ms") > 0.001/' pipeline.py
show apply --quiet; code 0
until_said "and held there: p50_ms > 0.001"
show status; code 0; expect "held: roll-out aborted: p50_ms > 0.001"
refuse "its gate refused"
show why scores; code 0; expect "roll-out, shadow: advance"
show release lateness; code 0
# A person steps in.
sed -i 's/max_iter=30/max_iter=20/; s/metric("p50_ms") > 0.001/metric("error_share") > 0.5/; s/bake="10s"/bake="1h"/; s/shadow="1s"/shadow="1h"/' pipeline.py
show apply --quiet; code 0
show rollout scores --advance; code 0; expect "20 % (2 of 4)"
show rollout scores --hold; code 0; expect "held in 20 %"
show rollout scores --hold; code 1; expect HR943
show rollout scores --abort; code 0; expect "no roll-out is under way"
quiet
kill -TERM $SERVER; wait $SERVER
