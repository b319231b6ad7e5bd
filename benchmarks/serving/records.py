"""Requests as a list of records by name, which the floor, the bare server and Headrace all take."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = tuple(f"x{number:02}" for number in range(20))
"""The features, all of which a request sends."""

_values = itemgetter(*NAMES)


def matrix(records: Sequence[dict[str, float]]) -> list[tuple[float, ...]]:
    """The values of the records, in the order of the model's inputs."""
    return [_values(each) for each in records]


def answer(found: Any) -> bytes:  # noqa: ANN401 - an array
    """The answer: a JSON list of probabilities."""
    return orjson.dumps(found.tolist())
