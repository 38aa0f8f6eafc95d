"""JSON Schemas that a flow hands to a tool as an argument."""

from __future__ import annotations

from typing import Any

from flowbuilder.tools import Fail


def checked_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema given as an argument, known to be a self-contained JSON Schema.

    Raises:
        Fail: `schema_invalid`.
    """
    from flowbuilder.schemas import schema_problems

    problems = schema_problems(schema, "")
    if problems:
        where = f" at {problems[0].pointer}" if problems[0].pointer else ""
        raise Fail(f"this is no JSON Schema{where}: {problems[0].message}", code="schema_invalid")
    return schema
