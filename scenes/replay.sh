#!/usr/bin/env bash
# A spring of flights is lived through again: never retrained, monthly, and when quality falls. Then bad input, and an interruption.
source "$(dirname "$0")/lib.sh"
mkdir -p data project && cd project
cp "$ROOT"/src/headrace/cli/demo/project/{pipeline.py,headrace.toml} .
arrive() { "$PYTHON" -c "import sys; from pathlib import Path; from headrace.cli.demo.data import Year; Year().arrive(int(sys.argv[1]), Path())" "$1"; }
show replay; code 1; expect "HR609"; expect "headrace apply"
for month in 1 2 3 4; do arrive "$month"; done
show apply --quiet; code 0
before=$(sha256sum .headrace/ledger.db | cut -d' ' -f1)

show replay --from 2013-01-01 --to 2013-04-30 --policy none,monthly --policy quality --report replay.html; code 0
expect "better in"; expect "roc_auc by week"; expect "The page is replay.html."
grep -q "<svg" replay.html && ! grep -qE "https?://|<script" replay.html || { echo "FAILED: the page needs something else" >&2; exit 1; }
first=$("$HEADRACE" replay --from 2013-01-01 --to 2013-04-30 --policy none,monthly,quality --quiet --json)
second=$("$HEADRACE" replay --from 2013-01-01 --to 2013-04-30 --policy none,monthly,quality --quiet --json)
[ "$first" = "$second" ] || { echo "FAILED: two replays came to different ends" >&2; exit 1; }
printf '\n(a second and a third replay made nothing and came to the same, to the bit)\n'
[ "$before" = "$(sha256sum .headrace/ledger.db | cut -d' ' -f1)" ] || { echo "FAILED: the ledger was touched" >&2; exit 1; }

printf '\n(a replay under another policy is killed, and run again)\n'
made() { grep -c "rows to train on" .headrace/replay/printed.log; }
already=$(made)
"$HEADRACE" replay --from 2013-01-01 --to 2013-04-30 --policy weekly --quiet > killed.log 2>&1 & KILLED=$!
for _ in $(seq 600); do [ "$(made)" -ge $((already + 3)) ] && break; sleep 0.1; done
kill -9 $KILLED; wait $KILLED 2>/dev/null || true
[ "$(made)" -ge $((already + 3)) ] || { echo "FAILED: it made no model" >&2; exit 1; }
between=$(made)
show replay --from 2013-01-01 --to 2013-04-30 --policy weekly; code 0; expect "weekly"
[ "$(made)" -le $((already + 14)) ] && [ "$(made)" -gt "$between" ] || { echo "FAILED: models were made twice" >&2; exit 1; }

show replay --policy weakly; code 1; expect "HR995"; expect "Did you mean 'weekly'?"
show replay --from 2013-04-30 --to 2013-01-01; code 1; expect "HR993"
show replay --from 2031-01-01 --to 2031-12-31; code 1; expect "HR994"
show replay --endpoint score; code 1; expect "HR990"; expect "scores"
show replay --from 2013-01-01 --to 2013-04-30 --report nowhere/replay.html; code 1; expect "HR999"
sed -i 's/LATE_AFTER = 15/LATE_AFTER = 30/' pipeline.py
show replay; code 1; expect "HR996"; expect "headrace apply prod"
