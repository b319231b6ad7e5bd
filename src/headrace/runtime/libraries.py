"""Which versions of which libraries are installed: recorded with each version, never part of its key."""

from __future__ import annotations

import platform
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_DISTRIBUTIONS = {"sklearn": "scikit-learn", "yaml": "PyYAML", "PIL": "pillow", "cv2": "opencv-python"}
"""Where a package is installed under another name than it is imported by."""


@cache
def _installed(package: str) -> str | None:
    try:
        return metadata.version(_DISTRIBUTIONS.get(package, package))
    except metadata.PackageNotFoundError:
        return None


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Package name to version, with Python itself; a package without installed metadata is left out."""
    found = {package: _installed(package) for package in sorted(set(packages))}
    known = {package: version for package, version in found.items() if version is not None}
    return {"python": platform.python_version(), **known}
