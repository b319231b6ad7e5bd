"""NDJSON: what its lines become, and what is said of a line that is wrong."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sources.making import parsed, refused

VALUE = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))


def test_rows_keep_their_types() -> None:
    frame = parsed(
        "f.ndjson",
        '{"n":1,"x":1.5,"t":true,"s":"ü","d":"2024-01-01","m":"2024-01-01T00:00:00Z","e":null}\r\n\n'
        '{"n":null,"x":2,"t":false,"s":"","d":null,"m":"2024-01-01T01:00:00+01:00","e":null}',
    )
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    assert frame.rows() == [
        (1, 1.5, True, "ü", date(2024, 1, 1), moment, None),
        (None, 2.0, False, "", None, moment, None),
    ]
    assert frame.schema["e"] == pl.Null()


def test_a_key_that_a_line_lacks_is_no_value() -> None:
    frame = parsed("f.jsonl", '{"a":1}\n{"b":"x","a":2}\n{}\n')
    assert frame.columns == ["a", "b"]
    assert frame.rows() == [(1, None), (2, "x"), (None, None)]


def test_declared_types_are_taken_from_what_was_written() -> None:
    text = '{"zip":"00501","n":"7","p":1.50,"big":123456789012345678901234567890}\n'
    frame = parsed("f.ndjson", text, schema={"zip": str, "n": int, "p": pl.Decimal(10, 2), "big": str})
    assert frame.select("zip", "n", "big").row(0) == ("00501", 7, "123456789012345678901234567890")
    assert str(frame["p"][0]) == "1.50"


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("{", "HR324", "line 2, column 2: Expecting property name enclosed in double quotes"),
        ('{"a":1} {"a":2}', "HR324", "line 2, column 9: Extra data"),
        ('{"a":01}', "HR324", "line 2, column 7: Expecting ',' delimiter"),
        ("[1]", "HR324", "line 2: '[1]' is no JSON object"),
        ('{"a":1,"a":2}', "HR324", "line 2: the key 'a' stands twice in one object"),
        ('{"a":NaN}', "HR324", "line 2: NaN is no JSON value"),
        ('{"a":-Infinity}', "HR324", "line 2: -Infinity is no JSON value"),
        ('{"a":' + "[" * 100_000, "HR324", "line 2: nested too deeply"),
        ('{"a":"x"}', "HR311", "line 2: column 'a' holds a text, 'x', and a number in line 1"),
        ('{"a":true}', "HR311", "line 2: column 'a' holds a truth value, 'true', and a number in line 1"),
        ('{"a":[1]}', "HR316", "line 2: column 'a' holds a list"),
        ('{"a":{"b":1}}', "HR316", "line 2: column 'a' holds an object"),
        ('{"a":18446744073709551616}', "HR316", "line 2: '18446744073709551616' in column 'a' is beyond 64 bits"),
        ('{"a":1e999}', "HR330", "line 2: '1e999' in column 'a' is more than a float keeps"),
        ('{"a":0.5}\n{"a":9007199254740993}', "HR330", "line 3: '9007199254740993' in column 'a'"),
        ('{"b":"\\ud800"}', "HR308", "line 2: column 'b' holds half of a character"),
    ],
)
def test_a_wrong_line(line: str, code: str, said: str) -> None:
    error = refused("f.ndjson", f'{{"a":1}}\n{line}\n')
    assert error.code == code
    assert error.what.startswith(f"f.ndjson, {said}")


@pytest.mark.parametrize(
    ("text", "said"), [('[{"a":1}]', "jq -c '.[]'"), ('{\n"a": 1\n}', "jq -c ."), ("[\n1]", "'.[]'")]
)
def test_json_that_is_no_lines(text: str, said: str) -> None:
    error = refused("f.ndjson", text)
    assert error.code == "HR324"
    assert said in error.fix


def test_lists_and_objects_are_landed_as_json_where_a_text_is_declared() -> None:
    text = '{"a":{"n":1.50,"l":[1,"é",null,true,{}]}}\n{"a":[]}\n{"a":"x"}\n{}\n'
    found = parsed("f.ndjson", text, schema={"a": str})["a"].to_list()
    assert found == ['{"n": 1.50, "l": [1, "é", null, true, {}]}', "[]", "x", None]
    assert "schema={'a': pl.String}" in refused("f.ndjson", text).fix


def test_a_value_that_does_not_fit_its_declared_type() -> None:
    error = refused("f.ndjson", '{"a":1}\n\n{"a":1.5}\n', schema={"a": int})
    assert (error.code, error.what) == ("HR311", "f.ndjson, line 3: '1.5' in column 'a' is no Int64")
    assert refused("f.ndjson", '{"a":1}\n', schema={"aa": int}).code == "HR310"


@given(st.lists(st.tuples(VALUE, st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"])))), min_size=1))
def test_any_values_come_back(rows: list[tuple[int | None, str | None]]) -> None:
    text = "".join(json.dumps({"n": number, "s": word}) + "\n" for number, word in rows)
    assert parsed("f.ndjson", text, schema={"n": int, "s": str}).rows() == rows
