"""Where a database lies is a setting, outside of every fingerprint and of everything that is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace.errors import HeadraceError
from headrace.ports.canonical import canonical
from headrace.project import settings as project_settings
from headrace.project.databases import open_reader
from headrace.sources import database

if TYPE_CHECKING:
    from pathlib import Path


def settings(folder: Path, *lines: str) -> project_settings.Settings:
    (folder / "headrace.toml").write_text("\n".join(lines))
    return project_settings.load(folder)


def test_a_name_has_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(
        tmp_path,
        "[databases]",
        'crm = "postgresql://app:s3cret@host/crm"',
        'books = "env:BOOKS"',
        'local = "sqlite:local.db"',
        'odd = "oracle://host"',
    )
    assert "s3cret" not in repr(found)
    assert open_reader(found, "crm").where == "database 'crm' (PostgreSQL)"
    assert open_reader(found, "local").where == "database 'local' (SQLite)"
    with pytest.raises(HeadraceError, match="HR340") as caught:
        open_reader(found, "books")
    assert "BOOKS" in caught.value.what
    monkeypatch.setenv("BOOKS", "mysql://u:s3cret@host/b")
    assert open_reader(found, "books").where == "database 'books' (MariaDB)"
    with pytest.raises(HeadraceError, match="HR349"):
        open_reader(found, "odd")
    with pytest.raises(HeadraceError, match="HR340") as caught:
        open_reader(found, "cmr")
    assert caught.value.fix == "Did you mean 'crm'?"


@pytest.mark.parametrize("lines", ['databases = "x"', "[databases]\ncrm = 3", '[databases]\ncrm = ""'])
def test_settings_that_are_none(tmp_path: Path, lines: str) -> None:
    with pytest.raises(HeadraceError, match="HR803"):
        settings(tmp_path, lines)


def test_what_decides_the_rows_is_in_the_fingerprint() -> None:
    plain = canonical(database("crm", table="orders", cursor="at").settings())
    assert canonical(database("crm", table="orders", cursor="at", overlap="1h").settings()) == plain
    others = [
        database("erp", table="orders", cursor="at"),
        database("crm", query="orders", cursor="at"),
        database("crm", table="orders"),
        database("crm", table="orders", cursor="at", key="id"),
        database("crm", table="orders", cursor="at", schema={"id": str}),
    ]
    assert len({plain, *(canonical(each.settings()) for each in others)}) == 6


def test_declarations_that_contradict_themselves() -> None:
    for options in ({}, {"table": "a", "query": "b"}, {"table": "a", "overlap": "1h"}):
        with pytest.raises(HeadraceError, match="HR347"):
            database("crm", **options)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(HeadraceError, match="HR347"):
        database("crm", table="a", cursor="b", overlap=-1)
    with pytest.raises(HeadraceError, match="HR318"):
        database("crm", table="a", schema={"x": list})  # type: ignore[dict-item]  # that is the point
