"""Whether values fit their schemas, as runs and approvals ask it."""

from __future__ import annotations

from flowbuilder.errors import DefinitionError
from flowbuilder.schemas import quick_check, value_problems, with_defaults
from flowbuilder.settings import Settings
from flowbuilder.strictjson import Limits, check
from flowbuilder.types import JsonSchema, JsonValue

#: Findings about one value beyond which more would not help.
MOST_PROBLEMS = 50


def fitting_input(input: JsonValue, schema: JsonSchema, settings: Settings) -> JsonValue:
    """Return a run's input with the schema's defaults; None is `{}` where null does not fit.

    Raises:
        DefinitionError: It does not fit (input_invalid), with a pointer for each finding.
        InvalidValue: It is no JSON value.
    """
    if input is None and value_problems(schema, None, code="", pointer=""):
        input = {}
    return _checked(with_defaults(schema, input), schema, settings, "the input", "input_invalid")


def require_fit(value: JsonValue, schema: JsonSchema, settings: Settings, what: str) -> JsonValue:
    """Return a value that fits a schema. Raises: DefinitionError (value_invalid), InvalidValue."""
    return _checked(value, schema, settings, what, "value_invalid")


def limits_of(settings: Settings) -> Limits:
    """Return the bounds of a single value."""
    return Limits(depth=settings.max_json_depth, bytes=settings.max_value_bytes)


def _checked(
    value: JsonValue, schema: JsonSchema, settings: Settings, what: str, code: str
) -> JsonValue:
    clean = check(value, limits=limits_of(settings))
    if quick_check(schema)(clean):
        return clean
    problems = value_problems(schema, clean, code=code, pointer="")[:MOST_PROBLEMS]
    if problems:
        raise DefinitionError(
            f"{what} does not fit: {problems[0].message}", problems=problems, code=code
        )
    return clean
