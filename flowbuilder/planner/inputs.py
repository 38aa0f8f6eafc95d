"""What a run is given, as a schema."""

from __future__ import annotations

from flowbuilder.planner.base import PlanRequest
from flowbuilder.types import JsonSchema, JsonValue


def input_schema_of(request: PlanRequest) -> JsonSchema | None:
    """Return the run's input schema, made from the given input where none is declared."""
    if request.input_schema is not None:
        return request.input_schema
    if isinstance(request.input, dict) and request.input:
        properties = {name: _schema_of(value) for name, value in request.input.items()}
        return {"type": "object", "properties": properties, "required": sorted(properties)}
    return None


def _schema_of(value: JsonValue) -> JsonSchema:
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int | float):
        return {"type": "number"}
    if isinstance(value, str):
        return {"type": "string"}
    if isinstance(value, list):
        return {"type": "array"}
    if isinstance(value, dict):
        return {
            "type": "object",
            "properties": {name: _schema_of(item) for name, item in value.items()},
        }
    return {}
