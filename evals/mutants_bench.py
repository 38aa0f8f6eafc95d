"""What mutations work with: a copy of a document, its tools, and a source of chance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from flowbuilder.errors import InvalidValue
from flowbuilder.references import Reference, find, parse
from flowbuilder.schemapaths import Hit, lookup, type_names
from flowbuilder.tools import Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonSchema

T = TypeVar("T")
Step = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mutation:
    """One kind of defect and how it is made."""

    name: str
    codes: frozenset[str]
    make: Callable[[Bench], bool]
    """Changes the document on the bench; False where it has no place for the defect."""


def mutation(codes: str, make: Callable[[Bench], bool]) -> Mutation:
    """Return a mutation named as its function, found under any of some codes."""
    return Mutation(make.__name__.strip("_"), frozenset(codes.split()), make)


@dataclass(slots=True)
class Bench:
    """A document to be changed in place."""

    document: JsonObject
    registry: ToolRegistry
    random: Random

    @property
    def steps(self) -> list[Step]:
        """The steps."""
        listed: Any = self.document["steps"]
        return list(listed)

    def any(self, items: Sequence[T]) -> T | None:
        """Return one of some items, None when there are none."""
        return self.random.choice(items) if items else None

    def step(self, fits: Callable[[Step], bool] = lambda step: True) -> Step | None:
        """Return any step that fits."""
        return self.any([step for step in self.steps if fits(step)])

    def named(self, name: str | None) -> Step | None:
        """Return the step of an id."""
        return next((step for step in self.steps if step["id"] == name), None)

    def pair(self) -> tuple[Step, Step] | None:
        """Return any two steps, the earlier one first."""
        steps = self.steps
        if len(steps) < 2:
            return None
        first, second = sorted(self.random.sample(range(len(steps)), 2))
        return steps[first], steps[second]

    def tool(self, step: Step) -> Tool | None:
        """Return a step's tool."""
        return self.registry.get(step["tool"])

    def shapes(self, step: Step) -> dict[str, JsonSchema]:
        """Return the schemas of a tool's arguments by name; none where others are welcome."""
        tool = self.tool(step)
        properties = tool.input_schema.get("properties") if tool else None
        return dict(properties) if isinstance(properties, dict) else {}

    def required(self, step: Step) -> list[str]:
        """Return the arguments that a step needs and has."""
        tool = self.tool(step)
        needed = tool.input_schema.get("required", []) if tool else []
        return [name for name in needed if name in step.get("args", {})]

    def literals(self) -> list[tuple[Step, str, frozenset[str]]]:
        """Return the arguments that are literals of known types: step, name, types."""
        found = []
        for step in self.steps:
            shapes = self.shapes(step)
            for name, value in step.get("args", {}).items():
                kinds = self.kinds(step, name) if name in shapes else None
                if kinds and "${{" not in str(value):
                    found.append((step, name, kinds))
        return found

    def kinds(self, step: Step, name: str) -> frozenset[str] | None:
        """Return the types that an argument takes."""
        tool = self.tool(step)
        look = lookup(tool.input_schema, [name]) if tool else None
        return type_names(look.schema, look.root) if isinstance(look, Hit) else None

    def references(self) -> list[tuple[Step, str, Reference]]:
        """Return the arguments that are one reference to a step: step, name, reference."""
        found = []
        for step in self.steps:
            for name, value in step.get("args", {}).items():
                reference = exact(value)
                if reference is not None and reference.step is not None:
                    found.append((step, name, reference))
        return found

    def sources(self, before: Step, wanted: Callable[[frozenset[str]], bool]) -> list[str]:
        """Return references into steps before one whose types are wanted."""
        found = []
        for step in self.steps:
            if step is before:
                break
            found += [path for path, kinds in self._outputs(step) if wanted(kinds)]
        return found

    def _outputs(self, step: Step) -> Iterator[tuple[str, frozenset[str]]]:
        """Yield the references to a step's output and its fields, with their types."""
        tool = self.tool(step)
        if tool is None or "for_each" in step or step.get("on_error") == "continue":
            return
        schema = tool.output_schema
        paths: list[list[str | int]] = [[]]
        properties = schema.get("properties")
        if isinstance(properties, dict):
            paths += [[name] for name in properties if name.isidentifier()]
        for path in paths:
            look = lookup(schema, path)
            kinds = type_names(look.schema, look.root) if isinstance(look, Hit) else None
            if kinds is not None:
                yield written(step["id"], path), kinds

    def fresh(self, start: str = "stranger") -> str:
        """Return an id that no step has."""
        taken = {step["id"] for step in self.steps}
        number = next(n for n in range(len(taken) + 2) if f"{start}{n}" not in taken)
        return f"{start}{number}"

    def needs(self, step: Step) -> set[str]:
        """Return the ids that a step waits for."""
        found = set(step.get("depends_on", []))
        for part in (step.get("args"), step.get("for_each")):
            found |= {item.reference.step for item in find(part) if item.reference.step}
        return found

    def behind(self, name: str) -> set[str]:
        """Return the ids of all steps that a step waits for, directly or not."""
        known = {step["id"]: step for step in self.steps}
        found: set[str] = set()
        waiting = [name]
        while waiting:
            for other in self.needs(known[waiting.pop()]) - found:
                found.add(other)
                if other in known:
                    waiting.append(other)
        return found


def exact(value: object) -> Reference | None:
    """Return the reference that a value is, None if it is anything else."""
    try:
        return parse(value).exact if isinstance(value, str) else None
    except InvalidValue:
        return None


def written(step: str, path: Sequence[str | int] = ()) -> str:
    """Write a reference."""
    parts = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return f"${{{{ steps.{step}{parts} }}}}"
