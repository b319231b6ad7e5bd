"""Rows of numbers that are a matrix as well, so that a large request is not gone through value by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, overload

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Row = Mapping[str, object]
    Matrix = npt.NDArray[np.float64]


class Table(Sequence[Mapping[str, object]]):
    """Rows of finite floats by the same `names` in the same order; `matrix` has a row for each of them.

    Without `rows` they are made of the matrix when somebody asks for them.
    """

    def __init__(self, names: tuple[str, ...], matrix: Matrix, rows: Sequence[Row] | None = None) -> None:
        self.names = names
        self.matrix = matrix
        self._rows = rows

    def __len__(self) -> int:
        return len(self.matrix)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | Sequence[Row]:
        if isinstance(place, slice) or self._rows is not None:
            return self._all()[place]
        return dict(zip(self.names, self.matrix[place].tolist(), strict=True))

    def __iter__(self) -> Iterator[Row]:
        return iter(self._all())

    def _all(self) -> Sequence[Row]:
        if self._rows is None:
            names = self.names
            self._rows = [dict(zip(names, values, strict=True)) for values in self.matrix.tolist()]
        return self._rows


def table_of(names: Sequence[str], columns: Sequence[Matrix]) -> Table | None:
    """The rows of columns of one length; None where a value is not finite."""
    matrix = np.column_stack(columns).astype(np.float64, copy=False)
    return Table(tuple(names), matrix) if np.isfinite(matrix).all() else None
