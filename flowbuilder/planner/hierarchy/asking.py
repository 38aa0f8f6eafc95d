"""Questions of a child are asked of its parent: the answer is handed on as the child's input."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flowbuilder.flow import Flow, Step
from flowbuilder.plan import Question
from flowbuilder.schemapaths import Hit, lookup
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonSchema


@dataclass(frozen=True, kw_only=True, slots=True)
class Lifted:
    """What a child takes from its input because it is still to be asked."""

    part: str
    steps: Mapping[str, Step]
    """The child's steps with a reference in the place of each answer."""
    schemas: Mapping[str, JsonSchema]
    """By the name of the member."""
    questions: tuple[tuple[str, str, Question], ...]
    """The question's id, the member's name, and the question, whose pointer is still the old."""


def lifted(
    part: str,
    questions: Sequence[Question],
    steps: Sequence[Step],
    flow: Flow,
    registry: ToolRegistry,
    taken: Iterable[str] = (),
) -> Lifted | None:
    """Return the steps of a part with references in the place of answers.

    Pointers of the questions go into `flow`; `taken` are members that the input has already. None:
    one asks for something that has no place in a step's arguments.
    """
    changed = {step.id: step for step in steps}
    schemas: dict[str, JsonSchema] = {}
    moved: list[tuple[str, str, Question]] = []
    positions = {number: step.id for number, step in enumerate(flow.steps)}
    for question in questions:
        parts = [_plain(item) for item in question.pointer.split("/")[1:]]
        step_id = (
            positions.get(int(parts[1])) if parts[:1] == ["steps"] and _is_place(parts) else None
        )
        if step_id not in changed:
            continue
        step = changed[step_id]
        if len(parts) < 4 or parts[2] != "args":
            return None
        name = free_name(f"{step_id}_{parts[-1]}", {*taken, *schemas})
        args = _put(dict(step.args), parts[3:], f"${{{{ input.{name} }}}}")
        if args is None:
            return None
        changed[step_id] = step.model_copy(update={"args": args})
        schemas[name] = _schema(step.tool, parts[3:], registry)
        moved.append((question.id, name, replace(question, id=f"{part}.{question.id}")))
    return Lifted(part=part, steps=changed, schemas=schemas, questions=tuple(moved))


def free_name(wanted: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: the wanted one, or that with a number."""
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    return name


def _is_place(parts: Sequence[str]) -> bool:
    return len(parts) > 1 and parts[1].isdigit()


def _plain(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


def _put(args: dict[str, Any], path: Sequence[str], value: str) -> dict[str, Any] | None:
    """Return arguments with a value at a path of plain names; None where there is no such place."""
    if any(not part.isidentifier() for part in path):
        return None
    if len(path) == 1:
        return {**args, path[0]: value}
    inner = args.get(path[0], {})
    changed = _put(dict(inner), path[1:], value) if isinstance(inner, dict) else None
    return None if changed is None else {**args, path[0]: changed}


def _schema(tool_name: str, path: Sequence[str], registry: ToolRegistry) -> JsonSchema:
    tool = registry.get(tool_name)
    found = lookup(tool.input_schema, list(path)) if tool is not None else None
    if not isinstance(found, Hit):
        return {}
    definitions = found.root.get("$defs")
    shape = {key: value for key, value in found.schema.items() if key != "default"}
    return {**shape, "$defs": definitions} if definitions else shape
