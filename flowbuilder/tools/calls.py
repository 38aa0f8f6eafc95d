"""The two borders of a tool call: JSON arguments in, a JSON result out.

Bad arguments never reach the function, a bad result never leaves the worker.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flowbuilder.errors import DefinitionError, InvalidValue
from flowbuilder.strictjson import DEFAULT_LIMITS, Limits, check
from flowbuilder.tools.contract import Context, Tool
from flowbuilder.tools.labels import tool_label
from flowbuilder.tools.schema import pointer_to, to_json
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator


class _Checks:
    """The compiled schemas of one tool."""

    def __init__(self, tool: Tool) -> None:
        from flowbuilder.schemas import quick_check

        self.arguments = _compile(tool, "input_schema", tool.input_schema)
        self.output = _compile(tool, "output_schema", tool.output_schema)
        self.arguments_fit = quick_check(tool.input_schema)
        self.output_fits = quick_check(tool.output_schema)
        self.context = _context_parameter(tool)


def check_arguments(tool: Tool, args: JsonObject) -> None:
    """Hold arguments against the tool's input schema.

    Raises:
        InvalidValue: `argument_invalid`; the pointer names the first bad argument.
        DefinitionError: The tool's own schema is no JSON Schema.
    """
    checks = _checks_of(tool)
    if not checks.arguments_fit(args):
        _refuse(checks.arguments, args, "argument_invalid", tool)


def bind(tool: Tool, args: JsonObject, context: Context) -> Callable[[], Any]:
    """Return the call of a tool with these JSON arguments, ready to be made.

    The arguments are held against the input schema, then turned into what the parameters are
    typed as. Calling the result runs the function: its value is a coroutine if `tool.is_async`.

    Raises:
        InvalidValue: `argument_invalid`; the function was not called.
        DefinitionError: The tool's own schema is no JSON Schema.
    """
    check_arguments(tool, args)
    if tool.signature is not None:
        positional, named = tool.signature.coerce(args, context)
        return functools.partial(tool.handler, *positional, **named)
    parameter = _checks_of(tool).context
    extra = {} if parameter is None else {parameter: context}
    return functools.partial(tool.handler, **args, **extra)


def takes_context(tool: Tool) -> bool:
    """Whether a tool's handler is given the task's context."""
    if tool.signature is not None:
        return tool.signature.context is not None
    return _checks_of(tool).context is not None


def check_output(tool: Tool, value: Any, *, limits: Limits = DEFAULT_LIMITS) -> JsonValue:
    """Return what a tool gave back as JSON, held against its output schema.

    Raises:
        InvalidValue: `output_invalid`; the pointer says where.
    """
    adapter = tool.signature.output if tool.signature else None
    plain = to_json(value, adapter)
    try:
        checked = check(plain, limits=limits)
    except InvalidValue as error:
        raise InvalidValue(
            f"{tool_label(tool.name)}: {error.message}",
            pointer=error.pointer,
            code="output_invalid",
            hint=error.hint,
        ) from None
    checks = _checks_of(tool)
    if not checks.output_fits(checked):
        _refuse(checks.output, checked, "output_invalid", tool)
    return checked


def _checks_of(tool: Tool) -> _Checks:
    found: _Checks | None = tool.__dict__.get("_checks")
    if found is None:
        found = _Checks(tool)
        object.__setattr__(tool, "_checks", found)  # compiled once, however often it is called
    return found


def _compile(tool: Tool, name: str, schema: JsonSchema) -> Validator:
    from flowbuilder.schemas import schema_problems, validator

    problems = schema_problems(schema, "")
    if problems:
        where = f" at {problems[0].pointer}" if problems[0].pointer else ""
        raise DefinitionError(
            f"{tool_label(tool.name)}: {name} is no JSON Schema{where}: {problems[0].message}",
            code="tool_invalid",
        )
    return validator(schema)


def _context_parameter(tool: Tool) -> str | None:
    """Return the parameter of a hand-built tool's handler that is annotated `Context`."""
    try:
        parameters = inspect.signature(tool.handler).parameters.values()
    except (TypeError, ValueError):
        return None
    for parameter in parameters:
        if parameter.annotation is Context or parameter.annotation == "Context":
            return parameter.name
    return None


def _refuse(checks: Validator, value: JsonValue, code: str, tool: Tool) -> None:
    from jsonschema.exceptions import best_match

    from flowbuilder.schemas import bounded

    try:
        error = best_match(bounded(checks).iter_errors(value))
    except RecursionError as problem:
        why = f"{tool_label(tool.name)}: the schema cannot be applied: {type(problem).__name__}"
        raise InvalidValue(why, code=code) from None
    if error is None:
        return
    pointer = pointer_to(error.absolute_path)
    raise InvalidValue(f"{tool_label(tool.name)}: {_explain(error)}", pointer=pointer, code=code)


def _explain(error: ValidationError) -> str:
    """Return a message that does not repeat a long value."""
    from flowbuilder.schemas import needed_groups

    if groups := needed_groups(error):
        return f"needs one of these: {groups}"
    message = error.message
    if len(message) <= 300:
        return message
    kind = type(error.instance).__name__
    return f"a value of type {kind} does not fit {error.validator!r}: {message[-200:]}"
