"""A service for the tests of protocols: its predictions can be worked out by hand, and it remembers its calls."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from headrace.endpoints.service import Answered, Field, Scored
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.endpoints.service import Call, Served

TYPES: dict[str, tuple[type, ...]] = {"number": (int, float), "boolean": (bool,), "text": (str,)}
FIELDS = (
    Field("distance", "number", required=True),
    Field("delayed", "boolean", required=False),
    Field("origin", "text", required=False, entity=True),
    Field("mean_delay", "number", required=False, view="airports"),
)


class FakeServed:
    """A version whose prediction is twice the distance, and one more where the row is delayed."""

    quick = True
    generations: Mapping[str, str] = {}

    def __init__(self, key: str, fields: tuple[Field, ...] = FIELDS) -> None:
        self.key = key
        self.model = f"model-of-{key}"
        self.fields = fields

    def score(self, rows: Sequence[Mapping[str, object]], at: Sequence[int]) -> Scored:
        scores = [2 * float(str(row["distance"])) + bool(row.get("delayed")) for row in rows]
        return Scored(np.array(scores), rows, [{} for _ in at])

    def contributions(self, features: Sequence[Mapping[str, object]], top: int) -> Sequence[Mapping[str, float]]:
        return [{} for _ in features[:top]]


class FakeTraffic:
    def __init__(self, loaded: Mapping[str, Sequence[Served]]) -> None:
        self.loaded = loaded

    def endpoints(self) -> Sequence[str]:
        return [name for name, versions in self.loaded.items() if versions]

    def route(self, endpoint: str) -> Served:
        if endpoint not in self.loaded:
            raise HeadraceError("HR901", f"there is no endpoint {endpoint!r}")
        if not self.loaded[endpoint]:
            raise HeadraceError("HR902", f"no version of the endpoint {endpoint!r} is live")
        return self.loaded[endpoint][0]

    def version(self, endpoint: str, key: str) -> Served:
        self.route(endpoint)
        for served in self.loaded[endpoint]:
            if served.key.startswith(key):
                return served
        raise HeadraceError("HR903", f"the endpoint {endpoint!r} has no version {key!r}")

    def versions(self, endpoint: str) -> Sequence[Served]:
        return self.loaded[endpoint]


def two_endpoints() -> FakeTraffic:
    versions = [FakeServed("aaaa1111"), FakeServed("bbbb2222", FIELDS[:1])]
    return FakeTraffic({"delays": versions, "fares": [FakeServed("cccc3333")], "empty": []})


@dataclass
class FakeService:
    """Answers what `FakeTraffic` has, checks rows as the real one does, and remembers its calls."""

    traffic: FakeTraffic = field(default_factory=two_endpoints)
    taking: bool = True
    calls: list[Call] = field(default_factory=list)
    failure: Exception | None = None

    def ready(self) -> bool:
        return self.taking

    async def predict(self, call: Call) -> Answered:
        self.calls.append(call)
        if self.failure is not None:
            raise self.failure
        served = self.traffic.route(call.endpoint)
        if call.version:
            served = self.traffic.version(call.endpoint, call.version)
        for row in call.rows:
            _check(row, served.fields)
        scored = served.score(call.rows, [call.at or 0] * len(call.rows))
        ids = [f"id-{number}" for number in range(len(call.rows))]
        return Answered(ids, scored, served.key, served.model)


def _check(row: Mapping[str, object], fields: tuple[Field, ...]) -> None:
    """Refuse a row as the service does."""
    known = {each.name: each for each in fields}
    for name, value in row.items():
        if name not in known:
            raise HeadraceError("HR908", f"unknown field {name!r}")
        wrong = value is not None and type(value) not in TYPES[known[name].kind]
        if wrong or (isinstance(value, float) and not math.isfinite(value)):
            raise HeadraceError("HR910", f"the field {name!r} is no {known[name].kind}")
    for each in fields:
        if each.required and row.get(each.name) is None:
            raise HeadraceError("HR909", f"the field {each.name!r} is missing")
