"""What a simulated world is made of: specifications of tools, from any catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flowbuilder.errors import DefinitionError, Problem
from flowbuilder.flow import TOOL_PATTERN
from flowbuilder.schemas import schema_problems
from flowbuilder.strictjson import escape
from flowbuilder.tools import HARMLESS, Effects, Tool
from flowbuilder.types import JsonObject, JsonSchema, is_number

_NAME = re.compile(TOOL_PATTERN)
_KEYS = frozenset(
    {"name", "summary", "description", "input_schema", "output_schema", "effects",
     "untrusted_output", "seconds", "seconds_from"}
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolSpec:
    """One tool of a catalogue: what it takes, what it gives, what it does to the world."""

    name: str
    summary: str = ""
    input_schema: JsonSchema = field(default_factory=lambda: {"type": "object"})
    output_schema: JsonSchema = field(default_factory=dict)
    effects: Effects = Effects.READ
    untrusted_output: bool = False
    seconds: float = 0.0
    """How long a call takes by the world's clock."""
    seconds_from: str | None = None
    """The argument that says how long a call takes, besides."""

    @property
    def acts(self) -> bool:
        """Whether a call changes something."""
        return self.effects not in HARMLESS

    def takes(self, args: JsonObject) -> float:
        """Return how many seconds a call with these arguments takes."""
        more = args.get(self.seconds_from) if self.seconds_from else 0
        return self.seconds + (max(0.0, float(more)) if is_number(more) else 0.0)

    @classmethod
    def of(cls, tool: Tool, *, seconds: float = 0.0) -> ToolSpec:
        """Return the specification of a real tool, so that a world can stand in for it."""
        return cls(
            name=tool.name,
            summary=tool.summary,
            input_schema=tool.input_schema,
            output_schema=tool.output_schema,
            effects=tool.effects,
            untrusted_output=tool.untrusted_output,
            seconds=seconds,
        )


def read_catalogue(documents: Iterable[Any]) -> dict[str, ToolSpec]:
    """Return the tools of a catalogue by name, in its order.

    Args:
        documents: Objects `{name, summary | description, input_schema, output_schema, effects,
            untrusted_output, seconds, seconds_from}`; all but the name may be missing.

    Raises:
        DefinitionError: With every problem (catalogue_invalid).
    """
    specs: dict[str, ToolSpec] = {}
    problems: list[Problem] = []
    for index, document in enumerate(documents):
        found = _problems(document, f"/{index}")
        if not found and document["name"] in specs:
            found = [_wrong(f"/{index}/name", f"there is another tool {document['name']!r}")]
        problems += found
        if not found:
            specs[document["name"]] = _spec(document)
    if problems:
        raise DefinitionError(
            f"the catalogue has {len(problems)} problem{'s' if len(problems) > 1 else ''}; "
            f"first: {problems[0].message}",
            problems=problems,
            code="catalogue_invalid",
        )
    return specs


def _spec(document: Mapping[str, Any]) -> ToolSpec:
    return ToolSpec(
        name=document["name"],
        summary=document.get("summary", document.get("description", "")),
        input_schema=document.get("input_schema", {"type": "object"}),
        output_schema=document.get("output_schema", {}),
        effects=Effects(document.get("effects", Effects.READ)),
        untrusted_output=document.get("untrusted_output", False),
        seconds=float(document.get("seconds", 0)),
        seconds_from=document.get("seconds_from"),
    )


def _problems(document: Any, at: str) -> list[Problem]:
    if not isinstance(document, Mapping):
        return [_wrong(at, "a tool is an object")]
    problems = [
        _wrong(f"{at}/{escape(str(key))}", "there is no such key")
        for key in document
        if key not in _KEYS
    ]
    name = document.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or "@" in name:
        problems.append(_wrong(f"{at}/name", f"{str(name)[:80]!r} is no name of a tool"))
    for key in ("summary", "description", "seconds_from"):
        if not isinstance(document.get(key, ""), str):
            problems.append(_wrong(f"{at}/{key}", "is no text"))
    for key in ("input_schema", "output_schema"):
        problems += schema_problems(document.get(key, {}), f"{at}/{key}")
    if document.get("effects", "read") not in list(Effects):
        known = ", ".join(Effects)
        problems.append(_wrong(f"{at}/effects", f"unknown effects; known are {known}"))
    if not isinstance(document.get("untrusted_output", False), bool):
        problems.append(_wrong(f"{at}/untrusted_output", "is neither true nor false"))
    seconds = document.get("seconds", 0)
    if not is_number(seconds) or not seconds >= 0:
        problems.append(_wrong(f"{at}/seconds", "is no number of seconds"))
    return problems


def _wrong(pointer: str, message: str) -> Problem:
    return Problem(code="catalogue_invalid", pointer=pointer, message=message)
