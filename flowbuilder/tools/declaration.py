"""`@tool`: declare a typed Python function as a tool."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, overload

from flowbuilder.costs import CostHint
from flowbuilder.errors import DefinitionError
from flowbuilder.limits import Rate
from flowbuilder.tools.contract import Context, Effects, Handler, Tool
from flowbuilder.tools.schema import describe_function
from flowbuilder.tools.waits import Wait
from flowbuilder.types import JsonSchema, parse_duration


@overload
def tool(function: Handler, /) -> Tool: ...


@overload
def tool(
    name: str | None = None,
    *,
    effects: str | Effects = ...,
    untrusted_output: bool = ...,
    timeout: str | float | timedelta = ...,
    version: int = ...,
    process: bool = ...,
    transactional: bool = ...,
    concurrency: int | None = ...,
    rate: Rate | str | None = ...,
    needs_model: bool = ...,
    keywords: Sequence[str] = ...,
    examples: Sequence[str] = ...,
    estimate: CostHint | Mapping[str, Any] | None = ...,
    summary: str | None = ...,
    input_schema: JsonSchema | None = ...,
    output_schema: JsonSchema | None = ...,
    output_from: str | None = ...,
    needs_one_of: Sequence[Sequence[str]] = ...,
    untyped: bool = ...,
) -> Callable[[Handler], Tool]: ...


def tool(name: Any = None, **options: Any) -> Any:
    """Declare a function as a tool: `@tool`, `@tool("mail.send", effects="external")`.

    The name is the function's own unless one is given. Schemas come from the type hints: every
    parameter becomes an argument, except the one annotated `Context`. The first line of the
    docstring becomes the summary, an `Args:` section or `Annotated[..., Field(description=...)]`
    the descriptions. What is decorated stays callable as the plain function.

    Options: `effects` (`pure`, `read`, `write`, `external`, `irreversible`; pure unless declared),
    `untrusted_output`, `timeout` (`"30s"` or seconds), `version`, `process`, `transactional`,
    `concurrency` and `rate` (`"10/s"`: how many calls run at once and start in a span of time, over
    all workers), `needs_model`, `keywords` (a text may list several, with commas), `examples`;
    `estimate` (`{"seconds": (0.5, 1, 4), "tokens": 300, "usd": 0.01}`: what one call takes);
    `summary`, `input_schema` and `output_schema` replace what would be read from the function;
    `output_from` names the argument that is the JSON Schema of the result; `needs_one_of` lists
    groups of optional arguments of which one is needed: `[("on",), ("left_on", "right_on")]`;
    `untyped` lets parameters without a hint take anything.

    Raises:
        DefinitionError: The function cannot be a tool; the message says why.
    """
    names = sys._getframe(1).f_locals
    if callable(name):
        return _declare(name, None, names, **options)

    if name is not None and not isinstance(name, str):
        raise DefinitionError(f"{name!r:.80} is no tool name", code="tool_invalid")

    def decorate(function: Handler) -> Tool:
        return _declare(function, name, names, **options)

    return decorate


def _declare(
    function: Handler,
    name: str | None,
    local_names: Mapping[str, Any],
    *,
    effects: str | Effects = Effects.PURE,
    timeout: str | float | timedelta = "60s",
    summary: str | None = None,
    input_schema: JsonSchema | None = None,
    output_schema: JsonSchema | None = None,
    needs_one_of: Sequence[Sequence[str]] = (),
    untyped: bool = False,
    keywords: Sequence[str] = (),
    examples: Sequence[str] = (),
    estimate: CostHint | Mapping[str, Any] | None = None,
    **options: Any,
) -> Tool:
    called = name or _own_name(function)
    _refuse_uncallable(function, called)
    signature = describe_function(
        function,
        context_type=Context,
        wait_type=Wait,
        local_names={"Wait": Wait, **local_names},
        untyped=untyped,
    )
    declared = Tool(
        name=called,
        summary=summary or signature.summary,
        handler=function,
        input_schema=_with_groups(called, input_schema or signature.input_schema, needs_one_of),
        output_schema=signature.output_schema if output_schema is None else output_schema,
        effects=_effects(called, effects),
        timeout=_timeout(called, timeout),
        keywords=_phrases(_texts(called, "keywords", keywords)),
        examples=_texts(called, "examples", examples),
        estimate=CostHint.read(called, estimate),
        signature=signature,
        **options,
    )
    for attribute in ("__doc__", "__name__", "__qualname__", "__module__"):
        if hasattr(function, attribute):  # so that help(), doctest and tracebacks see a function
            object.__setattr__(declared, attribute, getattr(function, attribute))
    object.__setattr__(declared, "__wrapped__", function)
    return declared


def _with_groups(name: str, schema: JsonSchema, groups: Sequence[Sequence[str]]) -> JsonSchema:
    """Return the schema of arguments with the groups of which one is needed."""
    if not groups:
        return schema
    known = schema.get("properties", {})
    unknown = [item for group in groups for item in group if item not in known]
    if unknown:
        raise DefinitionError(f"{name}: there is no argument {unknown[0]!r}", code="tool_invalid")
    return {**schema, "anyOf": [{"required": [*group]} for group in groups]}


def _own_name(function: Handler) -> str:
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        raise DefinitionError(
            "a lambda or a callable object needs a name",
            code="tool_invalid",
            hint='Write tool("my_name")(function).',
        )
    return name


def _refuse_uncallable(function: Any, name: str) -> None:
    if isinstance(function, Tool):
        raise DefinitionError(f"{name}: it is a tool already", code="tool_invalid")
    if isinstance(function, classmethod | staticmethod | property) or inspect.isclass(function):
        raise DefinitionError(
            f"{name}: a tool is a function or a bound method, not a {type(function).__name__}",
            code="tool_invalid",
        )
    if not callable(function):
        raise DefinitionError(f"{name}: {function!r} cannot be called", code="tool_invalid")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise DefinitionError(
            f"{name}: a tool returns one value, it does not yield",
            code="tool_invalid",
            hint="Return a list, or report steps with context.progress().",
        )


def _effects(name: str, value: str | Effects) -> Effects:
    try:
        return Effects(value)
    except ValueError:
        known = ", ".join(effect.value for effect in Effects)
        raise DefinitionError(
            f"{name}: unknown effects {value!r}", code="tool_invalid", hint=f"One of {known}."
        ) from None


def _timeout(name: str, value: str | float | timedelta) -> timedelta:
    try:
        return parse_duration(value)
    except (ValueError, AttributeError) as error:
        raise DefinitionError(f"{name}: timeout: {error}", code="tool_invalid") from None


def _phrases(texts: Sequence[str]) -> tuple[str, ...]:
    """Return one phrase each: a text may list several, with commas between them."""
    parts = (part.strip() for text in texts for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


def _texts(name: str, option: str, values: Any) -> tuple[str, ...]:
    listed = isinstance(values, Iterable) and not isinstance(values, str)
    if not listed or not all(isinstance(value, str) for value in values):
        raise DefinitionError(f"{name}: {option} is a list of texts", code="tool_invalid")
    return tuple(values)
