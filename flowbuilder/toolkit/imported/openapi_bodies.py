"""What an operation of an OpenAPI document sends: JSON, forms, forms with files, texts, files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from flowbuilder.toolkit.imported.encoding import FILE_SCHEMA, STYLES, Part
from flowbuilder.toolkit.imported.openapi_schemas import Document, is_file, told_of
from flowbuilder.types import JsonObject

Kind = Literal["json", "form", "multipart", "text", "file"]

#: Which is taken where an operation takes several.
_ORDER: tuple[Kind, ...] = ("json", "form", "multipart", "text", "file")
_FORM = "application/x-www-form-urlencoded"
_DEEPEST = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """A body; `kind` is None where there is none."""

    kind: Kind | None = None
    media_type: str = ""
    schema: Any = None
    needed: bool = False
    parts: dict[str, Part] = field(default_factory=dict)


def body_of(document: Document, operation: JsonObject) -> Body:
    """Return how an operation's body is sent. Raises: InvalidValue (openapi_reference)."""
    given = document.follow(operation.get("requestBody", {}))
    content = given.get("content")
    if not isinstance(content, dict) or not content:
        return Body()
    kinds = {media_type: _kind(media_type) for media_type in content}
    chosen = min(kinds, key=lambda media_type: _ORDER.index(kinds[media_type]))
    kind, found = kinds[chosen], content[chosen]
    part: JsonObject = found if isinstance(found, dict) else {}
    schema = part.get("schema", {})
    if kind == "text":
        schema = {"type": "string"}
    elif kind == "file":
        said = document.follow(schema) if isinstance(schema, dict) else {}
        schema = {**told_of(said), **FILE_SCHEMA}
    return Body(
        kind=kind,
        media_type=_sent(chosen, kind),
        schema=schema,
        needed=given.get("required") is True,
        parts=_parts(document, part) if kind in ("form", "multipart") else {},
    )


def _kind(media_type: str) -> Kind:
    plain = media_type.partition(";")[0].strip().lower()
    if plain in ("application/json", "*/*") or plain.endswith("+json"):
        return "json"
    if plain == _FORM:
        return "form"
    if plain == "multipart/form-data":
        return "multipart"
    is_text = plain.startswith("text/") or plain.endswith(("xml", "yaml", "json", "javascript"))
    return "text" if is_text else "file"


def _sent(media_type: str, kind: Kind) -> str:
    if "*" not in media_type and media_type.isascii() and media_type.isprintable():
        return media_type
    return {"json": "application/json", "text": "text/plain"}.get(kind, "application/octet-stream")


def _parts(document: Document, given: JsonObject) -> dict[str, Part]:
    """Return how the properties of a form are sent, of which anything is said."""
    encoding = given.get("encoding")
    said = encoding if isinstance(encoding, dict) else {}
    files = _files(document, given.get("schema"), 0)
    return {name: _part(said.get(name), is_file=name in files) for name in {*said, *files}}


def _part(said: Any, *, is_file: bool) -> Part:
    told = said if isinstance(said, dict) else {}
    media_type = str(told.get("contentType", "")).partition(",")[0].strip()
    style = str(told.get("style", "form"))
    usable = media_type.isascii() and media_type.isprintable() and "*" not in media_type
    return Part(
        is_file=is_file,
        media_type=media_type if media_type and usable else None,
        style=style if style in STYLES["query"] else "form",
        explode=told.get("explode", style in ("form", "deepObject")) is not False,
    )


def _files(document: Document, schema: Any, depth: int) -> set[str]:
    """Return the properties of a form that are files, or lists of them."""
    found: set[str] = set()
    if depth > _DEEPEST or not isinstance(schema, dict):
        return found
    part = document.follow(schema)
    properties = part.get("properties")
    for name, given in properties.items() if isinstance(properties, dict) else ():
        one = document.follow(given)
        items = one.get("items")
        if is_file(one) or (isinstance(items, dict) and is_file(document.follow(items))):
            found.add(name)
    together = part.get("allOf")
    for inner in together if isinstance(together, list) else ():
        found |= _files(document, inner, depth + 1)
    return found
