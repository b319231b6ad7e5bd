"""What is declared of files: which ones, and how they are to be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.sources.options import Dialect, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl


@dataclass(frozen=True)
class FileSpec:
    """A pattern of files, the declared types of columns, and how the files are to be read."""

    pattern: str
    schema: Mapping[str, pl.DataType] = field(default_factory=dict)
    null_values: tuple[str, ...] = ("",)
    dialect: Dialect = field(default_factory=Dialect)
    sheet: str | None = None
    hive: bool = False
    limits: Limits = field(default_factory=Limits)
    removed: str = "drop"

    def settings(self) -> dict[str, object]:
        """What of this decides the rows that are made of a file. Where the files lie does not.

        Nor do the limits, nor what becomes of removed files: the set of batches is part of the key itself.
        """
        schema = {name: str(kind) for name, kind in self.schema.items()}
        more: dict[str, object] = {} if self.sheet is None else {"sheet": self.sheet}
        if self.hive:
            more["hive"] = True
        return {"schema": schema, "null_values": self.null_values, **self.dialect.settings(), **more}
