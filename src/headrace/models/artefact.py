"""A fitted estimator as bytes, and back, without ever executing code that the bytes bring along.

The format is skops: a zip of JSON and arrays that names the types it is made of. Which types may be made again is
decided here, in the loader, and never by the file: those that skops itself trusts (scikit-learn's estimators, NumPy's
types) and `TRUSTED`. Anything else is refused before a single object is made. The same estimator gives the same bytes,
so that an artefact is named by its content.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from headrace.errors import HeadraceError
from headrace.models.trees import check_trees

TRUSTED = frozenset(
    {
        "functools.partial",
        "numpy.dtype",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.feature_selection._univariate_selection.f_regression",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
        "sklearn.utils.validation.check_array",
    }
)
"""Types and functions that fitted estimators of scikit-learn hold inside, beyond those that skops trusts by itself.

The two kinds of tree index into memory by what their arrays say, therefore `check_trees` reads those arrays first.
"""

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can name


def dump(estimator: object) -> bytes:
    """The estimator as bytes: equal bytes for equal estimators, and such that `load` accepts them.

    Raises:
        HeadraceError: HR520 for an estimator that holds something that cannot be stored or would not be loaded again.
    """
    from skops.io import dumps
    from skops.io.exceptions import UnsupportedTypeException

    name = f"{type(estimator).__module__}.{type(estimator).__qualname__}"
    try:
        content = _normalised(dumps(estimator))
    except (UnsupportedTypeException, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise HeadraceError("HR520", f"{name} cannot be stored: {error}") from error
    if untrusted := _untrusted(content):
        raise HeadraceError("HR520", f"{name} holds {', '.join(untrusted)}, which the loader does not trust")
    return content


def load(content: bytes) -> Any:  # noqa: ANN401 - an estimator of any class
    """The estimator that was stored.

    Raises:
        HeadraceError: HR521 for bytes that are no artefact, HR522 for a type that is not trusted, HR523 for a tree
            that points outside of itself.
    """
    from skops.io import loads

    untrusted = _untrusted(content)
    if untrusted:
        raise HeadraceError("HR522", f"the artefact holds {', '.join(untrusted)}")
    try:
        estimator = loads(content, trusted=sorted(TRUSTED))
        check_trees(estimator)
    except HeadraceError:
        raise
    except Exception as error:
        raise _unreadable(error) from error
    return estimator


def _untrusted(content: bytes) -> list[str]:
    """The types in an artefact that are not trusted, found without making any object."""
    from skops.io import get_untrusted_types

    try:
        found = get_untrusted_types(data=content)
    except Exception as error:
        raise _unreadable(error) from error
    return sorted(set(found) - TRUSTED)


def _unreadable(error: Exception) -> HeadraceError:
    """A crafted or broken file can make the reader fail in any way: all of them mean the same."""
    return HeadraceError("HR521", f"the bytes cannot be read as a model: {type(error).__name__}: {error}")


def _normalised(content: bytes) -> bytes:
    """The same zip without the addresses, random names and times of writing that skops leaves in it."""
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        schema = json.loads(source.read("schema.json"))
        files: dict[str, str] = {}
        _rename(schema, {}, files)
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as written:
            _add(written, "schema.json", json.dumps(schema).encode())
            for name, new in files.items():
                _add(written, new, source.read(name))
    return target.getvalue()


def _rename(node: object, ids: dict[object, int], files: dict[str, str]) -> None:
    """Number the memory addresses and the file names of a schema in the order in which they appear, in place."""
    if isinstance(node, list):
        for each in node:
            _rename(each, ids, files)
    elif isinstance(node, dict):
        if "__loader__" in node:
            if "__id__" in node:
                node["__id__"] = ids.setdefault(node["__id__"], len(ids) + 1)
            if isinstance(node.get("file"), str):
                node["file"] = files.setdefault(node["file"], f"{len(files)}.{node['file'].rpartition('.')[2]}")
        for each in node.values():
            _rename(each, ids, files)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, content, compresslevel=6)
