"""A story that the stores tell: steps that write artefacts, tables and manifests, each once, as the runtime does.

Run as a program it goes on where the manifests say that it stopped: `python steps.py FOLDER`.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from headrace.adapters.artefacts import FileArtefactStore
from headrace.adapters.delta import DeltaTableStore
from headrace.adapters.manifests import FileManifestStore
from headrace.adapters.online_lmdb import LmdbOnlineStore
from headrace.ports.records import Manifest
from headrace.ports.stores import RowsFile, Stores
from headrace.testing.stores import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.ports.records import Ref


@dataclass(frozen=True, slots=True)
class Step:
    """Rows to write, whole or on top of an earlier step's, and bytes to store, as bytes or as a file.

    `linked`: the rows are stored as a file first, and the table takes that file.
    """

    number: int
    values: tuple[int, ...]
    base: int | None = None
    content: bytes | None = None
    file: bytes | None = None
    linked: bool = False


STEPS = (
    Step(1, (3, 1, 2), content=b"one"),
    Step(2, (4,), base=1, file=b"two"),
    Step(3, (5, 6), base=1, content=b"three"),  # forks
    Step(4, (), base=2, content=b"one"),
    Step(5, (7,), base=4, file=b"five"),
    Step(6, (8,), base=3),
    Step(7, (9, 10), linked=True),
    Step(8, (11,), base=7, linked=True),
)


def stores_in(root: Path) -> Stores:
    return Stores(
        DeltaTableStore(root / "t"),
        FileArtefactStore(root / "a"),
        FileManifestStore(root / "m"),
        LmdbOnlineStore(root / "o"),
    )


def perform(stores: Stores, step: Step) -> None:
    """Do a step unless it is done."""
    key = key_of(step.number)
    if stores.manifests.get(key) is not None:
        return
    outputs: dict[str, Ref] = {}
    if step.content is not None:
        outputs["content"] = stores.artefacts.put(step.content, ".bin")
    if step.file is not None:
        path = stores.artefacts.scratch() / "file"
        path.write_bytes(step.file)
        outputs["file"] = stores.artefacts.adopt(path)
    rows = pl.DataFrame({"value": pl.Series(step.values, dtype=pl.Int64)})
    if step.linked:
        outputs["content"] = stores.artefacts.put(_parquet(rows), ".parquet")
        draft = stores.tables.draft("table")
        landed = RowsFile(stores.artefacts.path(outputs["content"]), outputs["content"].digest, rows.height)
        assert draft.link(landed)
        outputs["rows"] = stores.tables.write(key, "table", draft, _base(stores, step))
    else:
        outputs["rows"] = stores.tables.write(key, "table", rows, _base(stores, step))
    stores.manifests.put(Manifest(key, outputs))


def _parquet(rows: pl.DataFrame) -> bytes:
    content = io.BytesIO()
    rows.write_parquet(content)
    return content.getvalue()


def _base(stores: Stores, step: Step) -> Ref | None:
    if step.base is None:
        return None
    manifest = stores.manifests.get(key_of(step.base))
    assert manifest is not None
    return manifest.outputs["rows"]


def tell(root: Path) -> None:
    """Do what is not done yet."""
    stores = stores_in(root)
    for step in STEPS:
        perform(stores, step)


def read(root: Path) -> dict[str, Mapping[str, object]]:
    """All that the manifests name, every byte of it checked."""
    stores = stores_in(root)
    found: dict[str, Mapping[str, object]] = {}
    for key in stores.manifests.keys():  # noqa: SIM118 - a method
        manifest = stores.manifests.get(key)
        assert manifest is not None
        found[key] = {name: _read(stores, ref) for name, ref in manifest.outputs.items()}
    return found


def _read(stores: Stores, ref: Ref) -> object:
    if ref.store == "artefact":
        return stores.artefacts.get(ref)
    stores.tables.verify(ref)
    return ref.digest, stores.tables.scan(ref).collect().get_column("value").to_list()


if __name__ == "__main__":
    tell(Path(sys.argv[1]))
