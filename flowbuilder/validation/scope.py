"""What references can see: the schemas of the input, of each step's output, and of items."""

from __future__ import annotations

from collections.abc import Callable, KeysView
from dataclasses import dataclass, field
from typing import Any

from jsonschema.protocols import Validator

from flowbuilder.errors import Fix, InvalidValue, Problem
from flowbuilder.flow import OnError, Step
from flowbuilder.graph import Ancestry
from flowbuilder.references import Found, Reference, find
from flowbuilder.schemas import (
    UNKNOWN,
    Hit,
    Look,
    Missing,
    element,
    is_usable,
    lookup,
    quick_check,
    validator,
)
from flowbuilder.tools import Tool, ToolRegistry
from flowbuilder.types import JsonSchema, JsonValue
from flowbuilder.validation.hints import Hints, shorten
from flowbuilder.validation.shape import Shape

_RUN: JsonSchema = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "flow": {"type": "string"},
        "version": {"type": ["integer", "null"]},
        "started_at": {"type": ["string", "null"]},
    },
    "additionalProperties": False,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ArgumentJudge:
    """What is known of a tool's input schema, found once for all steps that use the tool."""

    fit: Callable[[JsonValue], bool]
    """True: they fit. False: the validator has the last word."""
    validator: Validator


@dataclass(slots=True)
class DataScope:
    """Looks references up in schemas. Steps whose shape or tool is unknown answer to anything."""

    shape: Shape
    registry: ToolRegistry
    ids: list[str] = field(init=False)
    _steps: dict[str, Step | None] = field(init=False)
    _outputs: dict[str, Look] = field(init=False, default_factory=dict)
    _arguments: dict[str, ArgumentJudge | None] = field(init=False, default_factory=dict)
    _ancestry: Ancestry | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.ids = [name for name in self.shape.raw_ids if name is not None]
        self._steps = {}
        for name, step in zip(self.shape.raw_ids, self.shape.steps or (), strict=False):
            if name is not None:
                self._steps.setdefault(name, step)

    def add(self, step: Step) -> None:
        """Take in a step that has come to the end of the document."""
        self.ids.append(step.id)
        self._steps[step.id] = step
        if self._ancestry is not None:
            self._ancestry.add(step.id, self.shape.needs(len(self.shape.raw_ids) - 1, step))

    @property
    def names(self) -> KeysView[str]:
        """The ids of all steps."""
        return self._steps.keys()

    def step(self, name: str) -> Step | None:
        """Return the step of this id, if there is one and its shape is right."""
        return self._steps.get(name)

    def tool(self, step: Step) -> Tool | None:
        """Return the tool of a step if it is known."""
        return self.registry.get(step.tool)

    def arguments(self, tool: Tool) -> ArgumentJudge | None:
        """Return what judges a tool's arguments; None where its schema is of no use."""
        if tool.ref not in self._arguments:
            schema = tool.input_schema
            self._arguments[tool.ref] = (
                ArgumentJudge(fit=quick_check(schema), validator=validator(schema))
                if is_usable(schema)
                else None
            )
        return self._arguments[tool.ref]

    def stands_before(self, name: str, position: int, step: Step) -> bool:
        """Whether a step depends, directly or not, on the one called `name`."""
        if name in self.shape.needs(position, step):
            return True
        if self._ancestry is None:
            graph: dict[str, set[str]] = {}
            for place, other in self.shape.known_steps():
                graph.setdefault(other.id, self.shape.needs(place, other))
            self._ancestry = Ancestry(graph)
        return self._ancestry.stands_before(name, step.id)

    def output(self, name: str) -> Look:
        """Return the schema of a step's output: of a mapped step, an array."""
        if name not in self._outputs:
            self._outputs[name] = self._find_output(name)
        return self._outputs[name]

    def look(self, reference: Reference, step: Step | None) -> Look:
        """Return the schema of what a reference leads to; `step` is whose argument it is."""
        if reference.root == "steps":
            start = self.output(reference.step or "")
        elif reference.root == "input":
            start = Hit(self.shape.input, self.shape.input)
        elif reference.root == "run":
            start = Hit(_RUN, _RUN)
        elif reference.root == "index":
            start = Hit({"type": "integer"}, {})
        else:
            start = self._item(step)
        if not isinstance(start, Hit):
            return start
        return lookup(start.schema, reference.path, start.root)

    def reference_problem(self, found: Found, step: Step | None) -> Problem | None:
        """Return why a reference cannot be right, None when it can."""
        reference = found.reference
        if reference.root in ("item", "index") and (step is None or step.for_each is None):
            return Problem(
                code="item_outside_map",
                pointer=found.pointer,
                message=f"{reference}: only a step with for_each has {reference.root}",
                fix=Fix.MODEL,
            )
        if reference.step is not None and reference.step not in self._steps:
            return self.unknown_step(reference.step, found.pointer)
        look = self.look(reference, step)
        if isinstance(look, Missing):
            return _missing(reference, look, found.pointer, self.shape.hints)
        return None

    def unknown_step(self, name: str, pointer: str) -> Problem:
        """Return the problem of a reference to a step that does not exist."""
        return Problem(
            code="unknown_step_reference",
            pointer=pointer,
            message=f"there is no step {shorten(name)!r}",
            hint=self.shape.hints.meant(name, self.ids),
            fix=Fix.MODEL,
        )

    def _find_output(self, name: str) -> Look:
        step = self._steps.get(name)
        tool = self.tool(step) if step is not None else None
        if step is None or tool is None:
            return UNKNOWN
        schema: dict[str, Any] = tool.output_schema
        if not schema or not is_usable(schema):
            return UNKNOWN if step.for_each is None else _array_of({}, {})
        if step.for_each is not None:
            return _array_of(schema, schema)
        if step.on_error is OnError.CONTINUE:
            return Hit({"anyOf": [schema, {"type": "null"}]}, schema)
        return Hit(schema, schema)

    def _item(self, step: Step | None) -> Look:
        if step is None or not isinstance(step.for_each, str):
            return UNKNOWN
        try:
            exact = [item.reference for item in find(step.for_each) if item.exact]
        except InvalidValue:
            return UNKNOWN
        if not exact or exact[0].root in ("item", "index"):
            return UNKNOWN
        source = self.look(exact[0], None)
        found = element(source.schema, source.root) if isinstance(source, Hit) else UNKNOWN
        return found if isinstance(found, Hit) else UNKNOWN  # for_each is reported by itself


def _array_of(schema: JsonSchema, root: JsonSchema) -> Look:
    return Hit({"type": "array", "items": schema}, root)


def _missing(reference: Reference, look: Missing, pointer: str, hints: Hints) -> Problem:
    name = reference.path[look.at] if look.at < len(reference.path) else ""
    codes = {
        "input": "unknown_input_field",
        "item": "unknown_item_field",
        "run": "unknown_run_field",
    }
    hint = hints.meant(str(name), look.known)
    if look.kind == "an array" and isinstance(name, str):
        hint = "It is an array: take one element, as in [0], or use for_each to go over all."
    what = f"there is no {name!r}" if look.known else f"{name!r} of {look.kind} does not exist"
    return Problem(
        code=codes.get(reference.root, "unknown_output_field"),
        pointer=pointer,
        message=f"{reference}: {what}",
        hint=hint,
        fix=Fix.MODEL,
    )
