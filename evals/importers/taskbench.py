"""TaskBench: nodes that name tools, with arguments such as `<node-0>`, and links between tools.

A folder for each domain has `tool_desc.json` and files of lines `{"id", "user_request",
"task_nodes": [{"task", "arguments"}], "task_links": [{"source", "target"}]}`. In the domains of
media files arguments are texts by position and links follow from the references in them; in daily
life arguments have names and links are nothing but order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from flowbuilder.errors import FlowBuilderError
from flowbuilder.evals.catalogue import ToolSpec, closed_object
from flowbuilder.evals.dataset import Case, Expectation
from flowbuilder.evals.importers.contract import Desk, Shape, flow_document, shaped
from flowbuilder.evals.importers.records import (
    BadRecord,
    Record,
    data_files,
    read_records,
    read_value,
)
from flowbuilder.evals.importers.slots import Placed, place_arguments, wrapped
from flowbuilder.evals.importers.texts import (
    in_texts,
    with_references,
    without_references,
    written,
)
from flowbuilder.evals.importers.typewords import json_type
from flowbuilder.references import Reference, step_ids
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

NAME = "taskbench"
TOOLS = "tool_desc.json"
_NODE = re.compile(r"<node-(0|[1-9]\d{0,5})>")
#: A whole text that goes on into the output: `<node-0>.text`.
_FIELD = re.compile(r"<node-(0|[1-9]\d{0,5})>((?:\.[A-Za-z_][A-Za-z0-9_]*)+)")


class Node(Shape):
    """A node of a plan."""

    task: str
    arguments: list[Any] | None = None


class Request(Shape):
    """A goal and its plan."""

    id: str
    user_request: str
    task_nodes: list[Node]
    task_links: list[Any] = Field(default_factory=list)


class _Described(Shape):
    id: str
    desc: str = ""


def read(path: Path, catalogue: Path | None, desk: Desk) -> None:
    """Put the goals of a file, or of all domains in a folder, on the desk."""
    for file in data_files(path, r".*\.jsonl|data.*\.json", without=[TOOLS]):
        known = known_tools(catalogue or file.with_name(TOOLS), desk)
        temporal = all(not _inputs(spec)[1] for spec in known.values())
        desk.add_all(
            read_records(file, desk.problems),
            partial(_case, known=known, desk=desk, temporal=temporal, domain=file.parent.name),
        )


def export(case: Case, tools: Mapping[str, ToolSpec]) -> JsonObject:
    """Return the record that says what the case says."""
    return plan_record(case, case.expect.flow or {}, tools)


def meaning(record: JsonObject) -> JsonValue:
    """Return the record with its links in order: they are a set of pairs with counts."""
    links = record.get("task_links")
    if not isinstance(links, list):
        return record
    return {**record, "task_links": sorted(links, key=str)}


def known_tools(path: Path, desk: Desk) -> dict[str, ToolSpec]:
    """Return the tools of a `tool_desc.json` by their titles; a problem when there are none."""
    try:
        described = read_value(path)
    except FlowBuilderError as error:
        desk.tell(path.name, "catalogue_invalid", error.message)
        return {}
    nodes = described.get("nodes") if isinstance(described, dict) else None
    if not isinstance(nodes, list) or not nodes:
        desk.tell(path.name, "catalogue_invalid", "there are no nodes, which describe the tools")
        return {}
    known: dict[str, ToolSpec] = {}
    for index, node in enumerate(nodes):
        place = f"{path.name}#/nodes/{index}"
        try:
            spec = _tool(shaped(_Described, node), desk)
        except BadRecord as error:
            desk.tell(place + error.pointer, "catalogue_invalid", error.message)
            continue
        if desk.take_tools(place, [spec]):
            known.setdefault(spec.called, spec)
    return known


def plan_steps(
    request: Request, known: Mapping[str, ToolSpec], desk: Desk, *, ordered: bool
) -> tuple[list[JsonObject], JsonObject]:
    """Return the steps of a plan and what they leave unsaid.

    Args:
        request: The record.
        known: Tools by title.
        desk: Names tools that are not known.
        ordered: Whether links that no reference implies are order between steps.
    """
    nodes = request.task_nodes
    specs = [known.get(node.task) for node in nodes]
    steps: list[JsonObject] = []
    left: dict[str, Any] = {"titles": {}, "shapes": {}, "more": {}, "without": {}}
    for number, (node, spec) in enumerate(zip(nodes, specs, strict=True)):
        own = f"n{number}"
        tool = spec.name if spec else desk.names.name(node.task)
        if spec is None and tool != node.task:
            left["titles"][tool] = node.task
        placed = place_arguments(node.arguments or [], *_inputs(spec), _kind_of(specs))
        steps.append({"id": own, "tool": tool, "args": _referring(placed)})
        _note(left, own, node, placed)
    if ordered:
        _add_order(steps, nodes, request.task_links)
    if "task_links" not in request.model_fields_set:
        left["links"] = None
    elif meaning({"task_links": _links(steps, nodes)}) != meaning(
        {"task_links": request.task_links}
    ):
        left["links"] = request.task_links
    return steps, {key: part for key, part in left.items() if part or key == "links"}


def plan_record(case: Case, flow: Mapping[str, Any], tools: Mapping[str, ToolSpec]) -> JsonObject:
    """Return the record of a case whose plan is this flow."""
    source = case.source
    titles, shapes = source.get("titles", {}), source.get("shapes", {})
    nodes: list[JsonValue] = []
    called: list[Node] = []
    steps = flow.get("steps", [])
    for step in steps:
        spec = tools.get(step["tool"])
        title = titles.get(step["tool"], spec.called if spec else step["tool"])
        values = list(_plain(step.get("args", {})).values())
        listed = wrapped(values, shapes.get(step["id"], []))
        called.append(Node(task=title))
        without = source.get("without", {}).get(step["id"])
        node: JsonObject = {"task": title}
        if without != "absent":
            node["arguments"] = None if without == "null" else listed
        nodes.append(node | source.get("more", {}).get(step["id"], {}))
    links = source["links"] if "links" in source else _links(steps, called)
    record: JsonObject = {"id": source["id"], "user_request": case.goal, "task_nodes": nodes}
    if links is not None:
        record["task_links"] = links
    return {**record, **source.get("rest", {})}


def _tool(given: _Described, desk: Desk) -> ToolSpec:
    more = given.rest()
    name = desk.names.name(given.id)
    listed = more.get("parameters")
    if isinstance(listed, list):
        inputs, output = _named_inputs(listed), {}
    else:
        inputs, output = _media_inputs(more.get("input-type")), _media_output(more)
    return ToolSpec(
        name=name,
        title=given.id if given.id != name else None,
        summary=given.desc,
        input_schema=inputs,
        output_schema=output,
    )


def _named_inputs(listed: Sequence[JsonValue]) -> JsonSchema:
    parameters = {}
    for part in listed:
        if not isinstance(part, dict) or not isinstance(part.get("name"), str):
            raise BadRecord("a parameter has no name", "/parameters")
        schema: JsonSchema = {"type": json_type(part.get("type")) or "string"}
        if isinstance(part.get("desc"), str):
            schema["description"] = part["desc"]
        parameters[str(part["name"])] = schema
    return closed_object(parameters, parameters)


def _media_inputs(types: JsonValue) -> JsonSchema:
    """Return a schema with a member for each medium taken; the set names no arguments itself."""
    properties: dict[str, JsonSchema] = {}
    for kind in types if isinstance(types, list) else []:
        medium = str(kind).lower()
        name, number = medium, 1
        while name in properties:
            number += 1
            name = f"{medium}_{number}"
        properties[name] = _medium(medium)
    return {"type": "object", "properties": properties}


def _media_output(more: JsonObject) -> JsonSchema:
    types = more.get("output-type")
    return _medium(str(types[0]).lower()) if isinstance(types, list) and types else {}


def _medium(kind: str) -> JsonSchema:
    return {"type": "string", "format": kind}


def _inputs(spec: ToolSpec | None) -> tuple[list[str], list[str]]:
    """Return the names of a tool's inputs, and their media; none where inputs have names."""
    properties = spec.input_schema.get("properties", {}) if spec else {}
    media = [part["format"] for part in properties.values() if "format" in part]
    return list(properties), media


def _kind_of(specs: Sequence[ToolSpec | None]) -> Callable[[str], str | None]:
    """Return what tells the medium that a reference brings."""

    def kind(text: str) -> str | None:
        found = _NODE.match(text)
        if found is None:
            return None
        number = int(found.group(1))
        spec = specs[number] if number < len(specs) else None
        return (spec.output_schema.get("format") if spec else None) or "unknown"

    return kind


def _note(left: dict[str, Any], own: str, node: Node, placed: Sequence[Placed]) -> None:
    """Write down how a node was written, where the step does not show it."""
    if node.arguments is None:
        left["without"][own] = "null" if "arguments" in node.model_fields_set else "absent"
    if any(part.wrapper is not None for part in placed):
        left["shapes"][own] = [part.wrapper for part in placed]
    if node.rest():
        left["more"][own] = node.rest()


def _case(
    record: Record, known: Mapping[str, ToolSpec], desk: Desk, *, temporal: bool, domain: str
) -> Case:
    request = shaped(Request, record.value)
    steps, left = plan_steps(request, known, desk, ordered=temporal)
    name = desk.case_name(f"{NAME}-{domain}-{request.id}")
    source = {"format": NAME, "id": request.id, "place": record.place, **left}
    if request.rest():
        source["rest"] = request.rest()
    return Case(
        name=name,
        goal=request.user_request,
        tags=[NAME, domain],
        source=source,
        expect=Expectation(flow=flow_document(name, steps)),
    )


def _add_order(steps: list[JsonObject], nodes: Sequence[Node], links: Iterable[JsonValue]) -> None:
    """Add `depends_on` for links that no reference implies; what names no two nodes is left."""
    used: set[tuple[int, int]] = set()
    for link in links:
        pair = _ends(link, nodes, used)
        if pair is None:
            continue
        used.add(pair)
        before, step = f"n{pair[0]}", steps[pair[1]]
        order = step.setdefault("depends_on", [])
        if isinstance(order, list) and before not in step_ids(step["args"]):
            order.append(before)


def _ends(
    link: JsonValue, nodes: Sequence[Node], used: set[tuple[int, int]]
) -> tuple[int, int] | None:
    """Return the places of the nodes that a link of tools means: near ones, in listed order."""
    if not isinstance(link, dict):
        return None
    starts = [place for place, node in enumerate(nodes) if node.task == link.get("source")]
    ends = [place for place, node in enumerate(nodes) if node.task == link.get("target")]
    pairs = [(a, b) for a in starts for b in ends if a != b and (a, b) not in used]
    return min(pairs, key=lambda pair: (pair[0] > pair[1], abs(pair[1] - pair[0])), default=None)


def _links(steps: Sequence[Mapping[str, Any]], nodes: Sequence[Node]) -> list[JsonValue]:
    """Return the links that the steps themselves imply."""
    titles = {f"n{number}": node.task for number, node in enumerate(nodes)}
    links: list[JsonValue] = []
    for step in steps:
        before = Counter(step_ids(step.get("args", {}))) + Counter(step.get("depends_on", []))
        for other in sorted(before, key=lambda own: int(own[1:])):
            if other in titles and other != step["id"]:
                links.append({"source": titles[other], "target": titles[step["id"]]})
    return links


def _referring(placed: Sequence[Placed]) -> JsonObject:
    def replace(match: re.Match[str]) -> str:
        return written(f"n{match.group(1)}")

    def change(text: str) -> str:
        field = _FIELD.fullmatch(text)
        if field is not None:
            return written(f"n{field.group(1)}", tuple(field.group(2)[1:].split(".")))
        return with_references(text, _NODE, replace)

    return {part.key: in_texts(part.value, change) for part in placed}


def _plain(arguments: JsonObject) -> JsonObject:
    def name(found: Reference) -> str:
        path = "".join(f".{part}" for part in found.path)
        return f"<node-{str(found.step)[1:]}>{path}"

    return {
        key: in_texts(value, lambda text: without_references(text, name))
        for key, value in arguments.items()
    }
