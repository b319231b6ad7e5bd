"""Which kinds of file there are, by the ending of a name, and how they are compressed."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.errors import HeadraceError

_FORMATS = {
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
    ".avro": "avro",
    ".orc": "orc",
    ".xlsx": "xlsx",
}
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz"}
_TEXTS = ("csv", "ndjson")


@dataclass(frozen=True, slots=True)
class Kind:
    """A format ("csv", "ndjson", "parquet", "avro", "orc", "xlsx") and a compression ("" for none)."""

    format: str
    compression: str = ""


def kind_of(name: str) -> Kind:
    """The kind of file that a name, or a pattern of names, ends with. Raises HR303 for one that cannot be read."""
    base, compression = name, ""
    for ending, called in _COMPRESSIONS.items():
        if name.endswith(ending):
            base, compression = name.removesuffix(ending), called
    for ending, called in _FORMATS.items():
        if base.endswith(ending) and (not compression or called in _TEXTS):
            return Kind(called, compression)
    raise HeadraceError("HR303", f"files({name!r}) names no kind of file that can be read")
