#!/usr/bin/env bash
# A change is tried in an environment that copies nothing, promoted in one transaction, and rolled back.
source "$(dirname "$0")/lib.sh"
shop
show apply; code 0
sed -i 's/FACTOR = 1/FACTOR = 2/' pipeline.py
show plan dev; code 0; expect "code changed"; expect "FACTOR changed"
show apply dev; code 0
show query "select * from by_shop"; expect "55"
show query --env dev "select * from by_shop"; expect "110"
show promote dev prod; code 0
show query "select * from by_shop"; expect "110"
show rollback orders; code 0
show query "select * from by_shop"; expect "55"
show plan; expect "held"
show release orders; code 0
show apply; code 0
show query "select * from by_shop"; expect "110"
show promot dev prod; code 2; expect "did you mean 'promote'"
