#!/usr/bin/env bash
# The leak that known-at prevents: in a branch a flight counts as known at its scheduled time, and is asked for then. The model of that
# branch promises more than the honest one, and gets less on what was really known an hour before departure.
source "$(dirname "$0")/lib.sh"
mkdir -p data project && cd project
cp "$ROOT"/src/headrace/cli/demo/project/{pipeline.py,headrace.toml} .
"$PYTHON" -c "
from pathlib import Path
from headrace.cli.demo.data import MONTHS, Year
year = Year()
for month in MONTHS:
    year.arrive(month, Path())"
show apply --quiet; code 0

printf '\n(in a branch: no column says when a delay became known, nothing takes time, and the model is asked at departure)\n'
sed -i 's/= column(known_at=True)/= column()/; s/, delay="[0-9]*m"//; s/lead="1h"/lead="0m"/' pipeline.py
show plan leak; code 0; expect "CarrierHistory"
show apply leak --quiet; code 0

cat > promised.py <<'PY'
import polars as pl
from sklearn.metrics import roc_auc_score

import headrace

with headrace.open("prod") as prod, headrace.open("leak") as leak:
    held_out = prod.version("lateness").manifest.outputs["holdout"].path  # a fortnight, with what was known when it was asked
    careful, careless = prod.model("lateness"), leak.model("lateness")
rows = pl.read_parquet(f".headrace/store/artefacts/{held_out}")
promised, got = careless.metrics["roc_auc"], roc_auc_score(rows["late"], careless.predict(rows))
print(f"the leaking model promises {promised:.3f}, and gets {got:.3f} on what is known an hour before departure")
print(f"the honest model promises {careful.metrics['roc_auc']:.3f}, and gets {roc_auc_score(rows['late'], careful.predict(rows)):.3f}")
assert promised > careful.metrics["roc_auc"] > got, "the leak does not show"
PY
printf '\n$ python promised.py\n'
"$PYTHON" promised.py || { echo "FAILED: the leak does not show" >&2; exit 1; }
