"""The shape of a document: keys, types and bounds, each step by itself, so that one broken step
hides nothing about the others.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from flowbuilder.errors import Fix, Problem
from flowbuilder.flow import FORMAT, Flow, Step
from flowbuilder.schemas import schema_problems
from flowbuilder.strictjson import escape
from flowbuilder.types import JsonObject, JsonValue

_TYPE_ERRORS = frozenset(
    {"model_type", "list_type", "dict_type", "string_type", "int_type", "bool_type", "float_type"}
)
_PATTERNS = {
    "id": ("bad_step_id", "an id has letters, digits and _, starts with no digit, at most 63"),
    "flow": ("bad_slug", "a slug has letters, digits, _ and -, at most 80"),
    "tool": ("bad_tool_name", "a tool's name is like http.get or http.get@1"),
    "depends_on": ("bad_step_id", "depends_on lists ids of steps"),
}


@dataclass(slots=True)
class Shape:
    """What could be read of a document. `steps` is None when there are none to look at."""

    document: JsonObject = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    steps: list[Step | None] | None = None
    """The steps in order, None in the place of one whose shape is wrong."""
    raw_ids: list[str | None] = field(default_factory=list)
    """The ids as they stand, also of steps whose shape is wrong."""

    @property
    def input(self) -> dict[str, Any]:
        """The input schema, `{}` (anything) when there is no usable one."""
        given = self.document.get("input", {"type": "object"})
        return given if isinstance(given, dict) else {}

    @property
    def output(self) -> JsonValue:
        """The output expression."""
        return self.document.get("output")

    def known_steps(self) -> Iterator[tuple[int, Step]]:
        """Yield `(position, step)` for the steps whose shape is right."""
        for position, step in enumerate(self.steps or ()):
            if step is not None:
                yield position, step

    def flow(self) -> Flow:
        """Return the flow; only for a document without errors."""
        return Flow.model_validate(self.document)


def read_shape(document: JsonValue, *, max_steps: int) -> Shape:
    """Read as much of a checked JSON value as has the right shape."""
    if not isinstance(document, dict):
        problem = Problem(
            code="document_not_object",
            pointer="",
            message="a flow document is an object with the keys flow and steps",
            fix=Fix.MODEL,
        )
        return Shape(problems=[problem])
    shape = Shape(document=document)
    shape.problems += _head_problems(document)
    listed = document.get("steps", [])
    if not isinstance(listed, list):
        shape.problems.append(_wrong_type("/steps", "steps is a list", listed))
    elif not listed:
        shape.problems.append(
            Problem(
                code="no_steps",
                pointer="/steps",
                message="a flow has at least one step",
                fix=Fix.MODEL,
            )
        )
    elif len(listed) > max_steps:
        shape.problems.append(
            Problem(
                code="too_many_steps",
                pointer="/steps",
                message=f"{len(listed)} steps; at most {max_steps} are allowed",
                hint="Use for_each for many alike, or flow.run for parts of the work.",
                fix=Fix.MODEL,
            )
        )
    else:
        _read_steps(shape, listed)
    return shape


def _head_problems(document: JsonObject) -> list[Problem]:
    head = {key: value for key, value in document.items() if key != "steps"}
    problems = _problems_of(Flow, {**head, "steps": []}, "")
    if "input" in document:
        problems = [item for item in problems if not item.pointer.startswith("/input")]
        problems += schema_problems(document["input"], "/input")
    return problems


def _read_steps(shape: Shape, listed: Sequence[JsonValue]) -> None:
    shape.steps = []
    first: dict[str, int] = {}
    for position, raw in enumerate(listed):
        pointer = f"/steps/{position}"
        identity = raw.get("id") if isinstance(raw, dict) else None
        shape.raw_ids.append(identity if isinstance(identity, str) else None)
        found = _problems_of(Step, raw, pointer)
        shape.problems += found
        shape.steps.append(None if found else Step.model_validate(raw))
        if isinstance(identity, str):
            if identity in first:
                shape.problems.append(_duplicate(identity, pointer, first[identity]))
            first.setdefault(identity, position)


def _duplicate(identity: str, pointer: str, first: int) -> Problem:
    return Problem(
        code="duplicate_step_id",
        pointer=f"{pointer}/id",
        message=f"there is a step {identity!r} already, at /steps/{first}",
        hint="Ids are unique in a flow: give this one another.",
        fix=Fix.MODEL,
    )


def _problems_of(model: type[BaseModel], raw: object, pointer: str) -> list[Problem]:
    try:
        model.model_validate(raw)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        return [_problem(model, dict(item), pointer) for item in found]
    return []


def _problem(model: type[BaseModel], error: dict[str, Any], pointer: str) -> Problem:
    parts = [part for part in error["loc"] if not _is_branch(part)]
    where = pointer + "".join(f"/{escape(str(part))}" for part in parts)
    name = str(parts[-1]) if parts else ""
    kind = str(error["type"])
    if kind == "missing":
        return _made("missing_key", pointer + _parent(parts), f"the key {name!r} is missing")
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(name, list(model.model_fields), 1)
        hint = f"Did you mean {near[0]!r}?" if near else None
        return _made("unknown_key", where, f"there is no key {name!r} here", hint)
    if kind == "string_pattern_mismatch":
        owner = next((str(part) for part in reversed(parts) if isinstance(part, str)), name)
        code, rule = _PATTERNS.get(owner, ("bad_value", str(error["msg"])))
        return _made(code, where, f"{_shown(error['input'])} does not do: {rule}")
    if name == "format" and kind == "literal_error":
        return _made("bad_value", where, f"only {FORMAT!r} is known, not {_shown(error['input'])}")
    if kind in _TYPE_ERRORS:
        return _wrong_type(where, str(error["msg"]), error["input"])
    message = str(error["msg"]).removeprefix("Value error, ")
    return _made("bad_value", where, f"{message}, not {_shown(error['input'])}")


def _is_branch(part: object) -> bool:
    """Whether a segment is pydantic's name for a member of a union, not a key of the document."""
    return isinstance(part, str) and (part in {"str", "list[any]"} or part.startswith("function-"))


def _parent(parts: Sequence[object]) -> str:
    return "".join(f"/{escape(str(part))}" for part in parts[:-1])


def _wrong_type(pointer: str, message: str, value: object) -> Problem:
    return _made("wrong_type", pointer, f"{message}, not {_shown(value)}")


def _made(code: str, pointer: str, message: str, hint: str | None = None) -> Problem:
    return Problem(code=code, pointer=pointer, message=message, hint=hint, fix=Fix.MODEL)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
