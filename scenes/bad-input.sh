#!/usr/bin/env bash
# Bad input gets a coded error that says what to do; nothing is published and nothing is lost.
source "$(dirname "$0")/lib.sh"
shop
show apply; code 0
printf 'order_id,shop,amount,at\n11,a,1,2024-01-01T00:00:00,extra\n' > data/02.csv
show apply; code 3; expect "HR307"; expect "data/02.csv, line 2"
: > data/02.csv
show apply; code 3; expect "HR304"
{ orders 11 20; echo '21,a,-5,2024-01-01T00:00:00'; } > data/02.csv
show apply; code 0
show quarantine orders; expect "amount >= 0"
show query "select * from by_shop"; expect "20"
sed -i 's/return rows.with_columns/raise ValueError("oops")\n    return rows.with_columns/' pipeline.py
show apply; code 3; expect "HR423"; expect "ValueError"
show query "select * from by_shop"; expect "20"
cd /; show plan; code 1; expect "HR801"
