"""A query of an environment reads the partitions that it asks for: of the other files nothing but their footers."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import headrace
from headrace.errors import HeadraceError
from tests.support.projects import ORDERS, Project

if TYPE_CHECKING:
    from headrace.ports.records import Version

BY_MONTH = ORDERS.replace("incremental=True", 'incremental=True, partition_by="month"')
BY_SHOP = ORDERS.replace("incremental=True", 'incremental=True, partition_by="shop"')


def files_of(project: Project, version: Version) -> list[Path]:
    with project.opened() as workspace:
        return [Path(name) for name in workspace.stores.tables.files(version.manifest.outputs["table"])]


def without_rows(file: Path) -> None:
    """Leave a file its footer, and make its rows unreadable."""
    content = bytearray(file.read_bytes())
    [footer] = struct.unpack("<I", content[-8:-4])
    for place in range(4, len(content) - 8 - footer):
        content[place] ^= 0xFF
    file.write_bytes(content)


def made(folder: Path, code: str) -> Project:
    project = Project(folder / "a project's", code)
    project.write_batch("a", range(28 * 3), shop="a")
    project.write_batch("b", range(28 * 3, 28 * 6), shop="b")
    project.apply()
    return project


@pytest.mark.parametrize(
    "where",
    [
        "\"at\" >= timestamptz '2024-06-01 00:00:00+00'",
        "\"at\" between '2024-06-01 00:00:00+00' and '2024-06-30 00:00:00+00' and amount > 0",
    ],
)
def test_a_query_for_a_month_reads_its_files(tmp_path: Path, where: str) -> None:
    project = made(tmp_path, BY_MONTH)
    with headrace.open(project=project.folder) as prod:
        files = files_of(project, prod.versions["orders"])
        assert len(files) == 6
        for file in files[:5]:
            without_rows(file)
        assert prod.query(f"select count(*) as n from orders where {where}").item() == 28  # noqa: S608
        with pytest.raises(HeadraceError, match="HR632"):
            prod.query("select sum(amount) from orders")


def test_a_query_for_a_value_reads_its_files(tmp_path: Path) -> None:
    project = made(tmp_path, BY_SHOP)
    with headrace.open(project=project.folder) as prod:
        other, _ = files_of(project, prod.versions["orders"])
        without_rows(other)
        assert prod.query("select min(order_id) as n from orders where shop = 'b'").item() == 28 * 3
        told = prod.query("explain analyze select min(order_id) from orders where shop = 'b'")
        assert "Row Groups Scanned: 1 / 2" in told.item(0, 1)


def test_a_query_sees_no_other_file_than_those_of_its_nodes(tmp_path: Path) -> None:
    project = made(tmp_path, BY_SHOP)
    with headrace.open(project=project.folder) as prod:
        [other, *_] = files_of(project, prod.versions["by_shop"])
        other = other.rename(tmp_path / "other.parquet")
        for sql in (
            f"select count(*) from orders, read_parquet('{other}')",  # noqa: S608
            "copy (select 1) to 'out.csv'",
            "set enable_external_access = true",
        ):
            with pytest.raises(HeadraceError, match="HR83"):
                prod.query(sql)


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    project = made(tmp_path, BY_SHOP)
    with headrace.open(project=project.folder) as prod, pytest.raises(HeadraceError, match="HR835") as caught:
        prod.query("select * from orders join by_shop using (shop)")
    assert "amount" in caught.value.what
