"""Response models for instructor: lenient ones for plans, one made from any JSON Schema."""

from __future__ import annotations

from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from pydantic import BaseModel, ConfigDict, model_validator

from flowbuilder.errors import InvalidValue
from flowbuilder.schemas import bounded, validator
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

_MOST_ERRORS = 20


class AnyStep(BaseModel):
    """A step as it came. The schema sent along constrains it; our own validation judges it."""

    model_config = ConfigDict(extra="allow")

    def as_json(self) -> JsonObject:
        """Return exactly the keys that came."""
        return dict(self.__pydantic_extra__ or {})


class AnySteps(BaseModel):
    """A whole answer as it came."""

    model_config = ConfigDict(extra="allow")


def carried_schema(schema: JsonSchema) -> JsonSchema:
    """Return the schema of the object that is asked for.

    A schema of anything but an object is wrapped as the property `value`; `value_of` unwraps.

    Raises:
        InvalidValue: The schema is no valid JSON Schema.
    """
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise InvalidValue(f"the schema is wrong: {error.message}", code="schema_invalid") from None
    return schema if schema.get("type") == "object" else _wrapped(schema)


def response_model(carried: JsonSchema) -> type[BaseModel]:
    """Return a model class that reports every violation of an object's schema at once."""

    class Extracted(BaseModel):
        model_config = ConfigDict(extra="allow")

        @model_validator(mode="before")
        @classmethod
        def _check(cls, value: object) -> object:
            _raise_all(carried, value)
            return value

    return Extracted


def value_of(answer: BaseModel, schema: JsonSchema) -> JsonValue:
    """Return the JSON value that a model made by `response_model` holds."""
    values: dict[str, Any] = dict(answer.__pydantic_extra__ or {})
    return values if schema.get("type") == "object" else values["value"]


def _wrapped(schema: JsonSchema) -> JsonSchema:
    inner = {key: value for key, value in schema.items() if key not in {"$defs", "$schema"}}
    wrapped: JsonSchema = {
        "type": "object",
        "properties": {"value": inner},
        "required": ["value"],
        "additionalProperties": False,
    }
    if "$defs" in schema:
        wrapped["$defs"] = schema["$defs"]
    return wrapped


def _raise_all(schema: JsonSchema, value: Any) -> None:
    errors = list(islice(bounded(validator(schema)).iter_errors(value), _MOST_ERRORS))
    if errors:
        raise ValueError("; ".join(_described(error) for error in errors))


def _described(error: ValidationError) -> str:
    error = best_match([error]) or error
    where = "/".join(str(part) for part in error.absolute_path) or "the answer"
    return f"{where}: {error.message[:300]}"
