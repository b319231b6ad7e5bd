"""Wiring: names, cycles, inputs from elsewhere, order, ancestors and descendants."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.graph.graph import Graph
from headrace.graph.keys import Coded, seed_of, version_key
from headrace.graph.node import Options, nearest
from headrace.ports.durations import duration, spell
from headrace.ports.records import Manifest, Version
from tests.support.planning import Plain

if TYPE_CHECKING:
    from collections.abc import Mapping


def code_of(action: pytest.ExceptionInfo[HeadraceError]) -> str:
    return action.value.code


def test_two_nodes_of_one_name() -> None:
    with pytest.raises(HeadraceError, match="'a'") as caught:
        Graph.of([Plain("a"), Plain("a")])
    assert code_of(caught) == "HR101"


def test_a_cycle_is_named() -> None:
    a = Plain("a")
    b = Plain("b", [a])
    a.inputs = (b,)
    with pytest.raises(HeadraceError, match=r"a -> b -> a|b -> a -> b") as caught:
        Graph.of([a, b])
    assert code_of(caught) == "HR102"


def test_an_input_of_another_pipeline() -> None:
    with pytest.raises(HeadraceError, match="b takes 'a'") as caught:
        Graph.of([Plain("b", [Plain("a")])])
    assert code_of(caught) == "HR103"


def test_an_unknown_node_with_a_hint_that_keeps_its_letters() -> None:
    with pytest.raises(HeadraceError) as caught:
        Graph.of([Plain("CarrierHistory")])["CarierHistory"]
    assert caught.value.fix == "Did you mean 'CarrierHistory'?"


def diamond() -> Graph:
    top = Plain("top")
    left, right = Plain("left", [top]), Plain("right", [top])
    return Graph.of([Plain("bottom", [left, right]), right, left, top])


def test_the_order_of_work() -> None:
    order = list(diamond().nodes)
    assert order[0] == "top"
    assert order[-1] == "bottom"


def test_descendants_and_ancestors() -> None:
    graph = diamond()
    assert set(graph.descendants("top")) == {"left", "right", "bottom"}
    assert set(graph.ancestors(["left"])) == {"left", "top"}
    assert graph.descendants("bottom") == ()


def test_what_a_key_covers() -> None:
    node, coded = Plain("a"), Coded("f", {})
    key = version_key(node, coded, ["x"], observed=None, generation=0)
    others = {
        version_key(Plain("b"), coded, ["x"], observed=None, generation=0),
        version_key(node, Coded("g", {}), ["x"], observed=None, generation=0),
        version_key(node, coded, ["y"], observed=None, generation=0),
        version_key(node, coded, ["x"], observed={}, generation=0),
        version_key(node, coded, ["x"], observed=None, generation=1),
    }
    assert len(others | {key}) == 6
    assert key == version_key(node, Coded("f", {"part": "1"}), ["x"], observed=None, generation=0)
    assert 0 <= seed_of(key) < 2**31


BATCHES = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("12"), max_size=4)


@given(BATCHES, st.lists(BATCHES, max_size=5))
def test_the_base_is_the_one_with_the_least_to_do(wanted: dict[str, str], live: list[dict[str, str]]) -> None:
    versions = [Version(str(n), "t", "table", "f", (), Manifest(str(n)), batches=each) for n, each in enumerate(live)]
    base = nearest(wanted, versions)

    def work(batches: Mapping[str, str]) -> int:
        return len(batches.items() ^ wanted.items())

    fitting = [each for each in live if 0 < 2 * len(each.items() & wanted.items()) >= len(each)]
    assert (base is None) == (not fitting)
    assert base is None or work(base.batches) == min(map(work, fitting))
    subsets = [each for each in fitting if each.items() <= wanted.items()]
    if base is not None and subsets and min(map(work, subsets)) == work(base.batches):
        assert base.batches.items() <= wanted.items()


@given(st.integers(0, 10**12))
def test_a_spelled_duration_reads_back(milliseconds: int) -> None:
    length = timedelta(milliseconds=milliseconds)
    assert duration(spell(length)) == length


@pytest.mark.parametrize("text", ["", "5", "5 minutes", "-5m", "m", "5m later"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(HeadraceError) as caught:
        duration(text)
    assert code_of(caught) == "HR110"


def test_options() -> None:
    options = Options(retries=3, backoff="2s", timeout="1m30s")
    assert [options.pause(tried) for tried in (1, 2, 3, 30)] == [2, 4, 8, 3600]
    assert options.limit() == 90
    with pytest.raises(HeadraceError) as caught:
        Options(retries=-1)
    assert code_of(caught) == "HR105"
