#!/usr/bin/env bash
# A change is tried in a branch, and compared with what is live row by row before it is promoted. A change that only
# spells the code in another way is no difference, and the exit code says so.
source "$(dirname "$0")/lib.sh"
show init shop --quiet; code 0
cd shop
show apply --quiet; code 0

printf '\n(amounts are rounded, in a branch)\n'
sed -i 's/decided_at=pl.col("ordered_at")/amount=pl.col("amount").round(0), &/' pipeline.py
show apply dev --only orders --quiet; code 0
show diff prod dev orders --exit-code; code 5; expect "0 added, 0 removed"; expect "changed columns: amount"
KEY=$("$HEADRACE" status prod --json | "$PYTHON" -c 'import json, sys; print(next(n["key"] for n in json.load(sys.stdin)[0]["nodes"] if n["node"] == "orders"))')
show diff "prod@${KEY:0:12}" dev; code 0; expect "changed columns: amount"

printf '\n(the code is spelled in another way)\n'
sed -i 's/amount=pl.col("amount").round(0), /amount=pl.col("amount") * 1.0, /' pipeline.py
show apply dev --only orders --quiet; code 0
show diff prod dev orders --exit-code; code 0; expect "nothing differs"

show profile orders; code 0; expect "numbers and times"
show profile orders --html orders.html; code 0; expect "Written to"
[ "$(grep -c '<svg' orders.html)" -ge 1 ] || { echo "FAILED: no plots" >&2; exit 1; }
show diff prod deb; code 1; expect "Did you mean 'dev'?"
