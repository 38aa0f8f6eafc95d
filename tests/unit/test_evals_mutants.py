"""Mutants: each has its one defect, validation finds it, and repair makes nothing worse."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import pytest

from flowbuilder.errors import Severity
from flowbuilder.evals.mutants import MUTATIONS, defect, is_caught, mutants, mutate
from flowbuilder.repair import repair
from flowbuilder.tools import Effects, Tool, ToolRegistry
from flowbuilder.types import JsonSchema
from flowbuilder.validation import DEFECTS, validate

_TEXT: JsonSchema = {"type": "string"}
_NUMBER: JsonSchema = {"type": "number"}


def _record(**properties: JsonSchema) -> JsonSchema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _tool(name: str, takes: JsonSchema, gives: JsonSchema, **more: Any) -> Tool:
    return Tool(
        name=name,
        summary=f"Do {name}.",
        handler=lambda **given: given,
        input_schema=takes,
        output_schema=gives,
        **more,
    )


_UNIT: JsonSchema = {"enum": ["metric", "imperial"]}
_SPOT = _record(lat=_NUMBER, lon=_NUMBER)
_FORECAST = _record(text=_TEXT, hours={"type": "array", "items": _NUMBER}, spot=_SPOT)
REGISTRY = ToolRegistry(
    [
        _tool("place.find", _record(name=_TEXT), _SPOT, effects=Effects.READ),
        _tool(
            "weather.forecast",
            _record(lat=_NUMBER, lon=_NUMBER, unit=_UNIT),
            _FORECAST,
            effects=Effects.READ,
            untrusted_output=True,
        ),
        _tool("numbers.mean", _record(values={"type": "array", "items": _NUMBER}), _NUMBER),
        _tool("text.shorten", _record(text=_TEXT, words={"type": "integer"}), _TEXT),
        _tool(
            "mail.send", _record(to=_TEXT, text=_TEXT), _record(id=_TEXT), effects=Effects.EXTERNAL
        ),
    ]
)
FLOW: dict[str, Any] = {
    "flow": "forecast",
    "steps": [
        {"id": "place", "tool": "place.find", "args": {"name": "Oslo"}},
        {
            "id": "weather",
            "tool": "weather.forecast",
            "args": {
                "lat": "${{ steps.place.lat }}",
                "lon": "${{ steps.place.lon }}",
                "unit": "metric",
            },
        },
        {
            "id": "mean",
            "tool": "numbers.mean",
            "args": {"values": "${{ steps.weather.hours }}"},
        },
        {
            "id": "short",
            "tool": "text.shorten",
            "args": {"text": "${{ steps.weather.text }}", "words": 20},
        },
        {"id": "ready", "tool": "place.find", "args": {"name": "Bergen"}, "depends_on": ["mean"]},
        {
            "id": "mail",
            "tool": "mail.send",
            "args": {"to": "a@example.org", "text": "It is ${{ steps.short }}"},
            "approval": {},
        },
    ],
}


def test_the_flow_itself_is_right() -> None:
    assert validate(FLOW, REGISTRY).problems == ()


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_every_kind_is_made_and_found(name: str) -> None:
    made = [mutate(FLOW, REGISTRY, name, Random(seed)) for seed in range(12)]
    found = [item for item in made if item is not None]
    assert found
    for mutant in found:
        assert mutant.codes <= DEFECTS.keys()
        assert mutant.document != FLOW
        assert is_caught(mutant, REGISTRY, ()), mutant
        problems = validate(mutant.document, REGISTRY).problems
        mended = repair(mutant.document, REGISTRY)
        errors = [item for item in mended.problems if item.severity is Severity.ERROR]
        assert not mended.changes or len(errors) <= len(problems)
        assert repair(mended.document, REGISTRY).document is mended.document


def test_the_flow_stays_and_a_seed_gives_the_same_mutants() -> None:
    before = copy.deepcopy(FLOW)
    first = list(mutants(FLOW, REGISTRY, seed=3))
    assert before == FLOW
    assert first == list(mutants(FLOW, REGISTRY, seed=3))
    assert first != list(mutants(FLOW, REGISTRY, seed=4))
    assert len({item.defect for item in first}) >= 50
    named = list(mutants(FLOW, REGISTRY, seed=3, names=["cycle", "misspelt_tool"]))
    assert [item.defect for item in named] == ["cycle", "misspelt_tool"]


def test_a_flow_without_a_place_for_a_defect_has_no_mutant_of_it() -> None:
    lone: dict[str, Any] = {"flow": "x", "steps": [{"id": "a", "tool": "text.shorten"}]}
    assert mutate(lone, REGISTRY, "cycle", Random(1)) is None
    assert defect("cycle", REGISTRY)(lone, Random(1)) is lone
    assert defect("invented_tool", REGISTRY)(lone, Random(1)) != lone


@pytest.mark.parametrize(
    "name",
    ["misspelt_tool", "unknown_version", "self_dependency", "unknown_dependency", "open_reference",
     "foreign_reference", "args_in_a_list", "steps_by_name", "renamed_argument"],
)  # fmt: skip
def test_what_needs_nobody_comes_back(name: str) -> None:
    for seed in range(6):
        mutant = mutate(FLOW, REGISTRY, name, Random(seed))
        if mutant is not None:
            assert repair(mutant.document, REGISTRY).document == FLOW
