"""How a generation of the online store spells a view: one entry for each entity, and a header.

The rows of an entity are those that became visible at or after the *floor* of the generation; what was before it is
folded together, since no window of a moment at or after the *horizon* reaches behind the floor. An entry is, in little
endian:

    rows: u32 | folded: i64, how many rows were | newest: i64, when the newest folded row became visible
    for each column:  flags: u8 | values: u32, how many | held: i64, how many folded values are not missing
    times: rows x i64, microseconds since 1970
    for each column:  places, where flags say so: (rows + 2) x u32
                      values, where a feature takes the last one: i64, f64, u8 for true and false; for text
                          (values + 1) x u32, where each begins, counted from here, and the UTF-8 of all
                      sums, where a feature sums: (rows + 2) x i64, or x 128 bits
                      sums and then sums of squares (see `spread`), where a feature is a deviation: as sums
                      the smallest and the largest folded value, where a feature without a window asks: as values
                      where a feature counts different values: i64, how many of the folded ones are different, and
                          values x u32, which of the values of the entity was the first that is like this one

Places and sums run on, so that what lies between two positions is the difference of two of them. Position 0 is before
the first row of the entity, position 1 after the folded rows, position 1 + n after n further rows. A place is how many
of the values are before a position; the first one is that of the folded rows, where there is one. Sums are in units of
the whole view (see `sums`), so that a look-up gives what the offline join gives, to the last bit.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from struct import Struct
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.ports.online import LONGEST_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

FORMAT = 1
HEADER_KEY = b"\x00header"
_FIRST = 7
"""How many fields a column had in the first generations, which are still read, and still written where they suffice."""
PLACES, FOLDED = 1, 2
"""The flags of a column: its places are written down; the first of its values is that of the folded rows."""

_PLAIN = {"String": "text", "Boolean": "boolean", "Date": "date", "Float64": "float", "Float32": "float"}


@dataclass(frozen=True, slots=True)
class Packed:
    """One column as it is packed: `newest` tells a column whose nulls count from one whose missing values are skipped.

    `kind` is that of its values: "text", "whole", "float", "boolean", "date" or "datetime". `sums` is 0 without sums,
    else the bytes of each: 8 or 16; `unit` is what they count, None for whole numbers. `spread` and `spread_unit` are
    the same for deviations. `extremes` tells whether those of the folded values are written, `codes` whether values
    are told apart.
    """

    name: str
    newest: bool
    kind: str
    zone: str | None = None
    values: bool = False
    sums: int = 0
    unit: float | None = None
    spread: int = 0
    spread_unit: float = 1.0
    extremes: bool = False
    codes: bool = False

    def encoded(self) -> list[object]:
        """As a header has it: what was added later is left out where a column does not have it."""
        fields = [getattr(self, name) for name in Packed.__slots__]
        return fields if any((self.spread, self.extremes, self.codes)) else fields[:_FIRST]


@dataclass(frozen=True, slots=True)
class PackedFeature:
    """One feature: its aggregate by word, of which packed column (None: of none), over how many microseconds."""

    name: str
    word: str
    column: int | None
    over: int | None


@dataclass(frozen=True, slots=True)
class Header:
    """What a look-up has to know of a generation. Times are microseconds since 1970; None where there are no rows.

    `horizon` is the earliest moment that can be asked about, `newest` when the last row became visible.
    """

    view: str
    entity: tuple[tuple[str, str], ...]
    features: tuple[PackedFeature, ...]
    columns: tuple[Packed, ...]
    horizon: int | None
    newest: int | None

    def encoded(self) -> bytes:
        """The header as an entry has it."""
        body = {
            "format": FORMAT,
            "view": self.view,
            "entity": self.entity,
            "features": [[each.name, each.word, each.column, each.over] for each in self.features],
            "columns": [each.encoded() for each in self.columns],
            "horizon": self.horizon,
            "newest": self.newest,
        }
        return json.dumps(body, separators=(",", ":")).encode()

    @classmethod
    def decoded(cls, content: bytes | None, generation: str) -> Header:
        """The inverse of `encoded`. Raises HR471 for what is no header, or one of another format."""
        try:
            body = json.loads(content or b"")
            if body["format"] != FORMAT:
                what = f"generation {generation[:12]} has the format {body['format']}, and this Headrace reads {FORMAT}"
                raise HeadraceError("HR471", what, why="It was filled by another version of Headrace.")
            return cls(
                body["view"],
                tuple((name, kind) for name, kind in body["entity"]),
                tuple(PackedFeature(*each) for each in body["features"]),
                tuple(Packed(*each) for each in body["columns"]),
                body["horizon"],
                body["newest"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise HeadraceError("HR471", f"generation {generation[:12]} has no header: {error}") from error


def head_of(columns: Sequence[Packed]) -> Struct:
    """The part of an entry that has the same length for all entities."""
    return Struct("<Iqq" + "BIq" * len(columns))


def kind_of(dtype: pl.DataType, what: str) -> tuple[str, str | None]:
    """How values of a type are packed, and the time zone of datetimes that have one. Raises HR474."""
    import polars as pl

    if dtype in (pl.Categorical, pl.Enum):
        return "text", None
    if isinstance(dtype, pl.Datetime):
        return "datetime", dtype.time_zone
    if dtype.is_integer() and dtype not in (pl.UInt64, pl.Int128, pl.UInt128):
        return "whole", None
    name = str(dtype)
    if name not in _PLAIN:
        raise HeadraceError("HR474", f"{what} is of type {name}")
    return _PLAIN[name], None


def entity_kind_of(dtype: pl.DataType, what: str) -> str:
    """How values of an entity are spelled. Raises HR474."""
    kind = "whole" if dtype.is_integer() else kind_of(dtype, what)[0]
    if kind not in SPELLINGS:
        raise HeadraceError("HR474", f"{what} is of type {dtype}")
    return kind


def key_of(pieces: Sequence[bytes]) -> bytes:
    """The key of an entity whose values are spelled like this, one for each column."""
    key = b"\x01" + (
        pieces[0] if len(pieces) == 1 else b"".join(len(each).to_bytes(4, "big") + each for each in pieces)
    )
    return key if len(key) <= LONGEST_KEY else b"\x02" + hashlib.sha256(key).digest()


def _text(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    raise TypeError


def _whole(value: object) -> bytes:
    if isinstance(value, int) and not isinstance(value, bool):
        return b"%d" % value
    if isinstance(value, float) and value.is_integer():
        return b"%d" % int(value)
    raise TypeError


def _boolean(value: object) -> bytes:
    if isinstance(value, bool):
        return b"t" if value else b"f"
    raise TypeError


def _date(value: object) -> bytes:
    if isinstance(value, str):
        value = date.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat().encode()
    raise TypeError


def _datetime(value: object) -> bytes:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return _moment(value).isoformat().encode()
    raise TypeError


def _moment(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


SPELLINGS: Mapping[str, Callable[[object], bytes]] = {
    "text": _text,
    "whole": _whole,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
}
"""How a value of an entity is spelled in a key, by kind. Raises TypeError or ValueError for a value of another kind."""
