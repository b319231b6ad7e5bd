"""What a line of the prediction log says: the answers that one version gave in one turn. Reading needs no extra."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.endpoints.quick_json import loads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headrace.ports.records import Json

_COLUMNS = ("ids", "cutoffs", "rows", "features", "seen", "predictions", "micros")
_MOST = 1 << 63
_SHARED = ("endpoint", "version", "model", "at", "stage")


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer as it was given. Moments are microseconds since 1970.

    `cutoff` is the moment as of which features were looked up, `features` what the model saw by input, `seen` for each
    view the generation that was read and the moment of its newest row (None: it had no row), `micros` how long the
    request had taken. A feature that was no number (NaN) is logged as None.
    """

    id: str
    at: int
    endpoint: str
    version: str
    model: str
    stage: str | None
    cutoff: int
    inputs: Mapping[str, Json]
    features: Mapping[str, Json]
    seen: Mapping[str, Seen]
    prediction: float
    micros: int


@dataclass(frozen=True, slots=True)
class Seen:
    """Which generation of a view was read, and the moment of the newest row that was seen."""

    generation: str
    newest: int | None


def predictions(content: bytes) -> Iterator[list[Prediction] | None]:
    """The answers of each line of a segment; None for a line that is damaged."""
    for line in content.split(b"\n"):
        if line:
            try:
                yield decode(line)
            except (ValueError, KeyError, TypeError, AttributeError):
                yield None


def decode(line: bytes) -> list[Prediction]:
    """The answers that a line holds. Raises ValueError, KeyError, TypeError or AttributeError for a damaged one."""
    content = loads(line)
    shared = {name: content[name] for name in _SHARED}
    generations: Mapping[str, str] = content["generations"]
    rows = content["rows"]
    if isinstance(rows, dict):  # of a request that came as tensors
        content["rows"] = [dict(zip(rows["names"], values, strict=True)) for values in rows["values"]]
    if content["features"] is None:  # the model saw just what was sent
        content["features"] = content["rows"]
    columns = [content[name] for name in _COLUMNS]
    found = [
        Prediction(
            id=identity,
            cutoff=cutoff,
            inputs=row,
            features=features,
            seen={view: Seen(generations.get(view, ""), newest) for view, newest in seen.items()},
            prediction=float(score),
            micros=micros,
            **shared,
        )
        for identity, cutoff, row, features, seen, score, micros in zip(*columns, strict=True)
    ]
    if not all(map(_is_sound, found)):
        message = "a value is of another type"
        raise TypeError(message)
    return found


def _is_sound(each: Prediction) -> bool:
    """Whether every value can go into a table: damage that is JSON still must not stop what comes after it."""
    texts = (each.id, each.endpoint, each.version, each.model, *(seen.generation for seen in each.seen.values()))
    newest = (seen.newest for seen in each.seen.values() if seen.newest is not None)
    return (
        all(isinstance(text, str) and _is_whole(text) for text in texts)
        and (each.stage is None or isinstance(each.stage, str))
        and all(type(number) is int and abs(number) < _MOST for number in (each.at, each.cutoff, each.micros, *newest))
        and isinstance(each.inputs, dict)
        and isinstance(each.features, dict)
    )


def _is_whole(text: str) -> bool:
    """Whether a text is free of halves of characters, which UTF-8 cannot spell."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def scores_as_json(scores: list[float]) -> list[Any]:
    """Scores as JSON can hold them: what is not finite as text, such as "nan"."""
    if math.isfinite(sum(scores)):
        return scores
    return [score if math.isfinite(score) else repr(score) for score in scores]
