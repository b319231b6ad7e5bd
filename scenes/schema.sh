#!/usr/bin/env bash
# A file comes without a column: the plan tells, nothing is published until a person accepts it, and a row names its line.
source "$(dirname "$0")/lib.sh"
shop
sed -i 's/    amount: float = column(ge=0)/    amount: float | None = column(ge=0)/' pipeline.py
sed -i 's/    return rows.with_columns/    return rows.select("order_id", "shop", "amount", "at").with_columns/' pipeline.py
show apply; code 0
printf 'order_id,shop,amount,at,city\n11,a,11,2024-01-01T00:00:00,Bern\n' > data/02.csv
show plan; code 0; expect "safe: column city (String) is new in data/02.csv"
show apply; code 0
printf 'order_id,shop,at\n12,a,2024-01-01T00:00:00\n' > data/03.csv
show plan; expect "breaking: column amount (Int64) is gone in data/03.csv"; expect "touches orders (amount), by_shop (amount)"
show apply; code 4; expect "column amount (Int64) is gone in data/03.csv"
show query "select count(*) as n from orders"; expect "11"
show accept raw --because "the shop sends no amounts any more"; code 0; expect "accepted: the shop sends no amounts any more"
show apply; code 0
show query "select count(*) as n from orders"; expect "12"
printf 'order_id,shop,amount,at\n13,a,none,2024-01-01T00:00:00\n' > data/04.csv
show apply; code 3; expect "HR314"; expect "'none' in line 2"
rm data/04.csv
show why orders --row 11; code 0; expect "data/02.csv, line 2"
