"""The annotation of an argument says which frame a function gets; any frame may come back."""

from __future__ import annotations

import importlib.util
import inspect
from typing import TYPE_CHECKING, Any

import narwhals as nw
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from headrace.errors import Cancelled, HeadraceError
from headrace.tables.frames import call, collected, convert, to_lazy, wanted_frames

if TYPE_CHECKING:
    import pandas as hidden  # noqa: ICN001 - a name that nobody expects
    import pyarrow  # noqa: ICN001 - without an alias
    from polars import LazyFrame

FRAME = pl.DataFrame({"n": [1, 2], "t": ["a", None]})
KINDS = {
    "lazy": pl.LazyFrame,
    "eager": pl.DataFrame,
    "pandas": pd.DataFrame,
    "arrow": pa.Table,
    "narwhals": nw.LazyFrame,
}


ANNOTATED = {
    "lazy": (pl.LazyFrame, "pl.LazyFrame", inspect.Parameter.empty, Any, "Any"),
    "eager": (pl.DataFrame, "pl.DataFrame", "polars.DataFrame", "'pl.DataFrame'"),
    "pandas": (pd.DataFrame, "pd.DataFrame"),
    "arrow": (pa.Table, "pa.Table"),
    "narwhals": (nw.LazyFrame, nw.LazyFrame[Any], "nw.LazyFrame", "nw.LazyFrame[Any]", "nw.LazyFrame[Missing]"),
}


@pytest.mark.parametrize(("kind", "annotation"), [(kind, each) for kind, some in ANNOTATED.items() for each in some])
def test_every_annotation(kind: str, annotation: object) -> None:
    def function(a) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001

    if annotation is not inspect.Parameter.empty:
        function.__annotations__["a"] = annotation
    assert wanted_frames(function, 1, "node") == [kind]


def seen_by_a_type_checker_only(a: pl.DataFrame, b: hidden.DataFrame) -> None: ...


def as_everybody_imports_it(a: pa.Table) -> None: ...


def with_the_name_of_the_library(a: pyarrow.Table) -> None: ...


def bare(a: LazyFrame) -> None: ...


def test_annotations_that_cannot_be_evaluated_are_read_as_text() -> None:
    assert wanted_frames(with_the_name_of_the_library, 1, "node") == ["arrow"]
    globals_before = as_everybody_imports_it.__globals__.pop("pa")
    try:
        assert wanted_frames(as_everybody_imports_it, 1, "node") == ["arrow"]
    finally:
        as_everybody_imports_it.__globals__["pa"] = globals_before


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (seen_by_a_type_checker_only, "node(b) is annotated as hidden.DataFrame"),
        (bare, "node(a) is annotated as LazyFrame"),
    ],
)
def test_an_annotation_that_cannot_be_resolved(function: Any, said: str) -> None:  # noqa: ANN401 - any function
    with pytest.raises(HeadraceError, match="HR421") as caught:
        wanted_frames(function, function.__code__.co_argcount, "node")
    assert caught.value.what == said


@pytest.mark.parametrize("kind", [int, pl.Series, pl.Expr, pl.LazyFrame | None, list[int], "pl.LazyFram"])
def test_an_annotation_that_is_no_frame(kind: object) -> None:
    def function(a): ...  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202

    function.__annotations__["a"] = kind
    with pytest.raises(HeadraceError, match="HR421"):
        wanted_frames(function, 1, "node")


def test_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pandas" else found(name))

    def function(a: pd.DataFrame) -> None: ...

    with pytest.raises(HeadraceError, match="HR426") as caught:
        wanted_frames(function, 1, "node")
    assert caught.value.what == "node(a) is annotated as pandas.DataFrame, and pandas is not installed"


def none() -> None: ...
def one(a) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001
def two(a, b) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001
def optional(a, b=1) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001
def many(*frames: pl.DataFrame) -> None: ...
def one_and_more(a: pl.LazyFrame, *frames: pl.DataFrame) -> None: ...
def by_name(a, *, b) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001
def by_name_with_default(a, *, b=1) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001


@pytest.mark.parametrize(
    ("function", "count", "kinds"),
    [
        (none, 0, []),
        (one, 1, ["lazy"]),
        (optional, 1, ["lazy"]),
        (optional, 2, ["lazy", "lazy"]),
        (many, 3, ["eager", "eager", "eager"]),
        (one_and_more, 3, ["lazy", "eager", "eager"]),
        (by_name_with_default, 1, ["lazy"]),
    ],
)
def test_as_many_arguments_as_inputs(function: Any, count: int, kinds: list[str]) -> None:  # noqa: ANN401 - any function
    assert wanted_frames(function, count, "node") == kinds


@pytest.mark.parametrize(
    ("function", "count", "said"),
    [
        (none, 1, "node takes 0 arguments, and is declared with 1 input"),
        (one, 2, "node takes 1 argument, and is declared with 2 inputs"),
        (two, 1, "node takes 2 arguments, and is declared with 1 input"),
        (one_and_more, 0, "node takes 1 argument, and is declared with 0 inputs"),
        (by_name, 1, "node asks for 'b' by name, and inputs are passed by position"),
    ],
)
def test_another_number_of_arguments(function: Any, count: int, said: str) -> None:  # noqa: ANN401 - any function
    with pytest.raises(HeadraceError, match="HR420") as caught:
        wanted_frames(function, count, "node")
    assert caught.value.what == said


@pytest.mark.parametrize("kind", KINDS)
def test_frames_go_and_come_back(kind: str) -> None:
    frame = convert(FRAME.lazy(), kind)
    assert isinstance(frame, KINDS[kind])
    assert to_lazy(frame, "node").collect().equals(FRAME)


def test_an_eager_narwhals_frame_comes_back() -> None:
    assert to_lazy(nw.from_native(FRAME), "node").collect().equals(FRAME)


@pytest.mark.parametrize("result", [1, "x", [FRAME], pl.Series([1]), pl.col("n"), pd.Series([1])])
def test_what_is_no_frame(result: object) -> None:
    with pytest.raises(HeadraceError, match="HR422") as caught:
        to_lazy(result, "node")
    assert caught.value.what == f"node returned {type(result).__name__}, which is no frame"


def test_a_forgotten_return() -> None:
    with pytest.raises(HeadraceError, match="HR422") as caught:
        to_lazy(None, "node")
    assert caught.value.fix == "Add the missing `return`."


def test_a_pandas_index_that_holds_data_is_not_lost() -> None:
    frame = pd.DataFrame({"n": [1, 2, 3], "k": ["a", "a", "b"]})
    kept = to_lazy(frame[frame["n"] > 1], "node").collect()
    assert kept["n"].to_list() == [2, 3]
    with pytest.raises(HeadraceError, match="HR422") as caught:
        to_lazy(frame.groupby("k").sum(), "node")
    assert caught.value.what == "node returned a pandas.DataFrame with k in its index"
    assert "reset_index()" in caught.value.fix
    assert to_lazy(frame.groupby("k").sum().reset_index(), "node").collect().rows() == [("a", 3), ("b", 3)]


def test_a_pandas_frame_that_cannot_be_read() -> None:
    with pytest.raises(HeadraceError, match="HR422") as caught:
        to_lazy(pd.DataFrame({"x": [object(), 1]}), "node")
    assert caught.value.__cause__ is not None


def raising() -> None:
    message = "first line\nsecond line"
    raise ValueError(message)


def line_of(function: Any, more: int) -> str:  # noqa: ANN401 - any function
    return f"{__file__}:{function.__code__.co_firstlineno + more}"


def test_an_exception_is_told_with_its_place() -> None:
    with pytest.raises(HeadraceError, match="HR423") as caught:
        call(raising, [], "node")
    assert caught.value.what == f"node raised ValueError at {line_of(raising, 2)}: first line"
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_query_that_fails_later_is_told_with_the_function() -> None:
    frame = FRAME.lazy().select(pl.col("missing"))
    with pytest.raises(HeadraceError, match="HR423") as caught:
        collected(frame, raising, "node")
    assert caught.value.what.startswith(f"node raised ColumnNotFoundError at {line_of(raising, 0)}: ")


def test_a_panic_is_a_failure() -> None:
    def panicking() -> None:
        raise pl.exceptions.PanicException("panicked")

    with pytest.raises(HeadraceError, match="HR423"):
        call(panicking, [], "node")


@pytest.mark.parametrize("error", [Cancelled(), KeyboardInterrupt(), HeadraceError("HR101", "x")])
def test_signals_and_coded_errors_pass(error: BaseException) -> None:
    def function() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        call(function, [], "node")
    assert caught.value is error


def test_arguments_by_name_are_passed_on() -> None:
    assert call(lambda a, *, b: (a, b), [1], "node", b=2) == (1, 2)
