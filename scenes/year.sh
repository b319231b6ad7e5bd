#!/usr/bin/env bash
# Five months of a model that looks after itself, with the supervisor running for real. Kilometres come in for miles: the
# contract sets aside what is too far, the monitor tells, and the model is held. A model that knows what nobody knows passes
# its gate, and is rolled back when labels come. Then all of it again, while processes are killed at random: the end is the same.
source "$(dirname "$0")/lib.sh"
SEED=${SEED:-7}
trap 'kill -TERM ${PLAY:-} 2>/dev/null && wait ${PLAY:-}; rm -rf "$SCENE"' EXIT
play() {  # play FOLDER [SEED]
    printf '\n==== %s\n' "${2:+the same, while supervisors, applies, workers and servers are killed (seed $2)}"
    PYTHONPATH=$ROOT "$PYTHON" -m tests.support.year "$@" & PLAY=$!
    wait $PLAY
}
play quiet
(
    cd quiet
    show status; code 0; expect "held: rolled back with scores"
    show monitors; code 0; expect "odd: "; expect "worse: "
    show quarantine departures; code 0; expect "rows of departures set aside"
    show why scores; code 0
    printf '\n(what people were told)\n'
    "$PYTHON" - <<'PY'
import json

with open("notices.jsonl") as lines:
    for each in map(json.loads, lines):
        print("{kind:15} {title}: {text:.110}".format(**each))
PY
    grep -q 'rows were set aside.*distance <= 4983' notices.jsonl && grep -q '"kind": "held"' notices.jsonl && grep -q '"kind": "monitor"' notices.jsonl ||
        { echo "FAILED: people were not told" >&2; exit 1; }
)
play killed "$SEED"
diff quiet/end.json killed/end.json || { echo "FAILED: the ends differ" >&2; exit 1; }
printf '\nThe ends are the same: pointers, holds, models, decisions, and what the monitors noted.\n'
