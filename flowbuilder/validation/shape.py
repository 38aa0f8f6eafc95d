"""The shape of a document: keys, types and bounds.

Each step is read by itself, so that one broken step hides nothing about the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from flowbuilder.errors import Fix, Problem
from flowbuilder.flow import (
    FORMAT,
    ApprovalPolicy,
    Compensation,
    Flow,
    LimitPolicy,
    RetryPolicy,
    Step,
)
from flowbuilder.schemas import is_usable, schema_problems
from flowbuilder.strictjson import dumps, escape
from flowbuilder.types import JsonObject, JsonValue
from flowbuilder.validation.hints import Hints, shorten, shown

#: What was expected, by pydantic's name of the error.
_TYPE_ERRORS = {
    "model_type": "an object",
    "dict_type": "an object",
    "list_type": "a list",
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
}
#: What pydantic says, said shorter.
_WORDING = (
    ("Value error, ", ""),
    ("Input should be ", "it is "),
    ("String should have", "it has"),
    ("List should have", "it has"),
    (" after validation", ""),
)
#: Bytes of a schema that is remembered.
_LARGEST_KEPT = 20_000
#: More keys than any step has: its unknown keys are not listed one by one.
_MOST_KEYS = 50
_PATTERNS = {
    "id": ("bad_step_id", "an id has letters, digits and _, starts with no digit, at most 63"),
    "flow": ("bad_slug", "a slug has letters, digits, _ and -, at most 80"),
    "tool": ("bad_tool_name", "a tool's name is like http.get or http.get@1"),
    "depends_on": ("bad_step_id", "depends_on lists ids of steps"),
}


@dataclass(slots=True)
class Shape:
    """What could be read of a document, and of its steps as they are added."""

    document: JsonObject = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    steps: list[Step | None] | None = None
    """The steps in order, None in the place of one whose shape is wrong; None before the first."""
    raw: Sequence[JsonValue] = ()
    """The steps as they stand, for `add`; none when they are not to be looked at."""
    input_usable: bool = True
    """Whether the input schema is one; nothing is judged by a broken one."""
    hints: Hints = field(default_factory=Hints)
    _first: dict[str, int] = field(default_factory=dict)
    """Where each id stands first."""

    @property
    def input(self) -> dict[str, Any]:
        """The input schema, `{}` (anything) when there is no usable one."""
        given = self.document.get("input", {"type": "object"})
        return given if isinstance(given, dict) and self.input_usable else {}

    @property
    def declares_input(self) -> bool:
        """Whether the document says anything of the input: more than that it is an object."""
        return not self.input_usable or bool({**self.input, "type": None}.keys() - {"type"})

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
        return Flow.model_validate({**self.document, "steps": self.steps})

    def add(self, raw: JsonValue) -> tuple[str | None, Step | None, list[Problem]]:
        """Read one step more: its id as it stands, the step if it is one, and what is wrong."""
        if self.steps is None:
            self.steps = []
        position = len(self.steps)
        pointer = f"/steps/{position}"
        step, problems = _read(Step, raw, pointer, self.hints)
        self.steps.append(step)
        identity = raw.get("id") if isinstance(raw, dict) else None
        if not isinstance(identity, str):
            return None, step, problems
        if identity in self._first:
            problems.append(_duplicate(identity, pointer, self._first[identity]))
        self._first.setdefault(identity, position)
        return identity, step, problems


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
    shape.problems += _head_problems(document, shape.hints)
    if "input" in document:
        unusable = _input_problems(document["input"])
        shape.input_usable = not unusable
        shape.problems += unusable
    listed = document.get("steps", [])
    if not isinstance(listed, list):
        shape.problems.append(_wrong_type("/steps", "steps", "a list", listed))
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
        shape.raw = listed
    return shape


def _input_problems(schema: JsonValue) -> list[Problem]:
    """Return what is wrong with an input schema; that nothing is, is remembered by its content."""
    if isinstance(schema, dict) and len(dumps(schema)) <= _LARGEST_KEPT and is_usable(schema):
        return []
    return schema_problems(schema, "/input")


def _head_problems(document: JsonObject, hints: Hints) -> list[Problem]:
    head = {key: value for key, value in document.items() if key not in ("steps", "input")}
    return _read(Flow, {**head, "steps": []}, "", hints)[1]


def _duplicate(identity: str, pointer: str, first: int) -> Problem:
    return Problem(
        code="duplicate_step_id",
        pointer=f"{pointer}/id",
        message=f"there is a step {identity!r} already, at /steps/{first}",
        hint="Ids are unique in a flow: give this one another.",
        fix=Fix.MODEL,
    )


_M = TypeVar("_M", bound=BaseModel)


def _read(
    model: type[_M], raw: object, pointer: str, hints: Hints
) -> tuple[_M | None, list[Problem]]:
    if isinstance(raw, dict) and len(raw) > _MOST_KEYS:
        message = f"{len(raw)} keys; no part of a flow has so many"
        return None, [_made("unknown_key", pointer, message)]
    try:
        return model.model_validate(raw), []
    except ValidationError as error:
        found: dict[tuple[str, str], Problem] = {}
        for item in error.errors(include_url=False, include_context=False):
            problem = _problem(model, dict(item), pointer, hints)
            found.setdefault((problem.code, problem.pointer), problem)
        return None, list(found.values())


def _problem(model: type[BaseModel], error: dict[str, Any], pointer: str, hints: Hints) -> Problem:
    parts = _keys(error["loc"])
    where = pointer + "".join(f"/{escape(str(part))}" for part in parts)
    name = str(parts[-1]) if parts else ""
    kind, given = str(error["type"]), error["input"]
    if kind == "missing":
        return _made("missing_key", pointer + _parent(parts), f"the key {name!r} is missing")
    if kind == "extra_forbidden":
        known = list(_owner(model, parts).model_fields)
        hint = hints.meant(name, known, "The keys are")
        return _made("unknown_key", where, f"there is no key {shorten(name)!r} here", hint)
    if kind == "string_pattern_mismatch":
        owner = next((str(part) for part in reversed(parts) if isinstance(part, str)), name)
        code, rule = _PATTERNS.get(owner, ("bad_value", str(error["msg"])))
        return _made(code, where, f"{shown(given)} does not do: {rule}")
    if name == "format" and kind == "literal_error":
        return _made("bad_value", where, f"only {FORMAT!r} is known, not {shown(given)}")
    if name == "for_each" and kind in _TYPE_ERRORS:
        wanted = "a list, or a reference to an array such as ${{ steps.fetch.items }}"
        return _wrong_type(where, name, wanted, given)
    if kind in _TYPE_ERRORS:
        return _wrong_type(where, _label(parts), _TYPE_ERRORS[kind], given)
    message = str(error["msg"])
    for wordy, short in _WORDING:
        message = message.replace(wordy, short)
    instead = "" if kind == "value_error" else f", not {shown(given)}"
    return _made("bad_value", where, f"{_label(parts)}: {message}{instead}")


def _keys(location: Sequence[str | int]) -> list[str | int]:
    """Return a location without pydantic's names for the members of the union `for_each`."""
    if len(location) > 1 and location[-2] == "for_each":
        return list(location[:-1])
    return list(location)


def _owner(model: type[BaseModel], parts: Sequence[str | int]) -> type[BaseModel]:
    """Return the model that an unknown key stands in."""
    nested: dict[str | int, type[BaseModel]] = {
        "retry": RetryPolicy,
        "approval": ApprovalPolicy,
        "compensate": Compensation,
        "limit": LimitPolicy,
    }
    return nested.get(parts[-2], model) if len(parts) > 1 else model


def _label(parts: Sequence[str | int]) -> str:
    names = [str(part) for part in parts if isinstance(part, str)]
    label = ".".join(names) or "a step"
    return f"an element of {label}" if parts and isinstance(parts[-1], int) else label


def _parent(parts: Sequence[object]) -> str:
    return "".join(f"/{escape(str(part))}" for part in parts[:-1])


def _wrong_type(pointer: str, label: str, wanted: str, value: JsonValue) -> Problem:
    return _made("wrong_type", pointer, f"{label} is {wanted}, not {shown(value)}")


def _made(code: str, pointer: str, message: str, hint: str | None = None) -> Problem:
    return Problem(code=code, pointer=pointer, message=message, hint=hint, fix=Fix.MODEL)
