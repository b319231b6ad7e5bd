"""Gates: whether a candidate may replace the champion, decided on rows that neither of them was trained on.

Conditions about numbers are judged on all held-out rows of the candidate. Conditions about the champion are judged on
the *same* rows for both, known after both training cut-offs. Where the champion's columns still mean what they meant,
the champion scores the candidate's held-out rows; where they do not, the predictions that the champion recorded for its
own held-out rows are used, on the rows that the two hold-outs have in common.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.graph.conditions import Champion, Comparison, Measured, comparisons, evaluate
from headrace.models.metrics import evaluation, measured_json
from headrace.models.predictor import Predictor
from headrace.models.split import up_to
from headrace.models.training import CLASSIFICATION
from headrace.ports.canonical import digest_of
from headrace.ports.records import Decision, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from headrace.graph.conditions import Condition
    from headrace.ports.records import Json, Version
    from headrace.ports.stores import Stores

SCORE = "_score"
"""The column of a stored hold-out that holds the model's predictions."""

COMMON_ROWS = 100
"""With fewer common rows, two models are not compared."""

_THEIRS = "_champion_score"


@dataclass(frozen=True, slots=True)
class Comparable:
    """Two models on the same rows: what was measured of each, on how many rows, and how the champion was scored."""

    candidate: Measured
    champion: Measured
    rows: int
    how: str


def decision_key(gate: Sequence[Condition], candidate: Version, champion: Version | None) -> str:
    """The key of a decision: the conditions, the two versions and the rows that they are judged on."""
    rows = candidate.manifest.outputs["holdout"].digest
    return digest_of(["gate", gate, candidate.key, None if champion is None else champion.key, rows])


def decide(gate: Sequence[Condition], candidate: Version, champion: Version | None, stores: Stores) -> Decision:
    """Judge the candidate. A condition about a champion with which it cannot be compared does not hold."""
    parts = comparisons(gate)
    slices = tuple(dict.fromkeys(part.metric.column for part in parts if part.metric.column is not None))
    holdout = read_holdout(candidate, stores)
    own = _evaluated(holdout, slices, candidate)
    compared: Comparable | str | None = None
    if champion is not None:
        compared = _compare(holdout, slices, (candidate, champion), stores)
    outcomes = tuple(_outcome(part, own, compared) for part in parts)
    return Decision(
        key=decision_key(gate, candidate, champion),
        node=candidate.node,
        candidate=candidate.key,
        champion=None if champion is None else champion.key,
        passed=all(outcome.passed for outcome in outcomes),
        outcomes=outcomes,
        facts={"rows": len(holdout), "candidate": measured_json(own), "compared": _facts(compared)},
    )


def read_holdout(version: Version, stores: Stores) -> pl.DataFrame:
    """The held-out rows of a model version, as they were before encoding, with its predictions."""
    import polars as pl

    return pl.read_parquet(io.BytesIO(stores.artefacts.get(version.manifest.outputs["holdout"])))


def _evaluated(rows: pl.DataFrame, slices: Sequence[str], version: Version, score: str = SCORE) -> Measured:
    import polars as pl

    facts = version.manifest.facts
    known = [column for column in slices if column in rows.columns]
    label = facts["label"]
    return evaluation(rows.with_columns(pl.col(label).cast(pl.Float64)), known, facts["task"], label, score)


def _outcome(part: Comparison, own: Measured, compared: Comparable | str | None) -> Outcome:
    if not isinstance(part.bound, Champion) or compared is None:
        return evaluate(part, own, None)[0]
    if isinstance(compared, str):
        return Outcome(str(part), passed=False, seen=compared)
    return evaluate(part, compared.candidate, compared.champion)[0]


def _facts(compared: Comparable | str | None) -> Json:
    if compared is None or isinstance(compared, str):
        return compared
    return {
        "rows": compared.rows,
        "how": compared.how,
        "candidate": measured_json(compared.candidate),
        "champion": measured_json(compared.champion),
    }


def _compare(
    holdout: pl.DataFrame, slices: Sequence[str], pair: tuple[Version, Version], stores: Stores
) -> Comparable | str:
    """Both models on their common rows; a text that says why where they cannot be compared."""
    candidate, champion = pair
    ours, theirs = candidate.manifest.facts, champion.manifest.facts
    for fact in ("label", "task"):
        if ours[fact] != theirs[fact]:
            return f"cannot be compared: the {fact} is {ours[fact]}, that of the champion is {theirs[fact]}"
    rows, how = _scored_by_champion(holdout, pair, stores)
    if len(rows) < COMMON_ROWS:
        return f"cannot be compared: {len(rows)} common rows, at least {COMMON_ROWS} are needed ({how})"
    if ours["task"] == CLASSIFICATION and rows[ours["label"]].n_unique() == 1:
        return f"cannot be compared: one class only in the {len(rows)} common rows ({how})"
    return Comparable(_evaluated(rows, slices, candidate), _evaluated(rows, slices, candidate, _THEIRS), len(rows), how)


def _scored_by_champion(
    holdout: pl.DataFrame, pair: tuple[Version, Version], stores: Stores
) -> tuple[pl.DataFrame, str]:
    """The candidate's held-out rows that the champion has not seen either, with the champion's predictions."""
    import polars as pl

    candidate, champion = pair
    why = _differing(candidate, champion)
    if not why:
        try:
            predictor = Predictor.of(champion, stores)
        except HeadraceError as error:  # such as one of another scikit-learn: what it predicted is still known
            why = f"the champion cannot be loaded: {error.code} {error.what}"
        else:
            rows = _after(holdout, candidate, champion)
            return rows.with_columns(pl.Series(_THEIRS, predictor.predict(rows))), "the champion scored the same rows"
    keys = candidate.manifest.facts["keys"]
    theirs = read_holdout(champion, stores)
    if keys != champion.manifest.facts["keys"] or not keys:
        return holdout.clear(), f"{why}, and the rows of the two have no common key"
    recorded = theirs.select(*keys, pl.col(SCORE).alias(_THEIRS))
    joined = _after(holdout, candidate, champion).join(recorded, on=keys, how="inner", maintain_order="left")
    return joined, f"recorded predictions of the champion, because {why}"


def _differing(candidate: Version, champion: Version) -> str:
    """Why the champion cannot score the candidate's rows: a column that it takes is gone or means something else."""
    ours, theirs = candidate.manifest.facts["origins"], champion.manifest.facts["origins"]
    different = sorted(name for name in theirs if ours.get(name) != theirs[name])
    return f"{', '.join(different)} changed" if different else ""


def _after(holdout: pl.DataFrame, candidate: Version, champion: Version) -> pl.DataFrame:
    """The rows whose event lies after the boundary of the champion's training as well."""
    column = candidate.manifest.facts["event_time"]
    return holdout.filter(~up_to(holdout, column, datetime.fromisoformat(champion.manifest.facts["boundary"])))
