"""Tools that are only described: what imported suites plan with and simulated worlds are made of.

A described tool has a name, schemas and effects, and nothing behind them. A planner sees it as any
other tool; a run of it fails and says so, but in a simulated world (`flowbuilder.evals.world`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict, Field

from flowbuilder.flow import TOOL_PATTERN
from flowbuilder.tools import HARMLESS, Effects, Fail, Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonSchema, is_number


class ToolSpec(BaseModel):
    """One described tool."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str = Field(pattern=TOOL_PATTERN, max_length=198)
    title: str | None = None
    """What the source calls it, when that is no name of a tool here."""
    summary: str = ""
    input_schema: dict[str, Any] = Field(default_factory=lambda: {"type": "object"})
    output_schema: dict[str, Any] = Field(default_factory=dict)
    """JSON Schema of the result; `{}` means anything."""
    effects: Effects = Effects.PURE
    untrusted_output: bool = False
    """Whether outsiders write what it gives."""
    seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """How long a call takes by the clock of a simulated world."""
    seconds_from: str | None = None
    """The argument that says how long a call takes, besides."""

    @property
    def called(self) -> str:
        """The name that the source knows it by."""
        return self.name if self.title is None else self.title

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


def described_tools(specs: Iterable[ToolSpec]) -> ToolRegistry:
    """Return a registry of tools that can be planned with and not run.

    Raises:
        DefinitionError: A schema is not self-contained, or no JSON (tool_invalid).
        Conflict: Two different tools have one name (tool_exists).
    """
    return ToolRegistry(tool_of(spec, _only_described) for spec in specs)


def closed_object(properties: dict[str, JsonSchema], required: Iterable[str] = ()) -> JsonSchema:
    """Return the schema of an object with these members and no others."""
    needed = [name for name in dict.fromkeys(required) if name in properties]
    schema: JsonSchema = {"type": "object", "properties": properties}
    if needed:
        schema["required"] = needed
    return {**schema, "additionalProperties": False}


def tool_of(spec: ToolSpec, handler: Callable[..., Any], **more: Any) -> Tool:
    """Return a described tool with something behind it; `more` as `Tool` takes it."""
    return Tool(
        name=spec.name,
        summary=spec.summary or spec.called,
        handler=handler,
        input_schema=spec.input_schema,
        output_schema=spec.output_schema,
        effects=spec.effects,
        untrusted_output=spec.untrusted_output,
        **more,
    )


def _only_described(**_: Any) -> NoReturn:
    raise Fail("this tool is only described: there is nothing to run")
