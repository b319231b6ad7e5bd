#!/usr/bin/env bash
# Contracts: rules of rows, of the whole table and against the last good version; rows that are mended come in once.
source "$(dirname "$0")/lib.sh"
shop
cat > shops.csv <<'CSV'
name
a
b
CSV
python3 - <<'PY'
text = open("pipeline.py").read()
text = text.replace("from headrace import Contract, Pipeline, column, files", """from headrace import Contract, Pipeline, champion, column, files
from headrace.tables import col, rows, rule""")
text = text.replace("class Order(Contract):", '''class Shop(Contract):
    name: str = column(key=True)


@shop.table(shop.source("raw_shops", files("shops.csv")), contract=Shop)
def shops(found: pl.LazyFrame) -> pl.LazyFrame:
    return found


class Order(Contract):''')
text = text.replace("    shop: str\n", "    shop: str = column(references=shops)\n")
text = text.replace("    at: datetime = column(event_time=True)\n", '''    at: datetime = column(event_time=True)
    dear_is_late = rule((col("amount") < 100) | (col("at") > datetime(2024, 6, 1)))
    cheap = rule(col("amount").mean() <= 7, on_breach="warn")
    not_shrinking = rule(rows() >= champion * 0.9)
''')
open("pipeline.py", "w").write(text)
PY
{ orders 11 14; echo '21,a,-5,2024-01-01T00:00:00'; echo '22,c,500,2024-01-01T00:00:00'; echo '1,a,1,2024-01-01T00:00:00'; } > data/02.csv
show apply; code 0
show quarantine orders; expect "3 rows of orders set aside"
expect "dear_is_late: (amount < 100)"; expect "order_id is unique"; expect "amount >= 0"
show show orders; expect "cheap: mean(amount) <= 7"; expect "warns"; expect "no good version yet"

# Mended rows are a batch of their own, and come in once.
"$HEADRACE" quarantine orders --format csv > broken.csv
sed -i -e 's/,21,a,-5.0,/,21,a,5.0,/' -e 's/,22,c,500.0,/,22,c,50.0,/' broken.csv
show quarantine orders --mend broken.csv; code 0; expect "2 rows mended: mended/orders/0001-"; expect "1 row of the file as before"
show quarantine orders --mend broken.csv; code 0; expect "The same rows were mended before"
show plan; code 0
expect "mended/orders/0001-"
show apply; code 0
show query "select amount from orders where order_id = 21"; expect "5"
show quarantine orders; expect "2 rows of orders set aside"; refuse "amount >= 0"; expect "mended/orders/0001-"
show why orders; expect "mended/orders/0001-"
show apply; code 0; expect "Nothing to do"

# A row that a changed rule lets through comes in by itself, and what it was mended to is not there twice.
echo c >> shops.csv
show apply; code 0
show query "select count(*) as n, count(distinct order_id) as ids from orders where order_id = 22"; expect "1    1"

# A version that is much smaller than the last good one is made, and not published.
rm data/02.csv
sed -i '/^[5-9],\|^10,/d' data/01.csv
show apply; code 4; expect "orders did not pass its gate"
show query "select count(*) as n from orders"; expect "16"
show show orders; expect "x "
