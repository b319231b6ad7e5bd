"""What skl2onnx leaves out of the trees of forests: which way a missing value goes, and splits by "is missing"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGEST = float(np.finfo(np.float32).max)


def bound_thresholds(estimator: object) -> None:
    """Replace infinite thresholds, in place. They part missing values from all others, as the largest float does."""
    for tree in trees_of(estimator):
        tree.threshold[np.isposinf(tree.threshold)] = _LARGEST
        tree.threshold[np.isneginf(tree.threshold)] = -_LARGEST


def way_of_missing(graph: Any, estimator: object) -> None:  # noqa: ANN401 - onnx's messages are made when they run
    """Say in a graph, in place, which way missing values go in the trees of a forest or a single tree.

    skl2onnx numbers trees and nodes as scikit-learn does. Where the numbers do not fit, the graph is left as it is: the
    check of the export decides.
    """
    trees = list(trees_of(estimator))
    nodes = [node for node in graph.graph.node if node.op_type.startswith("TreeEnsemble")]
    if len(nodes) != 1 or not trees:
        return
    fields = {each.name: each for each in nodes[0].attribute}
    places = list(zip(fields["nodes_treeids"].ints, fields["nodes_nodeids"].ints, strict=True))
    if sorted(places) != [(n, node) for n, tree in enumerate(trees) for node in range(tree.node_count)]:
        return
    ways = [tree.missing_go_to_left for tree in trees]
    branches = (mode != b"LEAF" for mode in fields["nodes_modes"].strings)
    missing = [int(inner and ways[tree][node]) for (tree, node), inner in zip(places, branches, strict=True)]
    fields["nodes_missing_value_tracks_true"].ints[:] = missing


def trees_of(estimator: Any) -> Iterator[Any]:  # noqa: ANN401 - scikit-learn publishes no types
    """The trees of a forest or a single tree, also as the last step of a pipeline. Boosted trees take none missing."""
    from sklearn.ensemble._forest import BaseForest
    from sklearn.pipeline import Pipeline
    from sklearn.tree import BaseDecisionTree

    if isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    if isinstance(estimator, BaseDecisionTree):
        yield estimator.tree_
    elif isinstance(estimator, BaseForest):
        yield from (each.tree_ for each in estimator.estimators_)
