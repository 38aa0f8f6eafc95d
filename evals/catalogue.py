"""Tools that are only described: what imported suites plan with.

A described tool has a name, schemas and effects, and nothing behind them. A planner sees it as any
other tool; a run of it fails and says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict, Field

from flowbuilder.flow import TOOL_PATTERN
from flowbuilder.tools import Effects, Fail, Tool, ToolRegistry
from flowbuilder.types import JsonSchema


class ToolSpec(BaseModel):
    """One described tool."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str = Field(pattern=TOOL_PATTERN, max_length=200)
    title: str | None = None
    """What the source calls it, when that is no name of a tool here."""
    summary: str = ""
    input_schema: dict[str, Any] = Field(default_factory=lambda: {"type": "object"})
    output_schema: dict[str, Any] = Field(default_factory=dict)
    """JSON Schema of the result; `{}` means anything."""
    effects: Effects = Effects.PURE

    @property
    def called(self) -> str:
        """The name that the source knows it by."""
        return self.name if self.title is None else self.title


def described_tools(specs: Iterable[ToolSpec]) -> ToolRegistry:
    """Return a registry of tools that can be planned with and not run.

    Raises:
        DefinitionError: A schema is not self-contained, or no JSON (tool_invalid).
        Conflict: Two different tools have one name (tool_exists).
    """
    return ToolRegistry(_tool(spec) for spec in specs)


def closed_object(properties: dict[str, JsonSchema], required: Iterable[str] = ()) -> JsonSchema:
    """Return the schema of an object with these members and no others."""
    needed = [name for name in dict.fromkeys(required) if name in properties]
    schema: JsonSchema = {"type": "object", "properties": properties}
    if needed:
        schema["required"] = needed
    return {**schema, "additionalProperties": False}


def _tool(spec: ToolSpec) -> Tool:
    return Tool(
        name=spec.name,
        summary=spec.summary or spec.called,
        handler=_only_described,
        input_schema=spec.input_schema,
        output_schema=spec.output_schema,
        effects=spec.effects,
    )


def _only_described(**_: Any) -> NoReturn:
    raise Fail("this tool is only described: there is nothing to run")
