"""What is told of an argument with alternatives: what is wrong inside the one that was meant."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from flowbuilder.tools import ToolRegistry, tool
from flowbuilder.validation import validate


class Address(BaseModel):
    street: str
    zip: Annotated[str, Field(pattern="^[0-9]{4}$")]


@tool("parcel.send")
def send(
    to: Address | None = None, speed: Literal["slow", "fast"] | None = None, size: int | str = 1
) -> None:
    """Send a parcel."""


REGISTRY = ToolRegistry([send])


@pytest.mark.parametrize(
    ("args", "code", "pointer", "words"),
    [
        ({"to": {"street": "s", "zip": "12"}}, "argument_type", "/to/zip", "does not match"),
        ({"to": {"street": "s"}}, "missing_argument", "/to", "'to.zip'"),
        ({"to": {"street": 1, "zip": "1234"}}, "argument_type", "/to/street", "not a string"),
        ({"speed": "quick"}, "argument_type", "/speed", 'none of "slow", "fast"'),
        ({"to": "here"}, "argument_type", "/to", "not null or an object"),
        ({"size": None}, "argument_type", "/size", "not an integer or a string"),
    ],
)
def test_the_finding_lies_where_the_value_is_wrong(
    args: dict[str, Any], code: str, pointer: str, words: str
) -> None:
    step = {"id": "a", "tool": "parcel.send", "args": args}
    [problem] = validate({"flow": "x", "steps": [step]}, REGISTRY).problems
    assert (problem.code, problem.pointer) == (code, f"/steps/0/args{pointer}")
    assert words in problem.message


@pytest.mark.parametrize("args", [{"to": None}, {"to": {"street": "", "zip": "0000"}}, {}])
def test_each_alternative_is_right(args: dict[str, Any]) -> None:
    step = {"id": "a", "tool": "parcel.send", "args": args}
    assert validate({"flow": "x", "steps": [step]}, REGISTRY).valid
