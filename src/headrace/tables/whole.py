"""What the rules of a whole table measure and say of a table under construction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from headrace.tables.measuring import measured
from headrace.tables.picking import left_of
from headrace.tables.results import refuse_failed, table_results, warnings_of

if TYPE_CHECKING:
    from headrace.ports.records import Facts, Json
    from headrace.tables.contract import Contract
    from headrace.tables.growing import Before, Grown


def whole(
    name: str, contract: type[Contract] | None, made: Grown, before: Before | None, facts: Facts
) -> dict[str, Json]:
    """What is recorded of the rules of a whole table. Raises HR427 where one that is to fail does not hold."""
    if contract is None:
        return {}
    rows = made.clean.rows.lazy()
    if before is not None:
        rows = pl.concat([left_of(before.clean, made.clean.less), rows])
    measures = measured(rows, [each.measure for each in contract.__whole__])
    results = table_results(contract, measures)
    refuse_failed(name, results)
    every = [*facts["results"], *results]
    warned = warnings_of(every)
    if "left_out" in facts:
        warned.append(f"leaves out {', '.join(facts['left_out'])}, which its contract does not name")
    for batch, what in facts.get("mended", {}).items():
        if what["left_out"]:
            count = f"{what['left_out']:,} of {what['rows']:,} rows are left out"
            warned.append(f"{batch}: {count}: no row that they mend is set aside now")
    return {
        "results": every,
        **({"measures": measures} if measures else {}),
        **({"warnings": warned} if warned else {}),
    }
