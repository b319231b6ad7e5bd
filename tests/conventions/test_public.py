"""The public surface is small, sorted, importable and explained."""

from __future__ import annotations

import inspect

import pytest

import headrace

NAMES_AT_MOST = 40


def explanation(value: object) -> str | None:
    """The docstring of a value; that of its class, where it is an instance such as `champion`."""
    if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value):
        return value.__doc__
    return type(value).__doc__


def test_names_are_few_sorted_and_unique() -> None:
    assert headrace.__all__
    assert list(headrace.__all__) == sorted(set(headrace.__all__))
    assert len(headrace.__all__) <= NAMES_AT_MOST


def test_dir_shows_every_public_name() -> None:
    assert set(headrace.__all__) <= set(dir(headrace))


@pytest.mark.parametrize("name", getattr(headrace, "__all__", []))
def test_name_is_importable_and_explained(name: str) -> None:
    value = getattr(headrace, name)
    assert (explanation(value) or "").strip()
