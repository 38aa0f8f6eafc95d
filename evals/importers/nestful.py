"""NESTFUL: sequences of calls whose arguments refer to fields of earlier results.

Files `…-data.json` hold `{"input", "output": [{"name", "arguments", "label"}]}`, the `…-spec.json`
beside them the functions. `$var2.a.b$` in an argument is the field a.b of the call labelled var2;
the call `var_result` says what the whole gives and becomes the flow's output.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from flowbuilder.errors import NotFound
from flowbuilder.evals.catalogue import ToolSpec, closed_object
from flowbuilder.evals.dataset import Case, Expectation
from flowbuilder.evals.importers.contract import Desk, Shape, flow_document, shaped
from flowbuilder.evals.importers.naming import step_id
from flowbuilder.evals.importers.records import BadRecord, Record, data_files, read_records
from flowbuilder.evals.importers.texts import (
    in_texts,
    with_references,
    without_references,
    written,
)
from flowbuilder.evals.importers.typewords import enum_of, parameter_schema, part_schema
from flowbuilder.references import Reference, find
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

NAME = "nestful"
RESULT = "var_result"
_REFERENCE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)((?:\.[^$.]+)*)\$")
#: How labels look; a text such as `$100-$200` names none.
_LABEL = re.compile(r"var_?\d+")
_PLACES = re.compile(r"([^\[\]]+)((?:\[(?:0|[1-9]\d{0,8})\])+)")
_PARAMETERS = ("query_parameters", "path_parameters", "arguments", "parameters", "body_parameters")


class _Call(Shape):
    name: str
    arguments: dict[str, Any]
    label: str | None = None


class _Goal(Shape):
    input: str
    output: list[_Call]


class _Function(Shape):
    name: str
    description: str = ""
    output_parameters: dict[str, Any] = Field(default_factory=dict)


def read(path: Path, catalogue: Path | None, desk: Desk) -> None:
    """Put the goals of a file, or of all `…-data.json` files of a folder, on the desk."""
    for file in data_files(path, r".*data\.jsonl?"):
        variants = _functions(catalogue or _spec_of(file), desk)
        desk.add_all(
            read_records(file, desk.problems),
            partial(_case, stem=file.stem, variants=variants, desk=desk),
        )


def export(case: Case, tools: Mapping[str, ToolSpec]) -> JsonObject:
    """Return the record that says what the case says."""
    flow = case.expect.flow or {}
    labels = {str(key): str(label) for key, label in case.source.get("labels", {}).items()}
    titles = case.source.get("titles", {})
    calls: list[JsonValue] = []
    for step in flow.get("steps", []):
        spec = tools.get(step["tool"])
        title = titles.get(step["tool"], spec.called if spec else step["tool"])
        call: JsonObject = {"name": title, "arguments": _plain(step.get("args", {}), labels)}
        if step["id"] not in case.source.get("unlabelled", []):
            call["label"] = labels.get(step["id"], step["id"])
        calls.append(call)
    if "output" in flow:
        calls.append({"name": RESULT, "arguments": _plain(flow["output"], labels)})
    for index, extra in case.source.get("more", {}).items():
        at = calls[int(index)]
        assert isinstance(at, dict)
        at.update(extra)
    return {"input": case.goal, "output": calls, **case.source.get("rest", {})}


def meaning(record: JsonObject) -> JsonValue:
    """Return the record: everything in it counts, the order of calls too."""
    return record


def _spec_of(file: Path) -> Path:
    """Return where the functions of a file of goals stand. Raises: NotFound."""
    found = file.with_name(file.name.replace("data.json", "spec.json"))
    if found != file and found.is_file():
        return found
    where = f"in {found}" if found != file else "beside it, as …-spec.json beside …-data.json"
    raise NotFound(
        f"the functions of {file} should be {where}",
        code="import_not_found",
        hint="Or say with --catalogue where they are described.",
    )


def _functions(path: Path, desk: Desk) -> dict[str, list[ToolSpec]]:
    """Return the functions by their names there; some are described twice, and differently."""
    variants: dict[str, list[ToolSpec]] = {}
    for record in read_records(path, desk.problems):
        try:
            spec = _tool(shaped(_Function, record.value), desk)
        except BadRecord as error:
            desk.tell(record.place + error.pointer, "catalogue_invalid", error.message)
            continue
        if desk.take_tools(record.place, [spec]):
            variants.setdefault(spec.called, []).append(spec)
    return variants


def _tool(given: _Function, desk: Desk) -> ToolSpec:
    more = given.rest()
    properties: dict[str, JsonSchema] = {}
    required = []
    for part in _PARAMETERS:
        listed = more.get(part)
        for name, described in listed.items() if isinstance(listed, dict) else ():
            if isinstance(described, dict):
                properties[name] = _parameter(described)
                required += [name] if described.get("required") in (True, "true", "True") else []
    name = desk.names.name(given.name)
    return ToolSpec(
        name=name,
        title=given.name if given.name != name else None,
        summary=given.description,
        input_schema=closed_object(properties, required),
        output_schema=_results(given.output_parameters),
    )


def _parameter(described: JsonObject) -> JsonSchema:
    schema = parameter_schema(described)
    for key in ("allowed_values", "possible_values"):
        allowed = enum_of(described.get(key))
        if allowed is not None and "enum" not in schema:
            schema["enum"] = allowed
    if "default_value" in described:
        schema.setdefault("default", described["default_value"])
    return schema


def _results(outputs: Mapping[str, Any]) -> JsonSchema:
    """Return the schema of a function's result: all the fields are there, and no others."""
    fields = {name: part_schema(part) for name, part in outputs.items()}
    return closed_object(fields, fields) if fields else {}


def _case(record: Record, stem: str, variants: Mapping[str, list[ToolSpec]], desk: Desk) -> Case:
    goal = shaped(_Goal, record.value)
    calls = goal.output
    result = calls[-1] if calls and calls[-1].name == RESULT else None
    worked = calls[:-1] if result is not None else calls
    ids, labels, unlabelled = _step_ids(worked)
    steps: list[JsonObject] = []
    used: dict[str, ToolSpec] = {}
    titles: dict[str, JsonValue] = {}
    known: dict[str, str] = {}
    chosen = _chosen(calls, variants)
    for call, own in zip(worked, ids, strict=True):
        spec = chosen.get(call.name)
        tool = spec.name if spec else desk.names.name(call.name)
        if spec:
            used[tool] = spec
        elif tool != call.name:
            titles[tool] = call.name
        steps.append({"id": own, "tool": tool, "args": _referring(call.arguments, known)})
        known[labels.get(own, own)] = own
    name = desk.case_name(f"{stem.removesuffix('-data')}-{_number(record.place)}")
    output = _referring(result.arguments, known) if result is not None else None
    more = {str(index): call.rest() for index, call in enumerate(calls) if call.rest()}
    for index, call in enumerate(calls):
        if call.label is None and "label" in call.model_fields_set:
            more.setdefault(str(index), {})["label"] = None
    if result is not None and result.label is not None:
        more.setdefault(str(len(calls) - 1), {})["label"] = result.label
    source: dict[str, Any] = {
        "format": NAME, "place": record.place, "labels": labels, "unlabelled": unlabelled,
        "titles": titles, "more": more, "rest": goal.rest(),
    }  # fmt: skip
    flow = flow_document(name, steps)
    case = Case(
        name=name,
        goal=goal.input,
        tags=[NAME, stem.removesuffix("-data")],
        catalogue=desk.own_tools(used.values()),
        source={key: part for key, part in source.items() if part},
        expect=Expectation(flow=flow if output is None else {**flow, "output": output}),
    )
    for pointer, later in _looking_ahead(steps):
        message = f"{later} comes later than the call that refers to it"
        desk.tell(record.place + pointer, "gold_later_step", message, case=name)
    return case


def _looking_ahead(steps: Sequence[JsonObject]) -> Iterator[tuple[str, str]]:
    """Yield references to calls that come later: a flow can wait for them, a sequence cannot."""
    places = {step["id"]: place for place, step in enumerate(steps)}
    for place, step in enumerate(steps):
        for found in find(step["args"], f"#/steps/{place}/args"):
            later = found.reference.step
            if places.get(later, place) > place:
                yield found.pointer, str(later)


def _number(place: str) -> str:
    return re.sub(r"\D+", "-", place.rpartition("json")[2]).strip("-")


def _step_ids(calls: Iterable[_Call]) -> tuple[list[str], dict[str, str], list[str]]:
    """Return an id for every call, the labels that are other than these, and who has none."""
    taken: set[str] = set()
    ids = []
    labels = {}
    unlabelled = []
    for number, call in enumerate(calls, start=1):
        # without a label of its own a call must not come to stand where a reference leads
        own = step_id(call.label or f"call{number}", taken)
        ids.append(own)
        if call.label is None:
            unlabelled.append(own)
        elif own != call.label:
            labels[own] = call.label
    return ids, labels, unlabelled


def _chosen(calls: Iterable[_Call], variants: Mapping[str, list[ToolSpec]]) -> dict[str, ToolSpec]:
    """Return, of functions that are described twice, the description that the calls keep to."""
    misfits: dict[str, list[int]] = {}
    for call in calls:
        for place, spec in enumerate(variants.get(call.name, [])):
            counts = misfits.setdefault(call.name, [0] * len(variants[call.name]))
            schema = spec.input_schema
            counts[place] += len(call.arguments.keys() - schema["properties"].keys())
            counts[place] += len(set(schema.get("required", [])) - call.arguments.keys())
    return {name: variants[name][counts.index(min(counts))] for name, counts in misfits.items()}


def _referring(arguments: JsonValue, known: Mapping[str, str]) -> JsonValue:
    def replace(match: re.Match[str]) -> str | None:
        label, path = match.group(1), _path(match.group(2))
        if label not in known and not _LABEL.fullmatch(label) and match.group() != match.string:
            return None  # words between two dollars; alone, it can only be a label that is missing
        try:
            return written(known.get(label, label), path)
        except ValueError as error:
            raise BadRecord(str(error)) from None

    return in_texts(arguments, lambda text: with_references(text, _REFERENCE, replace))


def _path(text: str) -> tuple[str | int, ...]:
    """Return `.items[0].name` in parts; brackets that hold no place belong to a name."""
    parts: list[str | int] = []
    for segment in text.split(".")[1:]:
        places = _PLACES.fullmatch(segment)
        if places is None:
            parts.append(segment)
        else:
            parts.append(places.group(1))
            parts += [int(place) for place in re.findall(r"\d+", places.group(2))]
    return tuple(parts)


def _plain(arguments: JsonValue, labels: Mapping[str, str]) -> JsonValue:
    def name(found: Reference) -> str:
        step = str(found.step)
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in found.path)
        return f"${labels.get(step, step)}{path}$"

    return in_texts(arguments, lambda text: without_references(text, name))
