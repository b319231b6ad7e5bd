"""Frames as a user's function wants them: the annotation of an argument says which."""

from __future__ import annotations

import importlib.util
import inspect
import traceback
import types
import typing
from typing import TYPE_CHECKING, Any, cast

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    import polars as pl

_KINDS = {
    "polars.LazyFrame": "lazy",
    "polars.DataFrame": "eager",
    "pandas.DataFrame": "pandas",
    "pyarrow.Table": "arrow",
    "narwhals.LazyFrame": "narwhals",
}
_ALIASES = {"pl": "polars", "pd": "pandas", "pa": "pyarrow", "nw": "narwhals"}
"""How everybody imports these libraries: for annotations whose names only a type checker sees."""
_LAZY = "lazy"


def wanted_frames(function: Callable[..., object], count: int, node: str) -> list[str]:
    """For each of `count` inputs, the kind of frame that the function asks for: "lazy" unless it is annotated.

    Raises HR420 where the function takes another number of arguments, and what `frame_kinds` raises.
    """
    return frame_kinds(function, input_parameters(function, count, node), node)


def frame_kinds(function: Callable[..., object], parameters: Sequence[inspect.Parameter], node: str) -> list[str]:
    """The kind of frame that each parameter asks for.

    Raises HR421 for an annotation that names no frame, HR426 for a library that is not installed.
    """
    namespace = getattr(inspect.unwrap(function), "__globals__", {})
    return [_kind(_resolved(each.annotation, namespace), f"{node}({each.name})") for each in parameters]


def input_parameters(
    function: Callable[..., object], count: int, node: str, beside: frozenset[str] = frozenset()
) -> list[inspect.Parameter]:
    """The parameter that each of `count` inputs is passed by; those named in `beside` are for something else.

    Raises HR420 where the numbers do not agree.
    """
    declared = [each for each in inspect.signature(function).parameters.values() if each.name not in beside]
    places = [each for each in declared if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    rest = next((each for each in declared if each.kind is each.VAR_POSITIONAL), None)
    named = [each.name for each in declared if each.kind is each.KEYWORD_ONLY and each.default is each.empty]
    needed = sum(each.default is each.empty for each in places)
    if named:
        raise HeadraceError("HR420", f"{node} asks for {named[0]!r} by name, and inputs are passed by position")
    if needed > count or (len(places) < count and rest is None):
        takes = f"{needed} argument{'' if needed == 1 else 's'}"
        raise HeadraceError(
            "HR420", f"{node} takes {takes}, and is declared with {count} input{'' if count == 1 else 's'}"
        )
    return places[:count] + [rest] * (count - len(places)) if rest is not None else places[:count]


def _resolved(annotation: object, namespace: dict[str, Any]) -> object:
    """What an annotation says, where it is a text that can be evaluated; else the annotation itself."""
    if not isinstance(annotation, str):
        return annotation
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, globalns=namespace)["it"]
    except Exception:  # noqa: BLE001 - evaluating an annotation may raise anything; its text is looked at instead
        return annotation


def _kind(annotation: object, where: str) -> str:
    """The kind of frame that an annotation names."""
    if annotation is inspect.Parameter.empty or annotation is typing.Any:
        return _LAZY
    name = _resolved_alias(annotation) if isinstance(annotation, str) else _name(annotation)
    if name not in _KINDS:
        shown = annotation if isinstance(annotation, str) else getattr(annotation, "__qualname__", annotation)
        raise HeadraceError("HR421", f"{where} is annotated as {shown}")
    library = name.partition(".")[0]
    if importlib.util.find_spec(library) is None:
        raise HeadraceError("HR426", f"{where} is annotated as {name}, and {library} is not installed")
    return _KINDS[name]


def _resolved_alias(text: str) -> str:
    module, _, name = text.strip("'\" ").partition("[")[0].rpartition(".")
    return f"{_ALIASES.get(module, module)}.{name}"


def _name(value: object) -> str:
    """The library of a class and its name; `narwhals.stable` is another library than `narwhals`."""
    kind: Any = typing.get_origin(value) or value
    module = str(getattr(kind, "__module__", ""))
    library = "narwhals.stable" if module.startswith("narwhals.stable") else module.partition(".")[0]
    return f"{library}.{getattr(kind, '__name__', kind)}"


def convert(frame: pl.LazyFrame, kind: str) -> object:
    """A lazy frame as another kind of frame, as `wanted_frames` names them."""
    if kind == _LAZY:
        return frame
    if kind == "narwhals":
        import narwhals as nw

        return nw.from_native(frame)
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
    name = _name(type(result))
    if name in ("narwhals.LazyFrame", "narwhals.DataFrame"):
        return to_lazy(cast("Any", result).to_native(), node)
    if name not in ("pandas.DataFrame", "pyarrow.Table"):
        fix = "Add the missing `return`." if result is None else None
        raise HeadraceError("HR422", f"{node} returned {type(result).__name__}, which is no frame", fix=fix)
    if name == "pandas.DataFrame":
        _refuse_named_index(cast("Any", result), node)
    try:
        frame = pl.from_pandas(cast("Any", result)) if name.startswith("pandas") else pl.from_arrow(cast("Any", result))
    except Exception as error:
        raise HeadraceError("HR422", f"{node} returned a {name} that cannot be read: {error}") from error
    return cast("pl.DataFrame", frame).lazy()


def _refuse_named_index(frame: pd.DataFrame, node: str) -> None:
    """An index with a name holds data, as after a group-by; it would be lost."""
    names = [str(name) for name in frame.index.names if name is not None]
    if names:
        what = f"{node} returned a pandas.DataFrame with {', '.join(names)} in its index"
        raise HeadraceError("HR422", what, fix="Return `.reset_index()` of it, so that the index becomes columns.")


def call(function: Callable[..., object], frames: Sequence[object], node: str, **more: object) -> object:
    """Call a user's function. What it raises becomes HR423, with the place in the user's own code."""
    try:
        return function(*frames, **more)
    except HeadraceError:
        raise
    except BaseException as error:
        if not is_failure(error):
            raise
        raise failed(function, node, error) from error


def collected(frame: pl.LazyFrame, function: Callable[..., object], node: str) -> pl.DataFrame:
    """The rows of a frame that a user's function returned. What its query raises becomes HR423."""
    try:
        return frame.collect()
    except BaseException as error:
        if not is_failure(error):
            raise
        raise failed(function, node, error) from error


def is_failure(error: BaseException) -> bool:
    """Whether an exception says that something failed, and not that the process shall end; a panic of Polars does."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def failed(function: Callable[..., object], node: str, error: BaseException) -> HeadraceError:
    """The error of a user's function, with the last line of its own file that the error went through.

    Where it did not go through that file (a query fails when it is collected), the place is that of the function.
    """
    home = getattr(inspect.unwrap(function), "__code__", None)
    place = ""
    if home is not None:
        own = [each for each in traceback.extract_tb(error.__traceback__) if each.filename == home.co_filename]
        place = f" at {home.co_filename}:{own[-1].lineno if own else home.co_firstlineno}"
    text = str(error).strip().partition("\n")[0]
    return HeadraceError("HR423", f"{node} raised {type(error).__name__}{place}: {text}")
