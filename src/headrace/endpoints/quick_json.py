"""JSON by orjson where it is installed, several times as fast; else, and for what it refuses, by Python itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.ports.records import Json

try:
    import orjson
except ImportError:  # reading what was logged needs no extra
    orjson = None  # type: ignore[assignment]


def loads(content: bytes) -> Json:
    """Data from JSON; a whole number of more than 64 bits may become a float. Raises ValueError for what is none."""
    if orjson is not None:
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError:
            pass  # NaN, or no JSON: Python's own decoder tells
    return json.loads(content)


def dumps(data: Json) -> str:
    """Data as JSON without white space."""
    if orjson is not None:
        try:
            return orjson.dumps(data).decode()
        except TypeError:
            pass  # a whole number of more than 64 bits, half a character
    return json.dumps(data, separators=(",", ":"))
