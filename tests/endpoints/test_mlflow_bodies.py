"""The bodies that MLflow's `/invocations` takes."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.endpoints import mlflow_bodies
from headrace.errors import HeadraceError
from tests.support.fake_service import FIELDS

FAULTS = {"HR904", "HR921"}
ROWS = [{"distance": 1.5, "origin": "JFK"}, {"distance": None, "origin": "Ö"}]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["distance", "origin"], "data": [[1.5, "JFK"], [None, "Ö"]]}},
        {"dataframe_split": {"index": [7, 8], "columns": ["distance", "origin"], "data": [[1.5, "JFK"], [None, "Ö"]]}},
        {"dataframe_records": ROWS},
        {"instances": ROWS},
        {"inputs": ROWS},
        {"inputs": {"distance": [1.5, None], "origin": ["JFK", "Ö"]}},
        {"inputs": {"distance": [[1.5], [None]], "origin": [["JFK"], ["Ö"]]}},
    ],
)
def test_all_forms_hold_the_same_rows(body: dict[str, object]) -> None:
    assert mlflow_bodies.from_json(json.dumps(body).encode()) == (ROWS, {})
    assert mlflow_bodies.from_json(json.dumps(body | {"params": {"at": 5}}).encode()) == (ROWS, {"at": 5})


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([], "no JSON object"),
        ({}, "has 0 of the keys"),
        ({"params": {}}, "has 0 of the keys"),
        ({"instances": [], "inputs": []}, "has 2 of the keys"),
        ({"dataframe_record": ROWS}, "did you mean 'dataframe_records'"),
        ({"instances": ROWS, "params": 3}, "'params' is no JSON object"),
        ({"instances": [[1.5, "JFK"]]}, "every value needs the name of its field"),
        ({"instances": 1}, "'instances' is no array of objects"),
        ({"inputs": [[1.5]]}, "'inputs' is no array of objects"),
        ({"inputs": {"distance": 1.5}}, "'distance' of 'inputs' is no array"),
        ({"inputs": {"distance": [1.5], "origin": []}}, r"differ in length \('distance': 1, 'origin': 0\)"),
        ({"dataframe_split": []}, "'dataframe_split' is no JSON object"),
        ({"dataframe_split": {"columns": ["distance"], "dta": []}}, "did you mean 'data'"),
        ({"dataframe_split": {"columns": ["distance"]}}, "takes 'columns' and 'data'"),
        ({"dataframe_split": {"columns": [1], "data": [[1]]}}, "the columns have no names"),
        ({"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}, "the column 'a' stands there twice"),
        ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [1]]}}, "row 1 of 'dataframe_split'"),
        ({"dataframe_split": {"columns": ["a"], "data": [1]}}, "row 0 of 'dataframe_split'"),
    ],
)
def test_what_is_no_form_is_refused(body: object, says: str) -> None:
    with pytest.raises(HeadraceError, match=says) as caught:
        mlflow_bodies.from_json(json.dumps(body).encode())
    assert caught.value.code == "HR921"


@given(st.binary(max_size=50))
def test_bytes_that_are_no_json_are_refused(body: bytes) -> None:
    with pytest.raises(HeadraceError) as caught:
        mlflow_bodies.from_json(body)
    assert caught.value.code in FAULTS


@given(st.dictionaries(st.sampled_from([*mlflow_bodies.FORMS, "params"]), JSON, max_size=2))
def test_any_json_is_read_or_refused(message: object) -> None:
    try:
        rows, _ = mlflow_bodies.from_json(json.dumps(message).encode())
    except HeadraceError as error:
        assert error.code in FAULTS  # noqa: PT017 - either outcome is right
    else:
        assert all(isinstance(row, dict) for row in rows)


def test_csv_is_read_by_the_kinds_of_its_fields() -> None:
    body = 'distance,delayed,origin,other\r\n1.5,true,"J,FK",x\n2,0,"a ""b""\nc",7\n\n,,,\n'.encode("utf-8-sig")
    assert mlflow_bodies.from_csv(body, FIELDS) == [
        {"distance": 1.5, "delayed": True, "origin": "J,FK", "other": "x"},
        {"distance": 2, "delayed": False, "origin": 'a "b"\nc', "other": "7"},
        {"distance": None, "delayed": None, "origin": None, "other": None},
    ]


def test_a_cell_that_is_no_number_is_left_to_the_check_of_rows() -> None:
    body = b"distance,delayed\n1_000,maybe\nx,2\n"
    rows = [{"distance": "1_000", "delayed": "maybe"}, {"distance": "x", "delayed": "2"}]
    assert mlflow_bodies.from_csv(body, FIELDS) == rows


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "the columns have no names"),
        (b"\n\n", "the columns have no names"),
        (b"distance,\n1,2\n", "the columns have no names"),
        (b"distance,distance\n1,2\n", "the column 'distance' stands there twice"),
        (b"distance,origin\n1,JFK\n2\n", "row 2 has 1 cells, the header 2"),
        (b'distance,origin\n1,"JFK\n', "no CSV in UTF-8"),
        (b'distance,origin\n1,"JFK"x\n', "no CSV in UTF-8"),
        (b"distance\n\xff\n", "no CSV in UTF-8"),
        (b"distance\n" + b"1" * 200_000, "no CSV in UTF-8"),
    ],
)
def test_what_is_no_csv_is_refused(body: bytes, says: str) -> None:
    with pytest.raises(HeadraceError, match=says) as caught:
        mlflow_bodies.from_csv(body, FIELDS)
    assert caught.value.code == "HR922"


@given(st.lists(st.tuples(st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXT), min_size=1))
def test_csv_gives_back_what_was_written(rows: list[tuple[int, float, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerows([("distance", "mean_delay", "origin"), *rows])
    read = mlflow_bodies.from_csv(text.getvalue().encode(), FIELDS)
    assert [tuple(row.values()) for row in read] == rows


@given(st.binary(max_size=60) | st.text(st.sampled_from('a,"\n\r\0 1'), max_size=30).map(str.encode))
def test_any_csv_is_read_or_refused(body: bytes) -> None:
    try:
        rows = mlflow_bodies.from_csv(body, FIELDS)
    except HeadraceError as error:
        assert error.code == "HR922"  # noqa: PT017 - either outcome is right
    else:
        assert all(len(row) == len(rows[0]) for row in rows)
