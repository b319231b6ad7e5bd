#!/usr/bin/env bash
# Old rows stay when they are to; a backfill makes them again part by part, is killed, goes on, and swaps all at once.
source "$(dirname "$0")/lib.sh"
shop
sed -i 's/incremental=True/incremental=True, partition_by="month"/' pipeline.py
orders 28 40 > data/02.csv
orders 56 70 > data/03.csv
show apply; code 0
show show orders; expect "2024-02"
sed -i 's/^FACTOR = 1/FACTOR = 2/' pipeline.py
show plan --forward-only orders; expect "forward only: 3 of 3 batches stay as earlier code made them"
show apply --forward-only orders; code 0
orders 84 90 > data/04.csv
show apply; code 0
show query "select sum(amount)::bigint as euros from orders where order_id < 84"; expect "1442"
show query "select sum(amount)::bigint as euros from orders where order_id >= 84"; expect "1218"
show backfill orders; code 0; expect "2024-01"; refuse "2024-04"; expect "by_shop"; expect "3 parts to make"
HEADRACE_FAILPOINT=ledger.commit.after:4 show backfill orders --yes; code 137
show query "select sum(amount)::bigint as euros from orders where order_id < 84"; expect "1442"
show backfill orders; expect "made already"
show backfill orders --yes; code 0; refuse "2024-01:"; expect "published"
show query "select sum(amount)::bigint as euros from orders where order_id < 84"; expect "2884"
show backfill orders; expect "Nothing to backfill"
show plan; expect "Nothing to do"
show backfill orders --partition 2024-09; code 1; expect "HR723"
show doctor; code 0
