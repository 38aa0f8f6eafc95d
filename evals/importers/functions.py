"""Functions as BFCL describes them, and described tools; nothing gets lost on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowbuilder.evals.catalogue import ToolSpec
from flowbuilder.evals.importers.naming import ToolNames
from flowbuilder.evals.importers.records import BadRecord
from flowbuilder.evals.importers.typewords import WORD, json_type
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

#: How the format writes a type, unless the schema remembers another word.
_USUAL = {"object": "dict", "number": "float"}
#: Members of a schema that only lists or only objects may have; others are kept aside.
_LISTS = ("required", "enum")
_OBJECTS = ("properties",)
_ASIDE = "x-"
#: The rest of a function: what is neither its name nor its text nor its parameters.
_MORE = "x-function"


def function_tool(function: Mapping[str, Any], pointer: str, names: ToolNames) -> ToolSpec:
    """Return a function as a described tool. Raises: BadRecord."""
    title, parameters = function.get("name"), function.get("parameters")
    if not isinstance(title, str) or not isinstance(parameters, dict):
        raise BadRecord("a function has a name and parameters", pointer)
    name = names.name(title)
    schema = _schema(parameters, f"{pointer}/parameters")
    more = {
        key: part
        for key, part in function.items()
        if key not in ("name", "parameters") and not (key == "description" and _text(part))
    }
    return ToolSpec(
        name=name,
        title=title if title != name else None,
        summary=function.get("description", "") if _text(function.get("description")) else "",
        input_schema=schema | {"additionalProperties": False} | ({_MORE: more} if more else {}),
    )


def function_record(spec: ToolSpec) -> JsonObject:
    """Return a described tool as a function."""
    schema = dict(spec.input_schema)
    schema.pop("additionalProperties", None)
    more = schema.pop(_MORE, {})
    record: JsonObject = {"name": spec.called}
    if spec.summary:
        record["description"] = spec.summary
    return {**record, "parameters": _words(schema), **more}


def _text(value: JsonValue) -> bool:
    return isinstance(value, str) and value != ""


def _schema(given: Mapping[str, Any], pointer: str) -> JsonSchema:
    schema: JsonSchema = {}
    for key, part in given.items():
        misplaced = (key in _LISTS and not isinstance(part, list)) or (
            key in _OBJECTS and not isinstance(part, dict)
        )
        schema[f"{_ASIDE}{key}" if misplaced else key] = part
    if "type" in given:
        kind = json_type(schema.pop("type"))
        if kind is not None:
            schema["type"] = kind
        if kind is None or _USUAL.get(kind, kind) != given["type"]:
            schema[WORD] = given["type"]
    for name, part in schema.get("properties", {}).items():
        if not isinstance(part, dict):
            raise BadRecord("a parameter is described by an object", f"{pointer}/properties/{name}")
    if "properties" in schema:
        schema["properties"] = {
            name: _schema(part, f"{pointer}/properties/{name}")
            for name, part in schema["properties"].items()
        }
    if isinstance(schema.get("items"), dict):
        schema["items"] = _schema(schema["items"], f"{pointer}/items")
    return schema


def _words(schema: Mapping[str, Any]) -> JsonObject:
    record: JsonObject = {}
    for key, part in schema.items():
        if key == "properties":
            record[key] = {name: _words(inner) for name, inner in part.items()}
        elif key == "items" and isinstance(part, dict):
            record[key] = _words(part)
        elif key == "type":
            record[key] = _USUAL.get(part, part)
        elif key in (f"{_ASIDE}{name}" for name in (*_LISTS, *_OBJECTS)):
            record[key.removeprefix(_ASIDE)] = part
    record |= {"type": schema[WORD]} if WORD in schema else {}
    known = {"properties", "items", "type", WORD, *record}
    known |= {f"{_ASIDE}{name}" for name in (*_LISTS, *_OBJECTS)}
    return {**record, **{key: part for key, part in schema.items() if key not in known}}
