#!/usr/bin/env bash
# One command looks after everything: data that comes in is applied and the live model follows; a second one takes over.
source "$(dirname "$0")/lib.sh"
mkdir -p data project && cd project
cp "$ROOT"/src/headrace/cli/demo/project/{pipeline.py,headrace.toml} .
arrive() {  # arrive MONTH: the flights and the weather of a month come in
    "$PYTHON" -c "import sys; from pathlib import Path; from headrace.cli.demo.data import Year; Year().arrive(int(sys.argv[1]), Path())" "$1"
    printf '\n(the files of month %s arrive)\n' "$1"
}
PORT=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
up() {  # up NAME: start a supervisor; its process is in PID, what it says in NAME.log
    "$HEADRACE" up --port "$PORT" --watch 1s 2> "$1.log" & PID=$!
    printf '\n$ headrace up --port %s --watch 1s\n' "$PORT"
}
until_said() {  # until_said NAME TEXT: a supervisor says so within minutes
    for _ in $(seq 3000); do grep -qF -- "$2" "$1.log" && { grep -F -- "$2" "$1.log" | tail -1; return; }; sleep 0.1; done
    printf 'FAILED: %s never said: %s\n' "$1" "$2" >&2; cat "$1.log"; exit 1
}
ask() {
    OUT=$(curl -s "localhost:$PORT/predict/scores" -H 'content-type: application/json' \
        -d '{"carrier": "AA", "origin": "JFK", "distance": 2475, "hour": 17}')
    "$PYTHON" -c 'import json, sys; print(json.loads(sys.argv[1])["model"][:12])' "$OUT"
}
arrive 1; arrive 2
up first; FIRST=$PID
trap 'kill -9 ${FIRST:-} ${SECOND:-} 2>/dev/null || true; rm -rf "$SCENE"' EXIT
until_said first "Applying: the beginning"
until_said first "Serving scores"
BEFORE=$(ask); printf '\nanswered by model %s\n' "$BEFORE"
up second; SECOND=$PID
until_said second "Standing by"
arrive 3
until_said first "Applying: new data"
until_said first "published to prod"
for _ in $(seq 600); do AFTER=$(ask); [ "$AFTER" != "$BEFORE" ] && break; sleep 0.1; done
printf '\nanswered by model %s\n' "$AFTER"
[ "$AFTER" != "$BEFORE" ] || { echo "FAILED: the new model does not answer" >&2; exit 1; }
kill -9 $FIRST; wait $FIRST 2> /dev/null || true
printf '\n$ kill -9 the first one\n'
until_said second "Taking over prod"
until_said second "Serving scores"
[ "$(ask)" = "$AFTER" ] || { echo "FAILED: the second one answers with something else" >&2; exit 1; }
kill -TERM $SECOND; wait $SECOND
cat second.log; OUT=$(cat second.log); refuse "scores.settled"
show status; code 0; expect "scores.predictions"
