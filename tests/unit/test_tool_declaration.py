from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from flowbuilder.errors import DefinitionError
from flowbuilder.tools import Context, tool


def _no_hint(value) -> None:  # type: ignore[no-untyped-def]
    return None


def _bare_context(context) -> None:  # type: ignore[no-untyped-def]
    return None


def _stars(*values: int) -> None:
    return None


def _options(**values: int) -> None:
    return None


def _callable(value: Callable[[], int]) -> None:
    return None


def _object(value: int, other: BytesWarning) -> None:
    return None


def _bad_return() -> BytesWarning:
    return BytesWarning()


def _takes_bytes(value: list[dict[str, bytes]]) -> None:
    return None


def _returns_bytes() -> bytes:
    return b""


def _bad_default(value: Any = object()) -> None:  # noqa: B008
    return None


def _generator() -> Iterator[int]:
    yield 1


def _field_default(value: int = Field(default=3)) -> None:
    return None


def _two_contexts(one: Context, two: Context) -> None:
    return None


def _unresolved(value: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
    return None


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (_no_hint, "'value' has no type hint"),
        (_stars, r"\*values has no schema"),
        (_options, r"\*\*values has no schema"),
        (_callable, "'value' has no JSON form"),
        (_object, "'other' has no JSON form"),
        (_bad_return, "return type has no JSON form"),
        (_bad_default, "'value' has no JSON form"),
        (_takes_bytes, "bytes have no JSON form"),
        (_returns_bytes, "bytes have no JSON form"),
        (_generator, "does not yield"),
        (_field_default, "is a Field"),
        (_unresolved, "Nowhere"),
        (_two_contexts, "two parameters"),
        (lambda: 1, "needs a name"),
        (Path, "not a"),
        (3, "cannot be called"),
    ],
)
def test_declarations_that_cannot_work(function: Any, words: str) -> None:
    with pytest.raises(DefinitionError, match=words) as caught:
        tool(function) if callable(function) else tool("x")(function)
    assert caught.value.code == "tool_invalid"


def test_a_context_without_a_hint_is_told_of_its_own() -> None:
    with pytest.raises(DefinitionError) as caught:
        tool(_bare_context)
    assert caught.value.hint is not None
    assert "context: Context" in caught.value.hint


@pytest.mark.parametrize(
    "options",
    [
        {"effects": "evil"},
        {"timeout": "soon"},
        {"timeout": 0},
        {"version": 0},
        {"version": "1"},
        {"keywords": "one"},
        {"keywords": 5},
        {"input_schema": {"type": "object", "$ref": "https://example.org/x.json"}},
    ],
)
def test_options_that_cannot_work(options: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError):
        tool("fine", **options)(lambda: 1)


@pytest.mark.parametrize(
    "name", ["", 5, ["a"], "a b", "a..b", "1a", "a@1", "a-b", "x" * 199, "a\n", "os.system()"]
)
def test_bad_names(name: Any) -> None:
    with pytest.raises(DefinitionError):
        tool(name)(lambda: 1)


def test_method_in_a_class_body_says_what_to_do() -> None:
    with pytest.raises(DefinitionError) as caught:

        class Broken:
            @tool
            def run(self, value: int) -> int:
                return value

    assert "bound method" in (caught.value.hint or "")
