"""JSON Schemas that a flow hands to a tool as an argument."""

from __future__ import annotations

from typing import Any

from flowbuilder.tools import Fail
from flowbuilder.tools.schema import local_references


def checked_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema given as an argument, known to be a self-contained JSON Schema.

    Raises:
        Fail: `schema_invalid`.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise Fail(f"this is no JSON Schema: {error.message}", code="schema_invalid") from None
    remote = [reference for reference in local_references(schema) if not reference.startswith("#")]
    if remote:
        raise Fail(f"the schema refers to {remote[0][:200]!r}", code="schema_invalid")
    return schema
