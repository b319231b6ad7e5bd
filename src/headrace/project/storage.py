"""`[storage]` of `headrace.toml`: how the stores are reached that addresses of files name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def storage_of(tables: object, path: Path) -> dict[str, Mapping[str, Any]]:
    """The options of `[storage."s3://bucket"]` by address; an error never shows a value. Raises HR803."""
    if not isinstance(tables, dict) or not all(isinstance(each, dict) for each in tables.values()):
        fix = 'Write [storage."s3://bucket"], and below it the options, such as region = "eu-central-1".'
        raise HeadraceError("HR803", f"{path}: storage is no table of addresses", fix=fix)
    for address, options in tables.items():
        if "://" not in address:
            raise HeadraceError(
                "HR803", f"{path}: storage.{address!r} is no address", fix="Use one such as s3://bucket."
            )
        for name, value in options.items():
            if not isinstance(value, str | int | float | bool):
                raise HeadraceError("HR803", f"{path}: storage.{address}.{name} is no plain value")
    return dict(tables)
