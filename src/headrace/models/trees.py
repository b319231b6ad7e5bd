"""Fitted trees are arrays of indices that scikit-learn follows without looking: what is loaded is looked at first.

A type can be trusted and its content still be crafted: a child or a feature index out of range reads foreign memory at
the first prediction, a child that points back never ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from headrace.errors import HeadraceError


def check_trees(estimator: object) -> None:
    """Raise HR523 when a tree inside a loaded estimator has a child or a feature that does not exist."""
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
    from sklearn.tree._tree import Tree

    for value, owners in _inside(estimator):
        if isinstance(value, Tree):
            _check_tree(value, owners)
        elif isinstance(value, TreePredictor):
            _check_predictor(value, owners)


def _inside(root: object) -> Iterator[tuple[object, tuple[Any, ...]]]:
    """Every object that an estimator holds, with the objects around it that know their number of features."""
    import numpy as np

    seen: set[tuple[int, tuple[int, ...]]] = set()
    stack: list[tuple[object, tuple[Any, ...]]] = [(root, ())]
    while stack:
        value, owners = stack.pop()
        place = (id(value), tuple(map(id, owners)))
        if isinstance(value, str | bytes | int | float | None) or place in seen:
            continue
        seen.add(place)
        yield value, owners
        if hasattr(value, "n_features_in_"):
            owners = (*owners, value) if _hands_rows_through(owners) else (value,)
        if isinstance(value, Mapping):
            stack += [(each, owners) for each in value.values()]
        elif isinstance(value, list | tuple | set):
            stack += [(each, owners) for each in value]
        elif isinstance(value, np.ndarray) and value.dtype == object:
            stack += [(each, owners) for each in value.ravel()]
        elif not isinstance(value, type):
            stack += [(each, owners) for each in getattr(value, "__dict__", {}).values()]


def _hands_rows_through(owners: tuple[Any, ...]) -> bool:
    """Whether the innermost owner gives its members the rows that it gets, with all their columns, unchecked."""
    from sklearn.ensemble._forest import BaseForest
    from sklearn.ensemble._gb import BaseGradientBoosting

    return bool(owners) and isinstance(owners[-1], BaseForest | BaseGradientBoosting)


def _check_tree(tree: Any, owners: tuple[Any, ...]) -> None:  # noqa: ANN401 - a compiled class without types
    import numpy as np

    inner = tree.children_left != -1
    own = np.arange(tree.node_count)[inner]
    _refuse_unless(bool(tree.node_count), "it has no node")
    for children in (tree.children_left[inner], tree.children_right[inner]):
        _check_children(children, own, tree.node_count)
    _check_features(tree.feature[inner], owners)


def _check_predictor(predictor: Any, owners: tuple[Any, ...]) -> None:  # noqa: ANN401 - a class without types
    import numpy as np

    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    own = np.arange(len(nodes))[inner]
    _refuse_unless(bool(len(nodes)), "it has no node")
    for side in ("left", "right"):
        _check_children(nodes[side][inner].astype(np.int64), own, len(nodes))
    _check_features(nodes["feature_idx"][inner].astype(np.int64), owners)
    by_category = inner & (nodes["is_categorical"] != 0)
    sets = min(len(predictor.raw_left_cat_bitsets), len(predictor.binned_left_cat_bitsets))
    _refuse_unless(bool((nodes["bitset_idx"][by_category] < sets).all()), "a set of categories is missing")
    if by_category.any():
        known = np.asarray(owners[-1]._is_categorical_remapped, dtype=bool)  # noqa: SLF001 - as the predictor reads it
        _refuse_unless(bool(known[nodes["feature_idx"][by_category]].all()), "it splits a number by category")


def _check_children(children: Any, own: Any, count: int) -> None:  # noqa: ANN401 - NumPy arrays
    """Children stand after their parent, in every tree that scikit-learn grows: therefore no walk goes in circles."""
    _refuse_unless(bool(((children > own) & (children < count)).all()), "a child points outside of it")


def _check_features(features: Any, owners: tuple[Any, ...]) -> None:  # noqa: ANN401 - a NumPy array
    limit = min((owner.n_features_in_ for owner in owners), default=0)
    _refuse_unless(bool(((features >= 0) & (features < limit)).all()), "it asks for a feature that does not exist")


def _refuse_unless(holds: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise HeadraceError("HR523", f"a tree of the model is broken: {what}")
