"""How values travel in requests, as OpenAPI says: styles of parameters, forms, files."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flowbuilder.strictjson import dumps
from flowbuilder.tools import Fail
from flowbuilder.types import JsonObject, JsonValue

#: What parts a list in a query, where it is sent as one value.
_BETWEEN = {"form": ",", "spaceDelimited": " ", "pipeDelimited": "|"}
#: Which styles parameters have, by their place; the first is the one that nobody has to name.
STYLES = {
    "path": ("simple", "label", "matrix"),
    "query": ("form", "spaceDelimited", "pipeDelimited", "deepObject"),
    "header": ("simple",),
    "cookie": ("form",),
}
#: A file as an argument: its text, or its bytes in base64 and what the receiver may call it.
FILE_SCHEMA: JsonObject = {
    "anyOf": [
        {"type": "string", "description": "The file's text."},
        {
            "type": "object",
            "properties": {"base64": {"type": "string"}, "filename": {"type": "string"}},
            "required": ["base64"],
            "additionalProperties": False,
        },
    ]
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """How one property of a form is sent."""

    is_file: bool = False
    media_type: str | None = None
    style: str = "form"
    explode: bool = True


def plain(value: JsonValue) -> str:
    """Return a value as text: a list with commas, an object as JSON."""
    if isinstance(value, list):
        return ",".join(plain(item) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return dumps(value).decode()
    return "" if value is None else str(value)


def in_query(name: str, value: JsonValue, style: str, *, explode: bool) -> dict[str, Any]:
    """Return what a value becomes in a query or form: names and their texts, or lists of these."""
    if style == "deepObject" and isinstance(value, dict):
        return dict(_deep(name, value))
    if isinstance(value, list):
        texts = [plain(item) for item in value]
        return {name: texts if explode else _BETWEEN.get(style, ",").join(texts)}
    if isinstance(value, dict):
        if explode and style == "form":
            return {key: plain(item) for key, item in value.items()}
        flat = [text for key, item in value.items() for text in (key, plain(item))]
        return {name: _BETWEEN.get(style, ",").join(flat)}
    return {name: plain(value)}


def _deep(name: str, value: JsonObject) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        inner = f"{name}[{key}]"
        if isinstance(item, dict):
            yield from _deep(inner, item)
        else:
            yield inner, [plain(one) for one in item] if isinstance(item, list) else plain(item)


def in_path(name: str, value: JsonValue, style: str, *, explode: bool) -> str:
    """Return what a value becomes in a path, each piece of it encoded by itself."""
    marks = explode and style != "simple"
    between = {"label": ".", "matrix": f";{_quoted(name)}="}[style] if marks else ","
    if isinstance(value, dict):
        pairs = [(_quoted(key), _quoted(plain(item))) for key, item in value.items()]
        if explode:
            between = {"simple": ",", "label": ".", "matrix": ";"}[style]
            text = between.join(f"{key}={item}" for key, item in pairs)
            return {"simple": "", "label": ".", "matrix": ";"}[style] + text
        text = ",".join(piece for pair in pairs for piece in pair)
    elif isinstance(value, list):
        text = between.join(_quoted(plain(item)) for item in value)
    else:
        text = _quoted(plain(value))
    return {"simple": "", "label": ".", "matrix": f";{_quoted(name)}="}[style] + text


def in_header(value: JsonValue, *, explode: bool) -> str:
    """Return what a value becomes in a header."""
    if isinstance(value, dict):
        between = "=" if explode else ","
        return ",".join(f"{key}{between}{plain(item)}" for key, item in value.items())
    return plain(value)


def in_cookie(name: str, value: JsonValue) -> str:
    """Return what a value becomes in the header `Cookie`."""
    return f"{_quoted(name)}={_quoted(plain(value))}"


def _quoted(text: str) -> str:
    return quote(text, safe="")


def form_pairs(body: JsonObject, parts: Mapping[str, Part]) -> Iterator[tuple[str, str]]:
    """Yield the names and texts of a form."""
    for name, value in body.items():
        part = parts.get(name, Part())
        if isinstance(value, dict) and part.style == "form":  # JSON, unless it is said otherwise
            yield name, plain(value)
            continue
        for key, texts in in_query(name, value, part.style, explode=part.explode).items():
            for text in texts if isinstance(texts, list) else [texts]:
                yield key, text


def multipart(body: JsonObject, parts: Mapping[str, Part]) -> tuple[str, bytes]:
    """Return the media type and the bytes of a form with files. Raises: Fail (http_invalid)."""
    boundary = f"flowbuilder-{secrets.token_hex(16)}"
    pieces: list[bytes] = []
    for name, value in body.items():
        part = parts.get(name, Part())
        for item in value if isinstance(value, list) else [value]:
            filename, media_type, content = _piece(name, item, part)
            head = f'form-data; name="{_in_quotes(name)}"'
            if filename is not None:
                head += f'; filename="{_in_quotes(filename)}"'
            lines = [f"--{boundary}", f"Content-Disposition: {head}"]
            if media_type is not None:
                lines.append(f"Content-Type: {media_type}")
            pieces.append("\r\n".join([*lines, "", ""]).encode() + content + b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(pieces)


def _piece(name: str, value: JsonValue, part: Part) -> tuple[str | None, str | None, bytes]:
    if part.is_file:
        filename = value.get("filename") if isinstance(value, dict) else None
        media_type = part.media_type or "application/octet-stream"
        return str(filename or name), media_type, file_bytes(value)
    if isinstance(value, dict):
        return None, part.media_type or "application/json", dumps(value)
    return None, part.media_type, plain(value).encode()


def file_bytes(value: JsonValue) -> bytes:
    """Return the bytes of a file that an argument holds. Raises: Fail (http_invalid)."""
    if not isinstance(value, dict):
        return plain(value).encode()
    try:
        return base64.b64decode(str(value.get("base64", "")), validate=True)
    except (binascii.Error, ValueError):
        raise Fail("a file's bytes are no base64", code="http_invalid") from None


def _in_quotes(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
