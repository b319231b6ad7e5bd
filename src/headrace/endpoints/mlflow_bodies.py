"""The forms in which MLflow's `/invocations` takes rows: four of JSON, and CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

import orjson

from headrace.errors import HeadraceError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headrace.endpoints.service import Field

    Reader = Callable[[str], object]
    Rows = list[Mapping[str, object]]

PARAMS: Final = "params"
TRUTHS: Final[Mapping[str, bool]] = {"true": True, "1": True, "false": False, "0": False}


def from_json(body: bytes) -> tuple[Rows, Mapping[str, object]]:
    """The rows of a JSON body, and its `params`. Raises HR904, HR921."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HeadraceError("HR904", f"the body is no JSON: {error}") from error
    if not isinstance(message, dict):
        raise _refused("the body is no JSON object")
    forms = [name for name in message if name != PARAMS]
    for name in forms:
        if name not in FORMS:
            raise _refused(f"the body has the key {name!r}; {did_you_mean(name, [*FORMS, PARAMS])}")
    if len(forms) != 1:
        raise _refused(f"the body has {len(forms)} of the keys {', '.join(FORMS)}; it takes one")
    params = message.get(PARAMS) or {}
    if not isinstance(params, dict):
        raise _refused("'params' is no JSON object")
    return FORMS[forms[0]](message[forms[0]]), params


def from_csv(body: bytes, fields: Sequence[Field]) -> Rows:
    """The rows of a CSV body with a header. An empty cell is a missing value. Raises HR922."""
    try:
        # With `newline=""` line ends within quotes stay what they are.
        lines = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise HeadraceError("HR922", f"the body is no CSV in UTF-8: {error}") from error
    names, rows = (lines[0], [line for line in lines[1:] if line]) if lines else ([], [])
    _refuse_names(names, "HR922")
    kinds = {each.name: each.kind for each in fields}
    readers = [READERS.get(kinds.get(name, ""), _text) for name in names]
    return [_csv_row(number, names, readers, row) for number, row in enumerate(rows, start=1)]


def _csv_row(number: int, names: list[str], readers: list[Reader], row: list[str]) -> dict[str, object]:
    if len(row) != len(names):
        raise HeadraceError("HR922", f"row {number} has {len(row)} cells, the header {len(names)}")
    return {name: read(cell) if cell else None for name, read, cell in zip(names, readers, row, strict=True)}


def _number(cell: str) -> object:
    """The number that a cell holds; a cell that holds none stays text, which the check of rows refuses by name."""
    if "_" in cell:  # Python takes 1_000 for a number; CSV does not
        return cell
    try:
        return int(cell) if cell.lstrip("+-").isdigit() else float(cell)
    except ValueError:
        return cell


def _boolean(cell: str) -> object:
    return TRUTHS.get(cell.lower(), cell)


def _text(cell: str) -> object:
    return cell


def _dataframe_split(given: object) -> Rows:
    """The form {"columns": [...], "data": [[...], ...]}; an "index" is allowed, and names nothing here."""
    if not isinstance(given, dict):
        raise _refused("'dataframe_split' is no JSON object")
    for name in given:
        if name not in SPLIT:
            raise _refused(f"'dataframe_split' has the key {name!r}; {did_you_mean(name, SPLIT)}")
    names, data = given.get("columns"), given.get("data")
    if not isinstance(names, list) or not isinstance(data, list):
        raise _refused("'dataframe_split' takes 'columns' and 'data', both arrays")
    _refuse_names(names, "HR921")
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(names):
            raise _refused(f"row {number} of 'dataframe_split' is no array of {len(names)} values")
    return [dict(zip(names, row, strict=True)) for row in data]


def _records(form: str) -> Callable[[object], Rows]:
    """The form [{"a": 1, "b": 2}, ...]."""

    def read(given: object) -> Rows:
        if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
            raise _refused(f"{form!r} is no array of objects: every value needs the name of its field")
        return given

    return read


def _inputs(given: object) -> Rows:
    """The form {"a": [1, ...], "b": [2, ...]}, where [[1], ...] will do as well; or records."""
    if not isinstance(given, dict):
        return _records("inputs")(given)
    columns: list[list[object]] = []
    for name, values in given.items():
        if not isinstance(values, list):
            raise _refused(f"{name!r} of 'inputs' is no array")
        columns.append([each[0] if isinstance(each, list) and len(each) == 1 else each for each in values])
    if len(set(map(len, columns))) > 1:
        lengths = ", ".join(f"{name!r}: {len(values)}" for name, values in zip(given, columns, strict=True))
        raise _refused(f"the arrays of 'inputs' differ in length ({lengths})")
    return [dict(zip(given, values, strict=True)) for values in zip(*columns, strict=True)]


def _refuse_names(names: Sequence[object], code: str) -> None:
    """Refuse columns that have no name, or one name between them."""
    if not names or not all(isinstance(name, str) and name for name in names):
        raise HeadraceError(code, "the columns have no names, or not all of them")
    if len(set(names)) < len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise HeadraceError(code, f"the column {twice!r} stands there twice")


def _refused(what: str) -> HeadraceError:
    return HeadraceError("HR921", what)


SPLIT: Final = ("columns", "data", "index")
READERS: Final[Mapping[str, Reader]] = {"number": _number, "boolean": _boolean}
FORMS: Final[Mapping[str, Callable[[object], Rows]]] = {
    "dataframe_split": _dataframe_split,
    "dataframe_records": _records("dataframe_records"),
    "instances": _records("instances"),
    "inputs": _inputs,
}
