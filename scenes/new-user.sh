#!/usr/bin/env bash
# A new user clones the repository and runs one command; then changes one line of the flights.
source "$(dirname "$0")/lib.sh"
git clone --quiet "$ROOT" clone && cd clone
make demo | tee demo.log
for text in "headrace plan" "set aside" "was refused by its gate" "promote try prod" "rollback lateness" "What to do next"; do
    grep -qF -- "$text" demo.log || { echo "FAILED: the demo does not show: $text" >&2; exit 1; }
done
cd headrace-demo
HEADRACE=../.venv/bin/headrace
show plan; code 0; expect "Nothing to do"
sed -i 's/LATE_AFTER = 15/LATE_AFTER = 20/' pipeline.py
show plan try; code 0; expect "code changed"; expect "LATE_AFTER changed"
show why lateness; code 0; expect "data/flights/2013-12.csv.gz"
