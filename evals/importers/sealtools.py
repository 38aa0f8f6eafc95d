"""Seal-Tools: goals with calls whose results are numbered through.

`tool.jsonl` holds the catalogue, every other `.jsonl` file beside it goals:
`{"id", "query", "calling": [{"api", "parameters", "responses": ["API_call_0"]}]}`. The responses of
a call stand for the fields of its result, in the order in which the catalogue lists them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from flowbuilder.errors import NotFound
from flowbuilder.evals.catalogue import ToolSpec, closed_object
from flowbuilder.evals.dataset import Case, Expectation
from flowbuilder.evals.importers.contract import Desk, Shape, flow_document, shaped
from flowbuilder.evals.importers.records import BadRecord, Record, data_files, read_records
from flowbuilder.evals.importers.texts import (
    in_texts,
    with_references,
    without_references,
    written,
)
from flowbuilder.evals.importers.typewords import part_schema
from flowbuilder.references import Reference
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

NAME = "seal-tools"
TOOLS = "tool.jsonl"
_RESPONSE = re.compile(r"(?<!\w)API_call_\d+(?!\w)")


class _Call(Shape):
    api: str
    parameters: dict[str, Any]
    responses: list[str]


class _Goal(Shape):
    id: str
    query: str
    calling: list[_Call]


class _Api(Shape):
    api_name: str
    api_description: str = ""
    parameters: dict[str, Any]
    required: list[str] = Field(default_factory=list)
    responses: dict[str, Any] = Field(default_factory=dict)


def read(path: Path, catalogue: Path | None, desk: Desk) -> None:
    """Put the goals of a file, or of all files beside `tool.jsonl`, on the desk."""
    for file in data_files(path, r".*\.jsonl", without=[TOOLS]):
        tools = catalogue or file.with_name(TOOLS)
        if not tools.is_file():
            raise NotFound(
                f"the catalogue should be in {tools}",
                code="import_not_found",
                hint="Or say with --catalogue where it is.",
            )
        known = _catalogue(tools, desk)
        desk.add_all(
            read_records(file, desk.problems),
            partial(_case, known=known, desk=desk),
        )


def export(case: Case, tools: Mapping[str, ToolSpec]) -> JsonObject:
    """Return the record that says what the case says."""
    flow = case.expect.flow or {}
    given = case.source.get("responses", {})
    titles = case.source.get("titles", {})
    labels: dict[tuple[str, str], str] = {}
    calls: list[JsonValue] = []
    counted = 0
    for step in flow.get("steps", []):
        spec = tools.get(step["tool"])
        fields = _fields(spec)
        own = given.get(step["id"], _numbered(counted, len(fields)))
        counted += len(own)
        for place, label in enumerate(own):
            labels[step["id"], _field(fields, own, place)] = label
        calls.append(
            {
                "api": titles.get(step["tool"], spec.called if spec else step["tool"]),
                "parameters": in_texts(step.get("args", {}), _labelled(labels)),
                "responses": list(own),
                **case.source.get("more", {}).get(step["id"], {}),
            }
        )
    rest = case.source.get("rest", {})
    return {"id": case.source["id"], "query": case.goal, "calling": calls, **rest}


def meaning(record: JsonObject) -> JsonValue:
    """Return the record: everything in it counts, the order of calls too."""
    return record


def _catalogue(path: Path, desk: Desk) -> dict[str, ToolSpec]:
    known: dict[str, ToolSpec] = {}
    for record in read_records(path, desk.problems):
        try:
            spec = _tool(shaped(_Api, record.value), desk)
        except BadRecord as error:
            desk.tell(record.place + error.pointer, "catalogue_invalid", error.message)
            continue
        if desk.take_tools(record.place, [spec]):
            known.setdefault(spec.called, spec)
    return known


def _tool(given: _Api, desk: Desk) -> ToolSpec:
    parameters = _schemas(given.parameters)
    results = _schemas(given.responses)
    name = desk.names.name(given.api_name)
    return ToolSpec(
        name=name,
        title=given.api_name if given.api_name != name else None,
        summary=given.api_description,
        input_schema=closed_object(parameters, given.required),
        output_schema=closed_object(results, results) if results else {},
    )


def _schemas(described: Mapping[str, Any]) -> dict[str, JsonSchema]:
    return {name: part_schema(part) for name, part in described.items()}


def _case(record: Record, known: Mapping[str, ToolSpec], desk: Desk) -> Case:
    goal = shaped(_Goal, record.value)
    places: dict[str, tuple[str, str]] = {}
    steps: list[JsonObject] = []
    titles: dict[str, JsonValue] = {}
    unusual: dict[str, JsonValue] = {}
    more: dict[str, JsonValue] = {}
    counted = 0
    for number, call in enumerate(goal.calling, start=1):
        own = f"call{number}"
        spec = known.get(call.api)
        tool = spec.name if spec else desk.names.name(call.api)
        if spec is None and tool != call.api:
            titles[tool] = call.api
        arguments = in_texts(call.parameters, _referring(places))
        steps.append({"id": own, "tool": tool, "args": arguments})
        fields = _fields(spec)
        if call.responses != _numbered(counted, len(fields)):
            unusual[own] = list(call.responses)
        for place, label in enumerate(call.responses):
            places.setdefault(label, (own, _field(fields, call.responses, place)))
        counted += len(call.responses)
        if call.rest():
            more[own] = call.rest()
    name = desk.case_name(goal.id)
    source: dict[str, Any] = {
        "format": NAME, "id": goal.id, "place": record.place, "titles": titles,
        "responses": unusual, "more": more, "rest": goal.rest(),
    }  # fmt: skip
    return Case(
        name=name,
        goal=goal.query,
        tags=[NAME, *(["nested"] if _nested(steps) else [])],
        source={key: part for key, part in source.items() if part or key == "id"},
        expect=Expectation(flow=flow_document(name, steps)),
    )


def _fields(spec: ToolSpec | None) -> list[str]:
    return list(spec.output_schema.get("properties", {})) if spec else []


def _field(fields: list[str], labels: Iterable[str], place: int) -> str:
    """Return the field that a label stands for, or the label itself when the counts differ."""
    listed = list(labels)
    return fields[place] if len(fields) == len(listed) else listed[place]


def _numbered(first: int, count: int) -> list[str]:
    return [f"API_call_{number}" for number in range(first, first + count)]


def _nested(steps: Iterable[JsonObject]) -> bool:
    return any("steps.call" in str(step.get("args")) for step in steps)


def _referring(places: Mapping[str, tuple[str, str]]) -> Any:
    def replace(match: re.Match[str]) -> str:
        label = match.group()
        step, field = places.get(label, (label, ""))
        return written(step, (field,) if field else ())

    return lambda text: with_references(text, _RESPONSE, replace)


def _labelled(labels: Mapping[tuple[str, str], str]) -> Any:
    def name(found: Reference) -> str:
        step = str(found.step)
        path = tuple(map(str, found.path))
        return labels.get((step, path[0]), step) if path else step

    return lambda text: without_references(text, name)
