from __future__ import annotations

import enum
import math
import pickle
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from flowbuilder.errors import DefinitionError, InvalidValue
from flowbuilder.tools import (
    Context,
    Effects,
    Tool,
    Wait,
    bind,
    check_output,
    tool,
)
from flowbuilder.types import JsonObject, JsonValue
from tests.support.toolbox import acall, call, context


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Order(BaseModel):
    id: int
    lines: list[str] = []


@dataclass
class Point:
    x: float
    y: float = 0.0


@tool
def paint(
    colour: Colour,
    order: Order,
    at: Point,
    when: datetime,
    where: Path,
    ctx: Context,
    price: Decimal = Decimal("1.5"),
) -> dict[str, Any]:
    """Paint an order.

    More about it.

    Args:
        colour: Which colour
            it gets.
        order (Order): What is painted.
        unknown: Not a parameter.
    """
    return {
        "colour": colour,
        "first": order.lines[0],
        "x": at.x + 1,
        "year": when.year,
        "suffix": where.suffix,
        "price": price,
        "attempt": ctx.attempt,
    }


@tool(
    "mail.send",
    effects="external",
    timeout="5s",
    version=3,
    keywords=["post, write to", "post"],
    untrusted_output=True,
)
async def send(to: str, subject: str = "", *, copies: int = 0) -> list[Order]:
    """Send a mail."""
    return [Order(id=copies, lines=[to, subject])]


def test_schema_comes_from_hints() -> None:
    Draft202012Validator.check_schema(paint.input_schema)
    properties = paint.input_schema["properties"]
    assert list(properties) == ["colour", "order", "at", "when", "where", "price"]
    assert paint.input_schema["required"] == ["colour", "order", "at", "when", "where"]
    assert paint.input_schema["additionalProperties"] is False
    assert properties["colour"]["description"] == "Which colour it gets."
    assert properties["order"]["description"] == "What is painted."
    assert properties["when"] == {"type": "string", "format": "date-time"}
    assert set(paint.input_schema["$defs"]) == {"Colour", "Order", "Point"}
    assert (paint.name, paint.summary, paint.effects) == ("paint", "Paint an order.", Effects.PURE)


def test_options_of_the_decorator() -> None:
    assert send.ref == "mail.send@3"
    assert send.effects is Effects.EXTERNAL
    assert send.timeout == timedelta(seconds=5)
    assert (send.keywords, send.untrusted_output, send.is_async) == (
        ("post", "write to"),
        True,
        True,
    )
    assert send.output_schema["type"] == "array"
    assert send.describe()["effects"] == "external"


def test_parameters_get_what_they_are_typed_as() -> None:
    result = call(
        paint,
        {
            "colour": "blue",
            "order": {"id": 1, "lines": ["a"]},
            "at": {"x": 1},
            "when": "2024-05-01T00:00:00Z",
            "where": "a/b.txt",
        },
    )
    assert result == {
        "colour": "blue",
        "first": "a",
        "x": 2.0,
        "year": 2024,
        "suffix": ".txt",
        "price": "1.5",
        "attempt": 1,
    }


async def test_async_tools() -> None:
    assert await acall(send, {"to": "a", "copies": 0}) == [{"id": 0, "lines": ["a", ""]}]


def test_decorated_function_stays_a_function() -> None:
    @tool(effects="read")
    def double(number: int) -> int:
        """Double it."""
        return number * 2

    assert double(4) == double(number=4) == 8
    assert double.__doc__ == "Double it."
    assert "__wrapped__" in vars(double)


@pytest.mark.parametrize(
    ("args", "pointer"),
    [
        ({}, ""),
        ({"number": "5"}, "/number"),
        ({"number": True}, "/number"),
        ({"number": None}, "/number"),
        ({"number": 5.5}, "/number"),
        ({"number": 1, "extra": 1}, ""),
        ({"number": 1, "order": {"id": "1"}}, "/order/id"),
        ({"number": 1, "order": {"lines": []}}, "/order"),
        ({"number": 1, "day": "2024-13-01"}, "/day"),
        ({"number": 1, "kind": "c"}, "/kind"),
        ({"number": 1, "a/b": 1}, ""),
    ],
)
def test_bad_arguments_never_reach_the_function(args: JsonObject, pointer: str) -> None:
    calls: list[int] = []

    @tool
    def count(
        number: int,
        order: Order | None = None,
        day: date | None = None,
        kind: Literal["a", "b"] = "a",
    ) -> None:
        calls.append(number)

    with pytest.raises(InvalidValue) as caught:
        bind(count, args, context())()
    assert caught.value.code == "argument_invalid"
    assert caught.value.pointer == pointer
    assert calls == []


@pytest.mark.parametrize("value", [0, False, "", None, [], {}, 0.0])
def test_empty_values_survive(value: JsonValue) -> None:
    @tool
    def echo(value: JsonValue) -> JsonValue:
        return value

    result = call(echo, {"value": value})
    assert result == value
    assert type(result) is type(value)


def test_whole_number_written_as_a_float_is_an_integer() -> None:
    @tool
    def half(number: int) -> str:
        return f"{number!r}"

    assert call(half, {"number": 4.0}) == "4"


def test_parameter_names_that_models_use_themselves() -> None:
    @tool
    def odd(schema: str, json: int, copy: bool, _hidden: str = "h", model_fields: int = 1) -> str:
        return f"{schema}{json}{copy}{_hidden}{model_fields}"

    assert call(odd, {"schema": "s", "json": 0, "copy": False}) == "s0Falseh1"


def test_positional_only_parameters_and_ellipsis_default() -> None:
    @tool
    def pick(first: int, second: int = 2, /, third: Any = ...) -> list[Any]:
        return [first, second, third is ...]

    assert pick.input_schema["required"] == ["first"]
    assert "default" not in pick.input_schema["properties"]["third"]
    assert call(pick, {"first": 1}) == [1, 2, True]
    assert call(pick, {"first": 1, "third": None}) == [1, 2, False]


def test_descriptions_and_bounds_from_annotations() -> None:
    @tool
    def bounded(size: Annotated[int, Field(ge=1, description="How many.")] = 3) -> int:
        """Do it.

        Args:
            size: Not this one.
        """
        return size

    assert bounded.input_schema["properties"]["size"] == {
        "default": 3,
        "description": "How many.",
        "minimum": 1,
        "type": "integer",
    }
    with pytest.raises(InvalidValue, match="minimum"):
        bind(bounded, {"size": 0}, context())


def test_local_types_and_optional_context() -> None:
    class Local(BaseModel):
        name: str

    @tool
    def use(item: Local, task: Context | None = None) -> str:
        return f"{item.name} {task is not None}"

    assert call(use, {"item": {"name": "n"}}) == "n True"


def test_methods_lambdas_and_callables() -> None:
    class Counter:
        def __init__(self) -> None:
            self.total = 0

        def add(self, number: int) -> int:
            self.total += number
            return self.total

        def __call__(self, number: int) -> int:
            return -number

    counter = Counter()
    add = tool(counter.add)
    assert add.name == "add"
    assert [call(add, {"number": 2}), call(add, {"number": 3})] == [2, 5]
    assert call(tool("negate")(counter), {"number": 2}) == -2
    assert call(tool("zero")(lambda: 0), {}) == 0
    assert call(tool("same", untyped=True)(lambda value: value), {"value": [0]}) == [0]


def test_wait_is_left_out_of_the_output() -> None:
    @tool
    def ask(text: str) -> str | Wait:
        return Wait.for_approval(text)

    @tool
    def only_wait() -> Wait:
        return Wait.for_time(1)

    assert ask.output_schema == {"type": "string"}
    assert only_wait.output_schema == {}


def test_missing_return_hint_means_anything() -> None:
    @tool
    def anything(value: int):  # type: ignore[no-untyped-def]
        return (value, {"at": date(2024, 1, 2)})

    assert anything.output_schema == {}
    assert call(anything, {"value": 1}) == [1, {"at": "2024-01-02"}]


@pytest.mark.parametrize(
    "value",
    [
        object(),
        math.nan,
        {"a": math.inf},
        [float("-inf")],
        "\x00",
        "\ud800",
        {"k": b"\xff"},
        10**30,
    ],
)
def test_outputs_that_are_no_json(value: object) -> None:
    @tool
    def give() -> Any:
        return value

    with pytest.raises(InvalidValue) as caught:
        call(give, {})
    assert caught.value.code == "output_invalid"


def test_circular_output() -> None:
    @tool
    def give() -> Any:
        loop: list[Any] = []
        loop.append(loop)
        return loop

    with pytest.raises(InvalidValue) as caught:
        call(give, {})
    assert caught.value.code == "output_invalid"


def test_output_is_held_against_its_schema() -> None:
    @tool
    def give(value: Any) -> dict[str, int]:
        return value  # type: ignore[no-any-return]

    assert call(give, {"value": {"a": 0}}) == {"a": 0}
    with pytest.raises(InvalidValue) as caught:
        call(give, {"value": {"a": "x"}})
    assert (caught.value.code, caught.value.pointer) == ("output_invalid", "/a")


def test_hand_built_tool_gets_json_and_its_context() -> None:
    def handler(ctx: Context, **args: Any) -> dict[str, Any]:
        return {"args": args, "step": ctx.step_id}

    made = Tool(
        name="remote.call",
        summary="Call.",
        handler=handler,
        input_schema={"type": "object", "properties": {"a": {"type": "integer"}}},
        output_schema={"type": "object", "required": ["args"]},
    )
    assert call(made, {"a": 0}) == {"args": {"a": 0}, "step": "step"}
    with pytest.raises(InvalidValue):
        bind(made, {"a": "x"}, context())


def test_a_tool_whose_schema_is_no_schema() -> None:
    made = Tool(
        name="x", summary="", handler=int, input_schema={"type": "nothing"}, output_schema={}
    )
    with pytest.raises(DefinitionError, match="no JSON Schema"):
        bind(made, {}, context())


@pytest.mark.parametrize("default", [math.nan, math.inf, 10**30])
def test_a_default_that_is_no_json_is_refused(default: Any) -> None:
    def bounded(limit: float = default) -> float:
        """Return the limit."""
        return limit

    with pytest.raises(DefinitionError) as caught:
        tool("x.bounded")(bounded)
    assert caught.value.code == "tool_invalid"
    assert "/properties/limit/default" in caught.value.message


def test_patterns_of_arguments_take_linear_time() -> None:
    made = Tool(
        name="x.y",
        summary="",
        handler=str,
        input_schema={"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}},
        output_schema={},
    )
    with pytest.raises(InvalidValue):
        bind(made, {"a": "a" * 5000 + "!"}, context())


def test_tools_pickle_by_name() -> None:
    import importlib

    from flowbuilder.toolkit.text import text_stats

    assert pickle.loads(pickle.dumps(text_stats)) is text_stats
    assert importlib.import_module("flowbuilder.toolkit.text").text_stats is text_stats


def test_check_output_keeps_utc_times() -> None:
    @tool
    def now() -> datetime:
        return datetime(2024, 1, 1, tzinfo=UTC)

    assert check_output(now, now()) == "2024-01-01T00:00:00Z"


def test_a_name_may_be_given_by_keyword() -> None:
    @tool(name="mail.send", effects="external")
    def send(to: str) -> str:
        """Send."""
        return to

    assert (send.name, send.effects.value) == ("mail.send", "external")
