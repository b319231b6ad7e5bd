from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.adapters.places import place_of, safe_name
from headrace.errors import HeadraceError
from headrace.ports.records import Ref


@given(st.text(max_size=300))
def test_a_safe_name_is_one_visible_name(name: str) -> None:
    safe = safe_name(name)
    assert Path("root", safe).parts == ("root", safe)
    assert not safe.startswith(".")
    assert safe.isascii()
    assert 0 < len(safe) <= 120
    assert "*" not in safe


@given(st.lists(st.text(max_size=200), max_size=4, unique=True))
def test_safe_names_differ_where_names_do(names: list[str]) -> None:
    assert len({safe_name(name) for name in names}) == len(names)


@pytest.mark.parametrize("name", ["departures", "departures.quarantine", "a-b_c"])
def test_a_name_that_is_safe_is_kept(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize("path", ["", ".", "..", "../a", "a/../b", "/a", "a/..", ".scratch/a"])
def test_a_path_out_of_the_store_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(HeadraceError, match="HR639"):
        place_of(tmp_path, Ref("table", path, ""), "table")
    with pytest.raises(HeadraceError, match="HR639"):
        place_of(tmp_path, path)


def test_a_reference_to_another_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HeadraceError, match="HR639"):
        place_of(tmp_path, Ref("artefact", "a/b", ""), "table")


def test_a_path_in_the_store(tmp_path: Path) -> None:
    assert place_of(tmp_path, Ref("table", "a/b", ""), "table") == tmp_path / "a" / "b"
