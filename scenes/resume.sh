#!/usr/bin/env bash
# Killed at any moment, the next apply goes on, and no finished step is repeated.
source "$(dirname "$0")/lib.sh"
shop
HEADRACE_FAILPOINT=ledger.commit.before:4 show apply; code 137
show apply; code 0; expect "published"
show runs; expect "crashed"; expect "done"
show plan; expect "Nothing to do"
show doctor; code 0
