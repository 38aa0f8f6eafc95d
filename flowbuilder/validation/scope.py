"""What references can see: the schemas of the input, of each step's output, and of items."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowbuilder.errors import Fix, InvalidValue, Problem, Severity
from flowbuilder.flow import OnError, Step
from flowbuilder.references import Reference, parse
from flowbuilder.schemas import UNKNOWN, Hit, Look, Missing
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonSchema
from flowbuilder.validation.facts import (
    Source,
    ToolFacts,
    elements_of,
    facts_of,
    output_of,
    source_of,
)
from flowbuilder.validation.hints import Hints, shorten
from flowbuilder.validation.reading import Path
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
_ANYTHING = Source(UNKNOWN)
_RUN_HIT = Hit(_RUN, _RUN)
_INDEX = Source(Hit({"type": "integer"}, {}), key="index")


@dataclass(slots=True)
class DataScope:
    """Looks references up in schemas. Steps whose shape or tool is unknown answer to anything.

    Steps are put in as they arrive: of several with one id the first counts.
    """

    shape: Shape
    registry: ToolRegistry
    ids: list[str] = field(default_factory=list)
    _steps: dict[str, Step | None] = field(default_factory=dict)
    _tools: dict[str, ToolFacts | None] = field(default_factory=dict)
    _outputs: dict[str, Source] = field(default_factory=dict)
    """By how references into the outputs are written: it says the step and the path."""
    _sources: dict[tuple[str, Path], Source] = field(default_factory=dict)
    _items: dict[tuple[str, Path], Source] = field(default_factory=dict)

    def put(self, name: str | None, step: Step | None) -> None:
        """Take in a step; None for one whose shape is wrong."""
        if name is not None:
            self.ids.append(name)
            self._steps.setdefault(name, step)

    def __contains__(self, name: str) -> bool:
        return name in self._steps

    def step(self, name: str) -> Step | None:
        """Return the step of this id, if there is one and its shape is right."""
        return self._steps.get(name)

    def facts(self, tool: str) -> ToolFacts | None:
        """Return what is known of a tool by its name in a step; None if there is no such tool."""
        if tool not in self._tools:
            known = self.registry.get(tool)
            self._tools[tool] = facts_of(known) if known is not None else None
        return self._tools[tool]

    def look(self, reference: Reference, step: Step | None) -> Look:
        """Return the schema of what a reference leads to; `step` is whose argument it is."""
        return self.source(reference, step).look

    def output(self, reference: Reference) -> Source | None:
        """Return what a reference to a step's output leads to; None for any other."""
        known = self._outputs.get(reference.raw)
        if known is None and reference.step in self._steps:
            return self._output(reference)
        return known

    def source(self, reference: Reference, step: Step | None) -> Source:
        """Return what a reference leads to; `step` is whose argument it is."""
        if reference.step is not None:
            known = self._outputs.get(reference.raw)
            return known if known is not None else self._output(reference)
        if reference.root == "index":
            return _INDEX
        if reference.root == "item":
            return self._item(reference.path, step.for_each if step is not None else None)
        place = (reference.root, reference.path)
        if place not in self._sources:
            start = _RUN_HIT if reference.root == "run" else Hit(self.shape.input, self.shape.input)
            self._sources[place] = source_of(start, reference.path)
        return self._sources[place]

    def _output(self, reference: Reference) -> Source:
        assert reference.step is not None
        path, step = reference.path, self._steps.get(reference.step)
        facts = self.facts(step.tool) if step is not None else None
        if step is None or facts is None:
            return _ANYTHING
        mapped, forgiven = step.for_each is not None, step.on_error is OnError.CONTINUE
        asked = facts.asked_for(step.args)
        if asked is None:
            found = facts.source(path, mapped=mapped, forgiven=forgiven)
        else:
            found = source_of(output_of(asked, mapped=mapped, forgiven=forgiven), path)
        self._outputs[reference.raw] = found
        return found

    def _item(self, path: Path, elements: object) -> Source:
        """Return what a path leads to in an element of what `for_each` refers to."""
        if not isinstance(elements, str):
            return _ANYTHING
        known = self._items.get((elements, path))
        if known is None:
            known = self._item_of(elements, path)
            if known is not _ANYTHING:  # it may be known later
                self._items[elements, path] = known
        return known

    def _item_of(self, elements: str, path: Path) -> Source:
        array = _reference_to(elements)
        if array is None or array.root in ("item", "index"):
            return _ANYTHING
        if array.step is None:
            return source_of(elements_of(self.look(array, None)), path)
        step = self._steps.get(array.step)
        facts = self.facts(step.tool) if step is not None else None
        if step is None or facts is None:
            return _ANYTHING
        if facts.asked_for(step.args) is not None:
            return source_of(elements_of(self.look(array, None)), path)
        forgiven = step.on_error is OnError.CONTINUE
        return facts.item(array.path, path, mapped=step.for_each is not None, forgiven=forgiven)

    def leads(self, reference: Reference, step: Step | None) -> bool:
        """Whether nothing is wrong with a reference."""
        if reference.step is not None:
            if reference.step not in self._steps:
                return False
        elif reference.root in ("item", "index"):
            if step is None or step.for_each is None:
                return False
        elif reference.root == "input" and reference.path and not self.shape.declares_input:
            return False
        return not isinstance(self.source(reference, step).look, Missing)

    def reference_problem(
        self, reference: Reference, pointer: str, step: Step | None
    ) -> Problem | None:
        """Return why a reference cannot be right, None when it can."""
        if reference.step is not None:
            if reference.step not in self._steps:
                return self.unknown_step(reference.step, pointer)
        elif reference.root in ("item", "index") and (step is None or step.for_each is None):
            return Problem(
                code="item_outside_map",
                pointer=pointer,
                message=f"{reference}: only a step with for_each has {reference.root}",
                fix=Fix.MODEL,
            )
        look = self.look(reference, step)
        if isinstance(look, Missing):
            return _missing(reference, look, pointer, self.shape.hints)
        if reference.root == "input" and reference.path and not self.shape.declares_input:
            return _undeclared(reference, pointer)
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


def _undeclared(reference: Reference, pointer: str) -> Problem:
    name = str(reference.path[0])
    return Problem(
        code="undeclared_input",
        pointer=pointer,
        message=f"{reference}: the flow declares no input, so nobody is asked for {name!r}",
        hint=f'Declare it: "input": {{"type": "object", "properties": {{"{name}": {{}}}}, '
        f'"required": ["{name}"]}}.',
        severity=Severity.WARNING,
        fix=Fix.MODEL,
    )


def _reference_to(elements: str) -> Reference | None:
    """Return the one reference that a for_each is, if it is one."""
    try:
        return parse(elements).exact
    except InvalidValue:
        return None


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
