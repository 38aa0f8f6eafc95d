"""OpenAPI documents as tools: an operation becomes a tool with typed input and output.

Requests go to the server that the operator names, whatever the document says; values in paths are
encoded one by one and cannot leave their place.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowbuilder.errors import InvalidValue, SettingsError
from flowbuilder.schemas import schema_problems
from flowbuilder.settings import Settings
from flowbuilder.strictjson import Limits, dumps, load_document
from flowbuilder.toolkit.connections import OpenApi, effects_of
from flowbuilder.toolkit.imported.encoding import STYLES
from flowbuilder.toolkit.imported.names import one_line, tool_name
from flowbuilder.toolkit.imported.openapi_bodies import Body, body_of
from flowbuilder.toolkit.imported.openapi_schemas import Document
from flowbuilder.toolkit.imported.requests import Operation, Parameter, make_handler
from flowbuilder.tools import Effects, Tool
from flowbuilder.types import JsonObject, JsonSchema

log = logging.getLogger(__name__)

MOST_OPERATIONS = 500
_LARGEST_DOCUMENT = 10_000_000
_LARGEST_SCHEMA = 262_144
#: Of all schemas of a document's tools: every process keeps them.
_LARGEST_SCHEMAS = 16_777_216
_METHODS = {
    "get": Effects.READ,
    "head": Effects.READ,
    "options": Effects.READ,
    "trace": Effects.READ,
    "post": Effects.EXTERNAL,
    "put": Effects.EXTERNAL,
    "patch": Effects.EXTERNAL,
    "delete": Effects.IRREVERSIBLE,
}
_PATH = re.compile(r"/[^\\\x00-\x20\x7f]*")
#: Answers that HTTP lets have no body.
_WITHOUT_BODY = frozenset({"204", "205"})
#: Said by OpenAPI to be no parameters, whatever a document lists.
_NO_PARAMETERS = frozenset({"accept", "content-type", "authorization"})


def import_documents(settings: Settings, given: Mapping[str, OpenApi]) -> list[Tool]:
    """Return a tool for every operation of the connected documents.

    What no tool can be made of is left out with a warning, unless it is asked for by its id.

    Raises:
        SettingsError: `openapi_invalid`: a document cannot be read, is none, has too many
            operations, or lacks one that is asked for.
    """
    assert settings.connections is not None
    folder = settings.connections.resolve().parent
    return [
        tool
        for name, connection in given.items()
        for tool in import_document(name, _read(folder / connection.document, name), connection)
    ]


def import_document(name: str, root: JsonObject, connection: OpenApi) -> list[Tool]:
    """Return the tools of one document. Raises: SettingsError (openapi_invalid)."""
    found = import_operations(name, root, connection)
    for operation, why in found.left_out.items():
        log.warning("%s: no tool is made of %.80s: %s", name, operation, why)
    return list(found.tools)


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """The tools of a document, and the operations that none could be made of, with the reasons."""

    tools: tuple[Tool, ...]
    left_out: Mapping[str, str]


def import_operations(name: str, root: JsonObject, connection: OpenApi) -> Imported:
    """Return what one document gives. Raises: SettingsError (openapi_invalid)."""
    if not str(root.get("openapi", "")).startswith("3."):
        raise _invalid(name, "it is no OpenAPI 3 document")
    document = Document(root)
    tools: dict[str, Tool] = {}
    left_out: dict[str, str] = {}
    wanted = None if connection.operations is None else set(connection.operations)
    try:
        operations = list(_operations(document))
    except InvalidValue as error:
        raise _invalid(name, error.message) from None
    if len(operations) > MOST_OPERATIONS and wanted is None:
        raise _invalid(name, f"it has more than {MOST_OPERATIONS} operations; name those you need")
    for path, method, item, operation in operations:
        called = str(operation.get("operationId") or f"{method} {path}")
        if wanted is not None and called not in wanted:
            continue
        try:
            last = _free_name(name, called, f"{method} {path}", tools)
            tool = _tool(name, last, called, document, path, method, item, operation, connection)
            tools[tool.name] = tool
        except InvalidValue as error:
            if wanted is not None:
                raise _invalid(name, f"{called[:80]}: {error.message}") from None
            left_out[called[:200]] = error.message
    if wanted is not None and (
        missing := wanted - {str(op[3].get("operationId")) for op in operations}
    ):
        raise _invalid(name, f"it has no operation {min(missing)[:80]}")
    made = _within_bounds(name, list(tools.values()))
    return Imported(tools=tuple(made), left_out=left_out)


def _free_name(name: str, called: str, place: str, taken: Container[str]) -> str:
    """Return what the tool of an operation is called: by its id, else by its method and path.

    Raises:
        InvalidValue: `openapi_name`: neither makes a name that no other operation has.
    """
    names = [last for text in (called, place) if (last := tool_name(text)) is not None]
    if not names:
        raise InvalidValue("its id makes no name of a tool", code="openapi_name")
    for last in names:
        if f"{name}.{last}" not in taken:
            return last
    raise InvalidValue("another operation has the same name", code="openapi_name")


def _within_bounds(name: str, tools: list[Tool]) -> list[Tool]:
    size = sum(len(dumps(one.input_schema)) + len(dumps(one.output_schema)) for one in tools)
    if size > _LARGEST_SCHEMAS:
        raise _invalid(name, "the schemas of its tools are too large; name those you need")
    return tools


def _read(file: Path, name: str) -> JsonObject:
    try:
        with file.open("rb") as stream:
            data = stream.read(_LARGEST_DOCUMENT + 1)
        limits = Limits(depth=100, bytes=_LARGEST_DOCUMENT)
        found = load_document(data, name=file.name, limits=limits)
    except OSError as error:
        raise _invalid(name, error.strerror or "it cannot be read") from None
    except InvalidValue as error:
        raise _invalid(name, error.message) from None
    if not isinstance(found, dict):
        raise _invalid(name, "it is no OpenAPI 3 document")
    return found


def _operations(document: Document) -> Iterator[tuple[str, str, JsonObject, JsonObject]]:
    paths = document.root.get("paths")
    for path, item in paths.items() if isinstance(paths, dict) else ():
        found = document.follow(item)
        for method in _METHODS:
            operation = found.get(method)
            if isinstance(operation, dict):
                yield path, method, found, operation


def _tool(
    name: str,
    last: str,
    called: str,
    document: Document,
    path: str,
    method: str,
    item: JsonObject,
    operation: JsonObject,
    connection: OpenApi,
) -> Tool:
    """Return the tool of an operation. Raises: InvalidValue: none can be made."""
    if not _PATH.fullmatch(path):
        # behind a server's name it could be more of the name, a port or a user
        raise InvalidValue("its path does not begin with a slash", code="openapi_path")
    parameters = _parameters(document, item, operation)
    body = body_of(document, operation)
    described = Operation(
        name=f"{name}.{last}",
        method=method.upper(),
        path=path,
        server=connection.server.rstrip("/"),
        headers=dict(connection.headers),
        parameters=tuple(parameters),
        body_kind=body.kind,
        media_type=body.media_type,
        parts=body.parts,
    )
    tool = Tool(
        name=described.name,
        summary=one_line(
            operation.get("summary") or operation.get("description"), f"{method.upper()} {path}"
        ),
        handler=make_handler(described),
        input_schema=_input_schema(document, parameters, body),
        output_schema=_output_schema(document, operation),
        effects=effects_of(called, connection.effects, _METHODS[method]),
        untrusted_output=True,
        keywords=tuple(one_line(tag, "") for tag in _texts(operation.get("tags"))[:5]),
    )
    for schema in (tool.input_schema, tool.output_schema):
        _check(schema)
    return tool


def _parameters(document: Document, item: JsonObject, operation: JsonObject) -> list[Parameter]:
    found: dict[tuple[str, str], Parameter] = {}
    listed = [*_list(item.get("parameters")), *_list(operation.get("parameters"))]
    for given in map(document.follow, listed):
        name, place = str(given.get("name", "")), str(given.get("in", ""))
        required = given.get("required") is True
        if not name or place not in ("path", "query", "header", "cookie"):
            raise InvalidValue("a parameter has no name or place", code="openapi_parameter")
        if place == "header" and name.lower() in _NO_PARAMETERS:
            continue
        found[place, name] = Parameter(
            argument="",
            name=name,
            place=place,
            required=required or place == "path",
            description=one_line(given.get("description"), ""),
            schema=_parameter_schema(given),
            style=(style := _style(given, place)),
            explode=given.get("explode", style in ("form", "deepObject")) is not False,
            as_json="content" in given,
        )
    return _with_arguments(list(found.values()))


def _style(given: JsonObject, place: str) -> str:
    style = str(given.get("style", STYLES[place][0]))
    if style in ("form", "simple"):  # one for the other: what is meant is clear
        return STYLES[place][0]
    if style not in STYLES[place]:
        raise InvalidValue(
            f"parameters of the style {style[:40]} cannot be sent", code="openapi_parameter"
        )
    return style


def _parameter_schema(given: JsonObject) -> Any:
    content = given.get("content")
    if isinstance(content, dict):
        found = content.get("application/json")
        return found.get("schema", {}) if isinstance(found, dict) else {}
    return given.get("schema", {})


def _with_arguments(parameters: list[Parameter]) -> list[Parameter]:
    """Return parameters with the name of the argument of each; `body` is the body's."""
    from dataclasses import replace

    taken = {"body"}
    named = []
    for item in parameters:
        argument = item.name if item.name not in taken else f"{item.name}_{item.place}"
        if argument in taken:
            raise InvalidValue(f"two parameters are named {item.name}", code="openapi_parameter")
        taken.add(argument)
        named.append(replace(item, argument=argument))
    return named


def _input_schema(document: Document, parameters: list[Parameter], body: Body) -> JsonSchema:
    whole: dict[str, Any] = {
        "type": "object",
        "properties": {item.argument: _described(item) for item in parameters},
        "required": [item.argument for item in parameters if item.required],
        "additionalProperties": False,
    }
    if body.kind is not None:
        whole["properties"]["body"] = body.schema
        if body.needed:
            whole["required"].append("body")
    return document.schema(whole, "in", files=body.kind in ("multipart", "file"))


def _described(item: Parameter) -> Any:
    if not item.description or not isinstance(item.schema, dict) or "$ref" in item.schema:
        return item.schema
    return {"description": item.description, **item.schema}


def _output_schema(document: Document, operation: JsonObject) -> JsonSchema:
    """Return `{status, body}`, the body as the successful responses have it."""
    responses = operation.get("responses")
    bodies: list[Any] = []
    for status, given in responses.items() if isinstance(responses, dict) else ():
        if not str(status).startswith("2"):
            continue
        content = document.follow(given).get("content")
        if not isinstance(content, dict) or not content:
            # that nothing is said of a body is no promise that there is none
            bodies.append({"type": "null"} if str(status) in _WITHOUT_BODY else {})
            continue
        for kind, part in content.items():
            is_json = "json" in kind
            schema = part.get("schema", {}) if isinstance(part, dict) else {}
            bodies.append(schema if is_json else {"type": "string"})
    body = {} if not bodies else bodies[0] if len(bodies) == 1 else {"anyOf": bodies}
    return document.schema(
        {
            "type": "object",
            "properties": {"status": {"type": "integer"}, "body": body},
            "required": ["status", "body"],
        },
        "out",
    )


def _check(schema: JsonSchema) -> None:
    if len(dumps(schema)) > _LARGEST_SCHEMA:
        raise InvalidValue("its schema is too large", code="openapi_schema")
    problems = schema_problems(schema, "")
    if problems:
        raise InvalidValue(problems[0].message, code="openapi_schema")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [item for item in _list(value) if isinstance(item, str)]


def _invalid(name: str, why: str) -> SettingsError:
    return SettingsError(f"the OpenAPI document of {name}: {why}", code="openapi_invalid")
