"""What is logged is what is read, and what is damaged is no record."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from headrace.endpoints.log_encoding import encode
from headrace.endpoints.log_lines import Seen, decode, predictions
from headrace.endpoints.service import Logged, Scored
from tests.support.predictions import AT, VIEW, batch

MICROS = some.integers(min_value=0, max_value=2**53)
NUMBERS = some.integers(min_value=-(2**63), max_value=2**64 - 1) | some.floats(allow_nan=False, allow_infinity=False)
VALUES = some.one_of(some.none(), some.booleans(), some.text(), NUMBERS)  # no record holds a larger number
ROWS = some.dictionaries(some.text(), VALUES, max_size=4)


@some.composite
def batches(draw: some.DrawFn) -> Logged:
    count = draw(some.integers(min_value=0, max_value=4))

    def each(values: some.SearchStrategy[Any]) -> list[Any]:
        return draw(some.lists(values, min_size=count, max_size=count))

    generations = draw(some.dictionaries(some.text(), some.text(), max_size=2))
    seen = some.dictionaries(some.text(), some.none() | MICROS, max_size=3)
    return Logged(
        endpoint=draw(some.text()),
        key=draw(some.text()),
        model=draw(some.text()),
        generations=generations,
        at=draw(MICROS),
        ids=each(some.text()),
        rows=each(ROWS),
        cutoffs=each(MICROS),
        scored=Scored(np.array(each(some.floats()), dtype=np.float64), each(ROWS), each(seen)),
        micros=each(MICROS),
    )


def same(mine: object, theirs: object) -> bool:
    return mine == theirs and type(mine) is type(theirs)


@given(batches())
def test_what_is_logged_is_what_is_read(logged: Logged) -> None:
    line = encode(logged)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    found = decode(line)
    assert [each.id for each in found] == list(logged.ids)
    for number, each in enumerate(found):
        assert (each.at, each.cutoff, each.micros) == (logged.at, logged.cutoffs[number], logged.micros[number])
        assert (each.endpoint, each.version, each.model) == (logged.endpoint, logged.key, logged.model)
        assert each.inputs == logged.rows[number]
        assert all(same(each.features[name], value) for name, value in logged.scored.features[number].items())
        assert np.array_equal(each.prediction, logged.scored.scores[number], equal_nan=True)
        seen = logged.scored.seen[number]
        assert each.seen == {view: Seen(logged.generations.get(view, ""), newest) for view, newest in seen.items()}


@given(batches())
def test_features_that_are_what_was_sent_are_written_once(logged: Logged) -> None:
    sent = replace(logged, scored=replace(logged.scored, features=list(logged.rows)))
    copied = replace(logged, scored=replace(logged.scored, features=[dict(row) for row in logged.rows]))
    assert decode(encode(sent)) == decode(encode(copied)) or any(map(math.isnan, logged.scored.scores))
    if any(logged.rows):
        assert len(encode(sent)) < len(encode(copied))


@given(batches(), some.data())
def test_half_a_line_is_no_record(logged: Logged, data: some.DataObject) -> None:
    line = encode(logged)
    cut = data.draw(some.integers(min_value=1, max_value=len(line) - 2))
    assert list(predictions(line[:cut])) == [None]
    found = list(predictions(line + line[:cut] + b"\n" + line))
    assert repr(found) == repr([decode(line), None, decode(line)])  # what is not a number does not equal itself


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"ids":["a-001"]', b'"ids":[7]'),
        (b'"ids":["a-001"]', b'"ids":[]'),
        (b'"endpoint":"scores"', b'"endpoint":null'),
        (b'"stage":null', b'"stage":1'),
        (b'"at":13', b'"at":"13"'),
        (b'"at":13', b'"at":99999999999999913'),
        (b'"micros":[100]', b'"micros":[1.5]'),
        (b'"micros":[100]', b'"micros":[true]'),
        (b'"rows":[{', b'"rows":[[{'),
        (b'"predictions":[0.0]', b'"predictions":[{}]'),
        (b'"seen":[{', b'"seen":[7,{'),
        (b'"generations":{"weather":"g1"}', b'"generations":{"weather":1}'),
    ],
)
def test_a_line_of_another_shape_is_no_record(before: bytes, after: bytes) -> None:
    line = encode(batch(["a-001"]))
    assert before in line
    assert list(predictions(line.replace(before, after, 1))) == [None]


@pytest.mark.parametrize("damage", [b"\0" * 64, b"{}", b"[]", b"7", b"\xff\xfe", b'{"ids": 3}'])
def test_a_damaged_line_is_no_record(damage: bytes) -> None:
    line = encode(batch(["a-001"]))
    found = list(predictions(line + damage + b"\n" + line))
    assert [each and len(each) for each in found] == [1, None, 1]


def test_values_that_json_has_no_word_for() -> None:
    odd = [
        {"x": np.float64(1.5), "big": 2**70, "half": "\ud800", "nan": math.nan, "flag": np.bool_(True)},
        MappingProxyType({"x": math.inf, "when": b"x", "list": (1, math.nan)}),
    ]
    logged = replace(batch(["a-001", "a-002"]), scored=Scored(np.array([math.inf, math.nan]), odd, [{}, {VIEW: AT}]))
    first, second = decode(encode(logged))
    assert first.features == {"x": 1.5, "big": 2**70, "half": "\ud800", "nan": None, "flag": True}
    assert second.features == {"x": None, "when": "b'x'", "list": [1, None]}
    assert (first.prediction, math.isnan(second.prediction)) == (math.inf, True)
    assert second.seen == {VIEW: Seen("g1", AT)}


@given(some.lists(ROWS, min_size=1, max_size=3), some.sampled_from([(",", ":"), (" , ", " : "), (",\t", ":\r")]))
def test_rows_that_are_logged_as_they_came_are_read_as_all_are(
    rows: list[dict[str, Any]], marks: tuple[str, str]
) -> None:
    logged = replace(batch([str(number) for number in range(len(rows))]), rows=rows)
    text = ",".join(json.dumps(row, separators=marks) for row in rows).encode()
    assert decode(encode(replace(logged, text=text))) == decode(encode(logged))
