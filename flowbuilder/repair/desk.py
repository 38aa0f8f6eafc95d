"""What menders work on, and what they propose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flowbuilder.errors import Problem
from flowbuilder.repair.edits import Path, Way, path_of, steps_of, value_at
from flowbuilder.tools import Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue


@dataclass(frozen=True, slots=True)
class Mending:
    """A problem and the ways to mend it, the likeliest first."""

    code: str
    ways: tuple[Way, ...]


@dataclass(kw_only=True)
class Desk:
    """A document, what is wrong with it, and the tools."""

    document: JsonValue
    errors: list[Problem]
    registry: ToolRegistry

    def of(self, *codes: str) -> Iterator[tuple[Problem, Path, Any]]:
        """Yield the errors of some codes, with the path and what stands there."""
        for problem in self.errors:
            if problem.code in codes:
                path = path_of(problem.pointer, self.document)
                yield problem, path, value_at(self.document, path)

    @cached_property
    def steps(self) -> list[tuple[int, JsonObject]]:
        """The steps that are objects, with their positions."""
        return steps_of(self.document)

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each id stands first."""
        found: dict[str, int] = {}
        for place, step in self.steps:
            name = step.get("id")
            if isinstance(name, str):
                found.setdefault(name, place)
        return found

    def step_at(self, path: Path) -> JsonObject:
        """Return the step that a path leads into, an empty one if it leads into none."""
        step = value_at(self.document, path[:2]) if path[:1] == ("steps",) else None
        return step if isinstance(step, dict) else {}

    def tool_at(self, path: Path) -> Tool | None:
        """Return the tool that a path's arguments are for: the step's, or its compensation's."""
        step = self.step_at(path)
        owner = step.get("compensate") if path[2:3] == ("compensate",) else step
        name = owner.get("tool") if isinstance(owner, dict) else None
        return self.registry.get(name) if isinstance(name, str) else None

    def tool_of(self, name: str) -> Tool | None:
        """Return the tool of the step with this id."""
        place = self.places.get(name)
        return self.tool_at(("steps", place)) if place is not None else None


def argument_path(path: Path) -> Path:
    """Return the part of a path that is inside the arguments."""
    return path[path.index("args") + 1 :] if "args" in path else ()
