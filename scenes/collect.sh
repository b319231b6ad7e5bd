#!/usr/bin/env bash
# Garbage is shown before it goes; what anything needs stays; what went can be made again.
source "$(dirname "$0")/lib.sh"
shop
show apply; code 0
sed -i 's/FACTOR = 1/FACTOR = 2/' pipeline.py
show apply; code 0
show gc --keep 0s; code 0; expect "orders"
show gc --keep 0s --yes; code 0
show doctor; code 0
show query "select * from by_shop"; expect "110"
sed -i 's/FACTOR = 2/FACTOR = 1/' pipeline.py
show apply; code 0
show query "select * from by_shop"; expect "55"
