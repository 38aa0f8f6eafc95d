"""Typed dicts of the standard library in the hints of a tool, on every Python."""

from __future__ import annotations

import typing
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from flowbuilder.errors import DefinitionError
from flowbuilder.tools import Tool, tool


class Place(typing.TypedDict):
    lat: float
    lon: float


class Stop(typing.TypedDict, total=False):
    """Where a tour halts."""

    name: typing.Required[str]
    at: Place | None
    kind: Literal["home", "shop"]


class Tour(Stop):
    stops: Annotated[list[Stop], Field(min_length=1)]
    note: typing.NotRequired[str]


class Node(typing.TypedDict):
    below: list[Node]


@tool("tour.plan")
def plan(tour: Tour, extra: dict[str, Stop] | None = None) -> tuple[Stop, list[Place]]:
    """Plan a tour."""
    places = (stop.get("at") for stop in tour["stops"])
    return tour["stops"][0], [place for place in places if place]


def call(found: Tool, args: dict[str, Any]) -> Any:
    from flowbuilder.tools import bind, check_output

    context: Any = None
    return check_output(found, bind(found, args, context)())


def test_members_say_their_types_and_whether_they_must_be_there() -> None:
    found = plan.input_schema["$defs"]
    assert found["Place"]["required"] == ["lat", "lon"]
    assert found["Stop"]["required"] == ["name"]
    assert found["Stop"]["description"] == "Where a tour halts."
    assert found["Stop"]["properties"]["kind"]["enum"] == ["home", "shop"]
    assert set(found["Tour"]["properties"]) == {"name", "at", "kind", "stops", "note"}
    assert set(found["Tour"]["required"]) == {"name", "stops"}
    assert found["Tour"]["properties"]["stops"]["minItems"] == 1


def test_they_come_in_and_go_out_as_they_are() -> None:
    place = {"lat": 0.0, "lon": 1.5}
    stops = [{"name": "a", "at": place}, {"name": "", "at": None}]
    assert call(plan, {"tour": {"name": "t", "stops": stops}}) == [stops[0], [place]]


@pytest.mark.parametrize(
    "tour",
    [{"name": "t"}, {"name": "t", "stops": []}, {"name": "t", "stops": [{"name": "a", "x": 1}]}],
)
def test_what_does_not_fit_never_reaches_the_function(tour: dict[str, Any]) -> None:
    from flowbuilder.errors import InvalidValue

    with pytest.raises(InvalidValue, match=r"tour\.plan"):
        call(plan, {"tour": tour})


def test_one_that_holds_itself_is_refused_with_what_to_write_instead() -> None:
    def walk(node: Node) -> int:
        return len(node)

    with pytest.raises(DefinitionError, match=r"typing_extensions\.TypedDict"):
        tool(walk)
