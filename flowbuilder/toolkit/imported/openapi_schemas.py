"""Schemas of an OpenAPI document as JSON Schema 2020-12 that stands by itself."""

from __future__ import annotations

from typing import Any, Literal

from flowbuilder.errors import InvalidValue
from flowbuilder.toolkit.imported.encoding import FILE_SCHEMA
from flowbuilder.types import JsonObject, JsonSchema

#: What says nothing about values.
_DROPPED = frozenset(
    {"discriminator", "xml", "externalDocs", "example", "examples", "nullable", "$schema", "$id"}
)
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPS = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")
_SINGLE = (
    "items",
    "additionalProperties",
    "not",
    "contains",
    "propertyNames",
    "if",
    "then",
    "else",
)
_SCHEMAS = "#/components/schemas/"
_DEEPEST = 60
#: Parts of schemas that are converted: of one schema, and of a document's together. References that
#: are written out one by one multiply with every level.
_MOST_PARTS = 20_000
_MOST_PARTS_OF_ALL = 1_000_000


class Document:
    """An OpenAPI document; every reference is followed inside it, and nowhere else."""

    def __init__(self, root: JsonObject) -> None:
        self.root = root
        self.converted = 0
        """Parts of schemas that were converted so far."""

    def follow(self, part: Any) -> JsonObject:
        """Return an object, or the one that it refers to.

        Raises:
            InvalidValue: `openapi_reference`: a reference leads out, nowhere, or in a circle.
        """
        for _ in range(20):
            if not isinstance(part, dict):
                return {}
            reference = part.get("$ref")
            if reference is None:
                return part
            part = self._at(reference)
        raise InvalidValue("references lead in a circle", code="openapi_reference")

    def _at(self, reference: object) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise InvalidValue(
                f"{str(reference)[:80]!r} leads out of the document", code="openapi_reference"
            )
        found: Any = self.root
        for part in reference[2:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~").replace("%7B", "{").replace("%7D", "}")
            found = found.get(key) if isinstance(found, dict) else None
        if found is None:
            raise InvalidValue(f"{reference[:80]!r} leads nowhere", code="openapi_reference")
        return found

    def schema(self, part: Any, way: Literal["in", "out"], *, files: bool = False) -> JsonSchema:
        """Return a schema with everything that it refers to in `$defs`.

        `way`: what is only read does not go in, what is only written does not come out. `files`:
        they may be in it, as `FILE_SCHEMA`.

        Raises:
            InvalidValue: `openapi_reference`, `openapi_schema`.
        """
        converter = _Converter(self, way, files)
        made = converter.convert(part, 0)
        return made if not converter.named else {**made, "$defs": converter.definitions()}


class _Converter:
    def __init__(self, document: Document, way: Literal["in", "out"], files: bool) -> None:
        self._document = document
        self._files = files
        self._hidden = "readOnly" if way == "in" else "writeOnly"
        self._parts = 0
        self.named: dict[str, JsonSchema | None] = {}

    def definitions(self) -> dict[str, Any]:
        """Return every schema that was referred to, and what these refer to."""
        while waiting := [name for name, made in self.named.items() if made is None]:
            for name in waiting:
                self.named[name] = {}  # a schema may refer to itself
                self.named[name] = self.convert(self._document.follow({"$ref": _SCHEMAS + name}), 0)
        return dict(self.named)

    def convert(self, part: Any, depth: int) -> JsonSchema:
        """Return one schema; `true` and `false` become objects."""
        if depth > _DEEPEST:
            raise InvalidValue("a schema is nested too deep", code="openapi_schema")
        self._parts += 1
        self._document.converted += 1
        if self._parts > _MOST_PARTS or self._document.converted > _MOST_PARTS_OF_ALL:
            raise InvalidValue(
                "its schemas have too many parts, written out", code="openapi_schema"
            )
        if isinstance(part, bool):
            return {} if part else {"not": {}}
        if not isinstance(part, dict):
            raise InvalidValue("a schema is no object", code="openapi_schema")
        reference = part.get("$ref")
        if isinstance(reference, str):
            return self._referred(part, reference, depth)
        if self._files and is_file(part):
            return {**told_of(part), **FILE_SCHEMA}
        made: dict[str, Any] = {}
        for key, value in part.items():
            if key in _DROPPED or key.startswith("x-"):
                continue
            made[key] = self._value(key, value, depth)
        self._leave_hidden(part, made)
        _modernise(made)
        if part.get("nullable") is True:
            return _nullable(made)
        return made

    def _referred(self, part: JsonObject, reference: str, depth: int) -> JsonSchema:
        name = reference.removeprefix(_SCHEMAS)
        if name == reference or "/" in name or "~" in name or "%" in name:
            return self.convert(self._document.follow(part), depth + 1)
        self._document.follow(part)  # it has to lead somewhere
        self.named.setdefault(name, None)
        return {"$ref": f"#/$defs/{name}"}

    def _value(self, key: str, value: Any, depth: int) -> Any:
        if key in _SINGLE and isinstance(value, dict):
            return self.convert(value, depth + 1)
        if key in _LISTS and isinstance(value, list):
            return [self.convert(item, depth + 1) for item in value]
        if key in _MAPS and isinstance(value, dict):
            return {name: self.convert(item, depth + 1) for name, item in value.items()}
        return value

    def _leave_hidden(self, part: JsonObject, made: dict[str, Any]) -> None:
        properties = part.get("properties")
        if not isinstance(properties, dict):
            return
        hidden = {
            name
            for name, item in properties.items()
            if isinstance(item, dict) and item.get(self._hidden) is True
        }
        made["properties"] = {
            name: item for name, item in made["properties"].items() if name not in hidden
        }
        required = part.get("required")
        if hidden and isinstance(required, list):
            made["required"] = [name for name in required if name not in hidden]


def is_file(part: JsonObject) -> bool:
    """Whether a schema means bytes, in the words of OpenAPI 3.0 or 3.1."""
    if part.get("type") == "file" or part.get("format") == "binary":
        return True
    media_type = part.get("contentMediaType")
    return isinstance(media_type, str) and "contentEncoding" not in part


def told_of(part: JsonObject) -> JsonObject:
    """Return what a schema says for people."""
    return {key: part[key] for key in ("title", "description") if key in part}


def _modernise(made: dict[str, Any]) -> None:
    """Say in 2020-12 what OpenAPI 3.0 says in words of its own."""
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(made.get(exclusive), bool) and made.pop(exclusive) and bound in made:
            made[exclusive] = made.pop(bound)
    if made.get("type") == "file" or made.get("format") == "binary":
        raise InvalidValue("it holds a file, which has no JSON form", code="openapi_schema")


def _nullable(made: dict[str, Any]) -> JsonSchema:
    kind = made.get("type")
    if isinstance(kind, str) and "enum" not in made:
        return {**made, "type": [kind, "null"]}
    return {"anyOf": [made, {"type": "null"}]}
