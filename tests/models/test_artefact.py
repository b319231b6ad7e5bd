"""An artefact gives back the same estimator, and nothing that somebody else put in it ever runs."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import Birch
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from headrace.errors import HeadraceError
from headrace.models.artefact import dump, load
from headrace.models.training import scores

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def data(rows: int = 600) -> tuple[pl.DataFrame, Any]:
    rng = np.random.default_rng(7)
    carrier = rng.choice(["AA", "B6", "UA", "ZZ"], rows)
    x, z = rng.normal(size=rows), rng.normal(size=rows)
    y = ((carrier == "AA") * 1.5 + x + rng.normal(size=rows) > 0.5).astype(int)
    frame = pl.DataFrame({"carrier": carrier, "x": x, "z": np.where(z > 1, np.nan, z)})
    return frame.with_columns(pl.col("carrier").cast(pl.Enum(["AA", "B6", "UA"]), strict=False)), y


def table_of(estimator: object) -> Any:  # noqa: ANN401
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = [("text", OneHotEncoder(handle_unknown="ignore"), ["carrier"]), ("numbers", numbers, ["x", "z"])]
    return make_pipeline(ColumnTransformer(columns), estimator)


ESTIMATORS: dict[str, Callable[[], Any]] = {
    "boosted classifier": lambda: HistGradientBoostingClassifier(random_state=1, max_iter=8),
    "boosted regressor": lambda: HistGradientBoostingRegressor(random_state=1, max_iter=8),
    "logistic regression": lambda: table_of(LogisticRegression()),
    "ridge": lambda: table_of(Ridge()),
    "forest classifier": lambda: table_of(RandomForestClassifier(n_estimators=5, random_state=1)),
    "forest regressor": lambda: table_of(RandomForestRegressor(n_estimators=5, random_state=1)),
    "gradient boosting classifier": lambda: table_of(GradientBoostingClassifier(n_estimators=5, random_state=1)),
    "gradient boosting regressor": lambda: table_of(GradientBoostingRegressor(n_estimators=5, random_state=1)),
    "calibrated": lambda: CalibratedClassifierCV(HistGradientBoostingClassifier(random_state=1, max_iter=10), cv=2),
}


def fitted(name: str = "boosted classifier") -> Any:  # noqa: ANN401
    X, y = data()
    return ESTIMATORS[name]().fit(X, y)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_round_trip_predicts_the_same(name: str) -> None:
    X, _ = data()
    estimator = fitted(name)
    back = load(dump(estimator))
    assert type(back) is type(estimator)
    np.testing.assert_allclose(scores(back, X), scores(estimator, X), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["boosted classifier", "logistic regression", "forest classifier"])
def test_equal_trainings_give_equal_bytes(name: str) -> None:
    assert dump(fitted(name)) == dump(fitted(name))


class Effect:
    """Runs a command when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.command = f"touch {target}"

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (self.command,)


def test_a_pickle_is_refused_and_does_not_run(tmp_path: Path) -> None:
    effect = tmp_path / "ran"
    content = pickle.dumps(Effect(effect))
    with pytest.raises(HeadraceError, match="HR521"):
        load(content)
    assert not effect.exists()
    pickle.loads(content)  # noqa: S301 - the effect is real
    assert effect.exists()


def crafted(schema: object, **files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def node(loader: str, module: str, name: str, **rest: object) -> dict[str, object]:
    return {"__loader__": loader, "__module__": module, "__class__": name, **rest}


def text(value: object) -> dict[str, object]:
    return node("JsonNode", "builtins", "str", content=json.dumps(value), is_json=True)


def arguments(*values: object) -> dict[str, object]:
    return node("TupleNode", "builtins", "tuple", content=[text(value) for value in values])


@pytest.mark.parametrize("kind", ["reduce", "function", "method", "operator", "partial", "type"])
def test_a_malicious_artefact_is_refused_and_does_not_run(kind: str, tmp_path: Path) -> None:
    effect = tmp_path / "ran"
    command = f"touch {effect}"
    function = node("FunctionNode", "os", "system", content={"module_path": "os", "function": "system"})
    owner = node("ObjectNode", "subprocess", "Popen", content=None)
    schemas: dict[str, dict[str, Any]] = {
        "reduce": node("ConstructorFromReduceNode", "os", "system", content=arguments(command)),
        "function": function,
        "method": node("MethodNode", "subprocess", "Popen", content={"func": "kill", "obj": owner}),
        "operator": node("OperatorFuncNode", "operator", "methodcaller", attrs=arguments("system", command)),
        "partial": node(
            "PartialNode",
            "functools",
            "partial",
            content={
                "func": function,
                "args": arguments(command),
                "kwds": node(
                    "DictNode",
                    "builtins",
                    "dict",
                    content={},
                    key_types=node("ListNode", "builtins", "list", content=[]),
                ),
                "namespace": text(None),
            },
        ),
        "type": node("TypeNode", "subprocess", "Popen"),
    }
    with pytest.raises(HeadraceError, match=r"HR522 .*(os\.system|subprocess\.Popen|operator\.methodcaller)"):
        load(crafted({**schemas[kind], "protocol": 2, "_skops_version": "0.16.0"}))
    assert not effect.exists()


def test_the_file_cannot_widen_what_is_trusted(tmp_path: Path) -> None:
    effect = tmp_path / "ran"
    schema = node("ConstructorFromReduceNode", "os", "system", content=arguments(f"touch {effect}"))
    schema |= {"protocol": 2, "_skops_version": "0.16.0", "trusted": ["os.system"], "__trusted__": True}
    with pytest.raises(HeadraceError, match="HR522"):
        load(crafted(schema))
    assert not effect.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 nothing",
        crafted([]),
        crafted({}),
        crafted(node("NoSuchNode", "builtins", "int")),
        crafted({**node("NdArrayNode", "numpy", "ndarray", type="numpy", file="missing.npy"), "protocol": 2}),
        crafted(
            {**node("NdArrayNode", "numpy", "ndarray", type="numpy", file="a.npy"), "protocol": 2}, **{"a.npy": b"?"}
        ),
    ],
)
def test_what_is_no_artefact_is_refused(content: bytes) -> None:
    with pytest.raises(HeadraceError, match="HR521"):
        load(content)


def test_every_cut_of_an_artefact_is_refused() -> None:
    content = dump(fitted("logistic regression"))
    for length in range(0, len(content), max(1, len(content) // 50)):
        with pytest.raises(HeadraceError, match="HR521"):
            load(content[:length])


@pytest.mark.parametrize("name", ["boosted classifier", "forest classifier", "gradient boosting classifier"])
@pytest.mark.parametrize("field", ["child", "feature", "circle"])
def test_a_tree_that_points_outside_is_refused(name: str, field: str) -> None:
    estimator = fitted(name)
    _break(estimator if name == "boosted classifier" else estimator[-1], field)
    with pytest.raises(HeadraceError, match="HR523"):
        load(dump(estimator))


def _break(estimator: Any, field: str) -> None:  # noqa: ANN401
    """Plant a broken index in the root of the first tree."""
    if isinstance(estimator, HistGradientBoostingClassifier):
        nodes = estimator._predictors[0][0].nodes  # noqa: SLF001
        column, value = {"child": ("left", 10**6), "feature": ("feature_idx", 3), "circle": ("right", 0)}[field]
        nodes[column][0] = value
        return
    tree = np.ravel(np.asarray(estimator.estimators_, dtype=object))[0].tree_
    state = tree.__getstate__()
    column, value = {"child": ("left_child", 10**6), "feature": ("feature", 6), "circle": ("right_child", 0)}[field]
    state["nodes"][column][0] = value
    tree.__setstate__(state)


def test_own_code_inside_an_estimator_is_refused_when_it_is_stored() -> None:
    X, y = data()
    own = make_pipeline(ColumnTransformer([("own", FunctionTransformer(np.nan_to_num), ["x"])]), LogisticRegression())
    with pytest.raises(HeadraceError, match=r"HR520 .*nan_to_num"):
        dump(own.fit(X, y))
    neighbours = make_pipeline(ColumnTransformer([("x", SimpleImputer(), ["x"])]), KNeighborsClassifier())
    with pytest.raises(HeadraceError, match=r"HR520 .*KDTree"):
        dump(neighbours.fit(X, y))
    with pytest.raises(HeadraceError, match=r"HR520 sklearn\.cluster.*Birch cannot be stored"):
        dump(Birch())


def test_the_loader_reads_what_skops_itself_writes() -> None:
    X, _ = data()
    estimator = fitted("logistic regression")
    np.testing.assert_array_equal(scores(load(skops.io.dumps(estimator)), X), scores(estimator, X))
