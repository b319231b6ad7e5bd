"""The stores of objects that addresses of files name: which adapter stands behind each, and with which settings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.ports.objects import Objects
    from headrace.project.settings import Settings

_VARIABLE = "env:"


def open_objects(settings: Settings, root: str) -> Objects:
    """What lies below a root such as ``s3://bucket``, with the options of `[storage]` whose address is nearest to it.

    Raises HR361 for a variable that is not set, HR364 without the extra, HR366 for an option that there is not.
    """
    options = {name: _given(root, name, value) for name, value in _options(settings.storage, root).items()}
    from headrace.adapters.objects_obstore import SCHEMES

    try:
        if root.partition("://")[0] in SCHEMES:
            from headrace.adapters.objects_obstore import ObstoreObjects

            return ObstoreObjects(root, options)
        from headrace.adapters.objects_fsspec import FsspecObjects

        return FsspecObjects(root, options)
    except ModuleNotFoundError as error:
        raise HeadraceError("HR364", f"{root} needs {error.name}, which is not installed") from None


def _options(storage: Mapping[str, Mapping[str, Any]], root: str) -> Mapping[str, Any]:
    """Those of the root itself, else those of the whole scheme, such as ``s3://``."""
    scheme = root.partition("://")[0] + "://"
    return storage.get(root) or storage.get(f"{root}/") or storage.get(scheme) or {}


def _given(root: str, name: str, value: Any) -> Any:  # noqa: ANN401 - TOML values
    if not isinstance(value, str) or not value.startswith(_VARIABLE):
        return value
    variable = value.removeprefix(_VARIABLE)
    if variable not in os.environ:
        raise HeadraceError("HR361", f"{name} of {root} is to stand in the variable {variable}, which is not set")
    return os.environ[variable]
