"""AsyncHow: everyday steps with durations and an order in which several go on at once.

Lines `{"id", "title", "steps", "edges": [["START", "1"], …], "time_seconds": {"1": [60, 90]}}`.
Every step becomes one of the same tool; edges become `depends_on`. The goal is the title with the
steps as a numbered list: a plan may say nothing that its goal does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from flowbuilder.evals.catalogue import ToolSpec, closed_object
from flowbuilder.evals.dataset import Case, Expectation
from flowbuilder.evals.importers.contract import Desk, Shape, flow_document, shaped
from flowbuilder.evals.importers.records import BadRecord, Record, data_files, read_records
from flowbuilder.evals.importers.texts import escaped, without_references
from flowbuilder.types import JsonObject, JsonValue

NAME = "asynchow"
START, END = "START", "END"
TOOL = ToolSpec(
    name="everyday.do",
    summary="Do one thing of everyday life, told in words",
    input_schema=closed_object({"what": {"type": "string"}}, ["what"]),
)


class _Goal(Shape):
    id: str
    title: str
    steps: list[str]
    edges: list[list[str]]
    time_seconds: dict[str, list[int | float]] = Field(default_factory=dict)


def read(path: Path, catalogue: Path | None, desk: Desk) -> None:
    """Put the goals of a file or folder on the desk; there is no catalogue to be read."""
    del catalogue
    desk.take_tools(NAME, [TOOL])
    for file in data_files(path, r".*\.jsonl?"):
        desk.add_all(read_records(file, desk.problems), lambda record: _case(record, desk))


def export(case: Case, tools: Mapping[str, ToolSpec]) -> JsonObject:
    """Return the record that says what the case says."""
    del tools
    steps = (case.expect.flow or {}).get("steps", [])
    edges = case.source["edges"] if "edges" in case.source else _edges(steps)
    record: JsonObject = {
        "id": case.source["id"],
        "title": case.source["title"],
        "steps": [without_references(step["args"]["what"], str) for step in steps],
        "edges": edges,
        **case.source.get("rest", {}),
    }
    if case.expect.durations:
        times = {own[1:]: list(span) for own, span in case.expect.durations.items()}
        record["time_seconds"] = {key: [least, most] for key, (least, most) in times.items()}
    return record


def meaning(record: JsonObject) -> JsonValue:
    """Return the record with its edges in order: they are a set of pairs."""
    edges = record.get("edges")
    if not isinstance(edges, list):
        return record
    return {**record, "edges": sorted({tuple(map(str, edge)) for edge in _pairs(edges)})}  # type: ignore[dict-item]


def _pairs(edges: Sequence[JsonValue]) -> list[list[JsonValue]]:
    return [edge for edge in edges if isinstance(edge, list)]


def _case(record: Record, desk: Desk) -> Case:
    goal = shaped(_Goal, record.value)
    numbers = [str(number) for number in range(1, len(goal.steps) + 1)]
    before = _before(goal, numbers)
    steps: list[JsonObject] = [
        {
            "id": f"s{number}",
            "tool": TOOL.name,
            "args": {"what": escaped(text)},
            "depends_on": [f"s{other}" for other in before[number]],
        }
        for number, text in zip(numbers, goal.steps, strict=True)
    ]
    name = desk.case_name(goal.id)
    source: dict[str, Any] = {
        "format": NAME, "id": goal.id, "place": record.place, "title": goal.title,
    }  # fmt: skip
    if meaning({"edges": _edges(steps)}) != meaning({"edges": [list(edge) for edge in goal.edges]}):
        source["edges"] = goal.edges
    rest = goal.rest()
    if "time_seconds" in goal.model_fields_set and not goal.time_seconds:
        rest["time_seconds"] = {}
    if rest:
        source["rest"] = rest
    points = [f"{number}. {text}" for number, text in zip(numbers, goal.steps, strict=True)]
    return Case(
        name=name,
        goal="\n".join([f"{goal.title}:", *points]),
        tags=[NAME],
        source=source,
        expect=Expectation(flow=flow_document(name, steps), durations=_durations(goal, numbers)),
    )


def _before(goal: _Goal, numbers: Sequence[str]) -> dict[str, list[str]]:
    """Return what each step comes after. Raises: BadRecord."""
    before: dict[str, list[str]] = {number: [] for number in numbers}
    for place, edge in enumerate(goal.edges):
        if len(edge) != 2 or edge[0] not in [*numbers, START] or edge[1] not in [*numbers, END]:
            raise BadRecord(f"{edge} does not lead from one step to another", f"/edges/{place}")
        first, then = edge
        if first != START and then != END and first not in before[then]:
            before[then].append(first)
    return before


def _durations(goal: _Goal, numbers: Sequence[str]) -> dict[str, tuple[int | float, int | float]]:
    durations = {}
    for number, span in goal.time_seconds.items():
        if number not in numbers or len(span) != 2:
            raise BadRecord("is no span of a step", f"/time_seconds/{number}")
        durations[f"s{number}"] = (span[0], span[1])
    return durations


def _edges(steps: Sequence[Mapping[str, Any]]) -> list[JsonValue]:
    """Return the edges of the steps, with those from START and to END."""
    edges: list[JsonValue] = []
    followed: set[str] = set()
    for step in steps:
        for other in step.get("depends_on") or [START]:
            edges.append([other.removeprefix("s"), step["id"][1:]])
            followed.add(other)
    edges += [[step["id"][1:], END] for step in steps if step["id"] not in followed]
    return edges
