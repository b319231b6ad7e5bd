"""A batch of answers as one line of JSON: see `headrace.endpoints.log_lines` for the way back. On the hot path."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from operator import is_
from typing import TYPE_CHECKING, Final

import numpy as np
import orjson

from headrace.endpoints.log_lines import scores_as_json
from headrace.endpoints.tables import Table

if TYPE_CHECKING:
    from headrace.endpoints.service import Logged
    from headrace.ports.records import Json

_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE


def encode(batch: Logged) -> bytes:
    """One line, which ends with a newline and holds no other.

    Features that are just what was sent are not written twice: null stands for them. Rows that came as JSON are written
    as they came. What JSON has no word for becomes
    text, except for a feature that is no number or infinite: that becomes null.
    """
    scored = batch.scored
    content = {
        "at": batch.at,
        "endpoint": batch.endpoint,
        "version": batch.key,
        "model": batch.model,
        "stage": batch.stage,
        "generations": batch.generations,
        "ids": batch.ids,
        "cutoffs": batch.cutoffs,
        "rows": _rows(batch),
        "features": None if _are_the_same(scored.features, batch.rows) else list(scored.features),
        "seen": scored.seen,
        "predictions": scores_as_json(scored.scores.tolist()),
        "micros": batch.micros,
    }
    try:
        return orjson.dumps(content, _plain, _OPTIONS)
    except TypeError:  # a whole number of more than 64 bits, half a character, a name that is no text
        return json.dumps(_tamed(content | {"rows": list(batch.rows)}), separators=(",", ":")).encode() + b"\n"


def _rows(batch: Logged) -> object:
    """The rows: as they came, as names and a matrix, or one by one."""
    if batch.text is not None:
        return orjson.Fragment(b"[%b]" % batch.text)
    if type(batch.rows) is Table:
        return {"names": batch.rows.names, "values": np.ascontiguousarray(batch.rows.matrix)}
    return batch.rows


def _are_the_same(features: Sequence[Mapping[str, object]], rows: Sequence[Mapping[str, object]]) -> bool:
    return features is rows or all(map(is_, features, rows))


def _plain(value: object) -> Json:
    """What orjson does not know, in what it knows."""
    return dict(value) if isinstance(value, Mapping) else str(value)


def _tamed(value: object) -> Json:
    """Any value in what the standard library's encoder writes as true JSON."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _tamed(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tamed(each) for each in value]
    item = getattr(value, "item", None)
    return _tamed(item()) if callable(item) else str(value)
