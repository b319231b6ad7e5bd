"""The small project that `headrace init` lays out: a pipeline, its settings, and one file of orders."""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta
from importlib.resources import files
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from pathlib import Path

ORDERS = 600
_BROKEN = (97, 211)
_CUSTOMERS = 20
_BEGINNING = datetime(2024, 1, 1, 8)  # noqa: DTZ001 - the file holds local times without a zone
_EVERY = timedelta(hours=11)
_OUT_OF = 1000


def lay_out(folder: Path) -> list[Path]:
    """Write the project and answer its files. Raises HR823 where one of them exists already."""
    template = files("headrace.cli") / "template"
    contents = {name: (template / name).read_text(encoding="utf-8") for name in ("headrace.toml", "pipeline.py")}
    contents["data/orders/2024.csv"] = orders_csv()
    contents[".gitignore"] = ".headrace/\n__pycache__/\n"
    for name in contents:
        if (folder / name).exists() and name != ".gitignore":
            raise HeadraceError("HR823", f"{folder / name} exists already")
    written = []
    for name, text in contents.items():
        path = folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written


def orders_csv() -> str:
    """Orders of a made-up shop, always the same ones: some customers return much, dear things come back more often."""
    lines = ["order_id,customer,amount,ordered_at,returned"]
    for number in range(ORDERS):
        customer = _chance("customer", number) % _CUSTOMERS
        amount = 5 + _chance("amount", number) % 20_000 / 100
        leaning = 100 + 650 * (customer % 3 == 0) + amount
        returned = _chance("returned", number) % _OUT_OF < leaning
        at = (_BEGINNING + number * _EVERY).isoformat()
        shown = -amount if number in _BROKEN else amount
        lines.append(f"{number},c{customer:02d},{shown:.2f},{at},{str(returned).lower()}")
    return "\n".join([*lines, ""])


def _chance(what: str, number: int) -> int:
    """A number that looks random and is always the same."""
    return zlib.crc32(f"{what} {number}".encode())
