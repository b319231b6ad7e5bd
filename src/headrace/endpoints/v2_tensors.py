"""Tensors of the Open Inference Protocol: from JSON or bytes to the values of rows, and back.

An endpoint takes one named tensor for each field, of the shape [n] or [n, 1]: one value for each row. A value that is
missing is `null` in JSON. Bytes have no null; with the parameter `nan_is_missing` of the request a NaN stands for it.
Everything here raises HR915, with the name of the tensor, for what does not hold together.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from headrace.endpoints.tables import Table, table_of
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BYTES: Final = "BYTES"
BOOL: Final = "BOOL"
LENGTH_BYTES: Final = 4  # of what stands before each element of a BYTES tensor
COLUMN_AXES: Final = 2  # of the shape [n, 1]

# Row-major and little-endian on the wire, whatever this machine is.
NUMBERS: Final[Mapping[str, np.dtype[np.generic]]] = {
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
FLOATS: Final = frozenset({"FP16", "FP32", "FP64"})
DATATYPES: Final = (BOOL, *NUMBERS, BYTES)
TRUTHS: Final = np.dtype("?")
RANGES: Final = {
    **{f"UINT{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
}
# What JSON may hold for a tensor of each datatype. `type(True)` is no `int` here, and an integer is a fine float.
JSON_TYPES: Final[Mapping[str, frozenset[type]]] = {
    BOOL: frozenset({bool, type(None)}),
    BYTES: frozenset({str, type(None)}),
    **{name: frozenset({int, type(None)}) for name in RANGES},
    **{name: frozenset({int, float, type(None)}) for name in NUMBERS if name not in RANGES},
}


class Tensor(NamedTuple):
    """The head of one input: its name, its datatype and how many values it holds."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self.shape[0]


def refused(what: str) -> HeadraceError:
    """What is raised for a tensor that does not hold together."""
    return HeadraceError("HR915", what)


def head(name: object, datatype: object, shape: object) -> Tensor:
    """The head of a tensor, from what a caller wrote. Raises HR915."""
    if not isinstance(name, str) or not name:
        raise refused("an input has no name")
    if not isinstance(datatype, str) or datatype not in JSON_TYPES:
        raise refused(f"the input {name!r} is of the datatype {datatype!r}; known: {', '.join(DATATYPES)}")
    return Tensor(name, datatype, _shape(name, shape))


def from_json(tensor: Tensor, data: object) -> list[object]:
    """The values that JSON holds, flat or nested as the shape says. Raises HR915."""
    if not isinstance(data, list):
        raise refused(f"the data of the input {tensor.name!r} is no array")
    values = _flat(tensor, data)
    _refuse_other_count(tensor, len(values))
    _refuse_other_types(tensor, values)
    return values


def from_values(tensor: Tensor, values: Sequence[object]) -> list[object]:
    """The values that a message holds, which knows their types already. Raises HR915 for a number that overflows."""
    _refuse_other_count(tensor, len(values))
    if tensor.datatype == BYTES:
        return [_text(tensor, each) for each in values if isinstance(each, bytes)]
    found = list(values)
    _refuse_overflow(tensor, found)
    return found


def from_bytes(tensor: Tensor, raw: memoryview, *, nan_is_missing: bool = False) -> list[object]:
    """The values in the binary form. Raises HR915 where the bytes are not those that the shape calls for."""
    if tensor.datatype == BYTES:
        return _texts(tensor, raw)
    array = _array(tensor, raw)
    values: list[object] = array.tolist()
    if nan_is_missing and array.dtype.kind == "f" and np.isnan(array).any():
        return [None if value != value else value for value in values]  # noqa: PLR0124 - only NaN differs from itself
    return values


def table_from_bytes(tensors: Sequence[Tensor], raws: Sequence[memoryview]) -> Table | None:
    """The values in the binary form, where all are finite floats. Raises HR915 as `from_bytes` does."""
    if not tensors or not all(each.datatype in FLOATS for each in tensors):
        return None
    columns = [_array(tensor, raw) for tensor, raw in zip(tensors, raws, strict=True)]
    return table_of([each.name for each in tensors], columns)


def _array(tensor: Tensor, raw: memoryview) -> np.ndarray[Any, np.dtype[Any]]:
    dtype = NUMBERS.get(tensor.datatype, TRUTHS)
    if len(raw) != tensor.rows * dtype.itemsize:
        expected = f"{tensor.rows} of {tensor.datatype} are {tensor.rows * dtype.itemsize}"
        raise refused(f"the input {tensor.name!r} has {len(raw)} bytes; {expected}")
    return np.frombuffer(raw, dtype)


def to_rows(names: Sequence[str], columns: Sequence[Sequence[object]]) -> list[dict[str, object]]:
    """Rows of columns of one length."""
    return [dict(zip(names, values, strict=False)) for values in zip(*columns, strict=True)]


def numbers_to_bytes(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> bytes:
    """An FP64 tensor in the binary form."""
    return values.astype("<f8", copy=False).tobytes()


def texts_to_bytes(values: Sequence[str]) -> bytes:
    """A BYTES tensor in the binary form: each element after its length, which is four bytes, the lowest first."""
    encoded = [value.encode() for value in values]
    lengths = (len(each).to_bytes(LENGTH_BYTES, "little") for each in encoded)
    return b"".join(chain.from_iterable(zip(lengths, encoded, strict=True)))


def _shape(name: str, shape: object) -> tuple[int, ...]:
    """The shape [n] or [n, 1]."""
    if type(shape) is list and len(shape) == 1 and type(shape[0]) is int and shape[0] > 0:
        return (shape[0],)  # nearly every request: told without the checks below
    if not isinstance(shape, list | tuple) or set(map(type, shape)) - {int}:
        raise refused(f"the shape of the input {name!r} is no array of integers")
    column = len(shape) == COLUMN_AXES and shape[1] == 1
    if not (len(shape) == 1 or column) or shape[0] < 1:
        raise refused(f"the input {name!r} is of the shape {list(shape)}; it takes [n] or [n, 1] of one row or more")
    return tuple(shape)


def _flat(tensor: Tensor, data: list[object]) -> list[object]:
    """The values in row-major order; data that is nested must be nested as its shape says."""
    if len(tensor.shape) != COLUMN_AXES or not any(type(each) is list for each in data):
        return data
    flat: list[object] = []
    for each in data:
        if not isinstance(each, list) or len(each) != 1:
            raise refused(f"the data of the input {tensor.name!r} is not nested as its shape {list(tensor.shape)}")
        flat.append(each[0])
    return flat


def _refuse_other_count(tensor: Tensor, count: int) -> None:
    if count != tensor.rows:
        raise refused(f"the input {tensor.name!r} has {count} values; its shape {list(tensor.shape)} calls for another")


def _refuse_other_types(tensor: Tensor, values: list[object]) -> None:
    wrong = set(map(type, values)) - JSON_TYPES[tensor.datatype]
    if wrong:
        names = ", ".join(sorted(each.__name__ for each in wrong))
        raise refused(f"the input {tensor.name!r} of the datatype {tensor.datatype} holds values of the type {names}")
    _refuse_overflow(tensor, values)


def _refuse_overflow(tensor: Tensor, values: list[object]) -> None:
    """Refuse integers that the datatype has no room for."""
    if tensor.datatype not in RANGES:
        return
    least, most = RANGES[tensor.datatype]
    there = [value for value in values if isinstance(value, int)]
    if there and (min(there) < least or max(there) > most):
        raise refused(f"the input {tensor.name!r} holds a number outside of {tensor.datatype}: {least} to {most}")


def _texts(tensor: Tensor, raw: memoryview) -> list[object]:
    """The elements of a BYTES tensor. Its loop ends: each turn takes four bytes or more."""
    content = raw.tobytes()
    values: list[object] = []
    at, end = 0, len(content)
    while at < end:
        start = at + LENGTH_BYTES
        at = start + int.from_bytes(content[at:start], "little")
        if start > end or at > end:
            raise refused(f"the bytes of the input {tensor.name!r} end inside of element {len(values)}")
        values.append(_text(tensor, content[start:at]))
    _refuse_other_count(tensor, len(values))
    return values


def _text(tensor: Tensor, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise refused(f"the input {tensor.name!r} holds bytes that are no UTF-8 text") from None
