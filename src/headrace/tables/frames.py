"""Frames as a user's function wants them: the annotation of an argument says which."""

from __future__ import annotations

import inspect
import typing
from typing import TYPE_CHECKING, Any, cast

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl

_KNOWN = {
    "polars.LazyFrame": "lazy",
    "polars.DataFrame": "eager",
    "pandas.DataFrame": "pandas",
    "pyarrow.Table": "arrow",
}


def wanted_frames(function: Callable[..., object], count: int, node: str) -> list[str]:
    """For each of the first `count` arguments, the kind of frame it asks for. Raises HR420 (number), HR421 (kind)."""
    declared = inspect.signature(function).parameters.values()
    if any(each.kind is each.VAR_POSITIONAL for each in declared):
        return ["lazy"] * count
    parameters = [each for each in declared if each.kind <= each.POSITIONAL_OR_KEYWORD]
    if len(parameters) < count:
        raise HeadraceError("HR420", f"{node} takes {len(parameters)} frames, and is declared with {count} inputs")
    hints = _hints(function)
    return [_kind(hints.get(each.name, each.annotation), f"{node}({each.name})") for each in parameters[:count]]


def _hints(function: Callable[..., object]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (NameError, AttributeError):
        return {}  # names that only a type checker sees: the text of the annotation is used instead


def _kind(annotation: object, where: str) -> str:
    if annotation is inspect.Parameter.empty:
        return "lazy"
    text = annotation if isinstance(annotation, str) else f"{annotation.__module__.partition('.')[0]}.{annotation.__name__}"  # type: ignore[attr-defined]
    module, _, name = text.rpartition(".")
    full = f"{ {'pl': 'polars', 'pd': 'pandas', 'pa': 'pyarrow'}.get(module, module) }.{name}"
    if full not in _KNOWN:
        raise HeadraceError("HR421", f"{where} is annotated as {text}")
    return _KNOWN[full]


def convert(frame: pl.LazyFrame, kind: str) -> object:
    """A lazy frame as another kind of frame."""
    if kind == "lazy":
        return frame
    collected = frame.collect()
    if kind == "pandas":
        return collected.to_pandas()
    return collected.to_arrow() if kind == "arrow" else collected


def to_lazy(result: object, node: str) -> pl.LazyFrame:
    """What a function returned, as a lazy frame. Raises HR422 for anything that is no frame."""
    import polars as pl

    if isinstance(result, pl.LazyFrame):
        return result
    if isinstance(result, pl.DataFrame):
        return result.lazy()
    name = f"{type(result).__module__.partition('.')[0]}.{type(result).__name__}"
    if name == "pandas.DataFrame":
        return pl.from_pandas(cast("Any", result)).lazy()
    if name == "pyarrow.Table":
        return cast("pl.DataFrame", pl.from_arrow(cast("Any", result))).lazy()
    fix = "Add the missing `return`." if result is None else None
    raise HeadraceError("HR422", f"{node} returned {type(result).__name__}", fix=fix)


def call(function: Callable[..., object], frames: Sequence[object], node: str, **more: object) -> object:
    """Call a user's function. What it raises becomes HR423, with the place in the user's own code."""
    try:
        return function(*frames, **more)
    except HeadraceError:
        raise
    except Exception as error:
        raise failed(function, node, error) from error


def failed(function: Callable[..., object], node: str, error: Exception) -> HeadraceError:
    """The error of a user's function, with the last line of its own file that the error went through."""
    import traceback

    home = getattr(inspect.unwrap(function), "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if home is not None and frame.filename == home.co_filename]
    place = f" at {own[-1].filename}:{own[-1].lineno}" if own else ""
    text = str(error).splitlines()[0] if str(error) else ""
    return HeadraceError("HR423", f"{node} raised {type(error).__name__}{place}: {text}")
