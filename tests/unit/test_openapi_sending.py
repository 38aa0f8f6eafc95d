"""What operations send: every style of a parameter, forms, files, and documents of fifty kinds."""

from __future__ import annotations

import base64
import email
import email.policy
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from flowbuilder.errors import InvalidValue
from flowbuilder.toolkit.connections import OpenApi
from flowbuilder.toolkit.imported.openapi import import_operations
from flowbuilder.tools import Fail
from tests.support.loopback import Reply, Request, site
from tests.support.toolbox import acall
from tests.unit.test_openapi_tools import document, imported

LIST: list[Any] = ["a b", 1]
OBJECT: dict[str, Any] = {"x": "a b", "y": True}
OPENED = {"type": ["array", "object", "string"]}


def parameter(place: str, style: str, explode: bool | None, name: str = "v") -> dict[str, Any]:
    found = {"name": name, "in": place, "style": style, "schema": OPENED, "required": True}
    return found if explode is None else {**found, "explode": explode}


async def sent(
    folder: Path, operation: dict[str, Any], args: dict[str, Any], path: str = "/x"
) -> Request:
    operation = {"operationId": "op", "responses": {}, **operation}
    with site(lambda _: Reply({})) as running:
        registry, context = imported(folder, document({path: {"post": operation}}), running.url)
        await acall(registry.require("pets.op"), args, context)
    (request,) = running.seen
    return request


def query_of(request: Request) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(request.path).query, keep_blank_values=True)


QUERIES: list[tuple[str, bool | None, Any, list[tuple[str, str]]]] = [
    ("form", None, LIST, [("v", "a b"), ("v", "1")]),
    ("form", False, LIST, [("v", "a b,1")]),
    ("form", None, OBJECT, [("x", "a b"), ("y", "true")]),
    ("form", False, OBJECT, [("v", "x,a b,y,true")]),
    ("spaceDelimited", None, LIST, [("v", "a b 1")]),
    ("pipeDelimited", None, LIST, [("v", "a b|1")]),
    ("pipeDelimited", True, LIST, [("v", "a b"), ("v", "1")]),
    ("deepObject", None, OBJECT, [("v[x]", "a b"), ("v[y]", "true")]),
    ("deepObject", True, {"o": {"p": [1, 2]}}, [("v[o][p]", "1"), ("v[o][p]", "2")]),
    ("simple", None, LIST, [("v", "a b"), ("v", "1")]),  # means `form`
]


@pytest.mark.parametrize(("style", "explode", "value", "expected"), QUERIES)
async def test_values_in_queries(
    style: str, explode: bool | None, value: Any, expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    operation = {"parameters": [parameter("query", style, explode)]}
    request = await sent(tmp_path, operation, {"v": value})
    assert query_of(request) == expected


PATHS: list[tuple[str, bool | None, Any, str]] = [
    ("simple", None, LIST, "a%20b,1"),
    ("simple", None, "a,b", "a%2Cb"),
    ("simple", False, OBJECT, "x,a%20b,y,true"),
    ("simple", True, OBJECT, "x=a%20b,y=true"),
    ("label", None, LIST, ".a%20b,1"),
    ("label", True, LIST, ".a%20b.1"),
    ("label", True, OBJECT, ".x=a%20b.y=true"),
    ("matrix", None, "s", ";v=s"),
    ("matrix", None, LIST, ";v=a%20b,1"),
    ("matrix", True, LIST, ";v=a%20b;v=1"),
    ("matrix", True, OBJECT, ";x=a%20b;y=true"),
    ("form", None, "s", "s"),  # means `simple`
]


@pytest.mark.parametrize(("style", "explode", "value", "expected"), PATHS)
async def test_values_in_paths(
    style: str, explode: bool | None, value: Any, expected: str, tmp_path: Path
) -> None:
    operation = {"parameters": [parameter("path", style, explode)]}
    request = await sent(tmp_path, operation, {"v": value}, "/x/{v}/y")
    assert request.path == f"/x/{expected}/y"


async def test_no_style_lets_a_value_leave_its_place(tmp_path: Path) -> None:
    operation = {"parameters": [parameter("path", "label", None)]}
    for value in (".", "/../a", ["..", "/"], {"a/b": "c/d"}):
        try:
            request = await sent(tmp_path, operation, {"v": value}, "/x/{v}")
        except Fail as error:
            assert error.code == "path_refused"
        else:
            assert request.path.count("/") == 2


async def test_values_in_headers_and_cookies(tmp_path: Path) -> None:
    operation = {
        "parameters": [
            parameter("header", "simple", None, "X-List"),
            parameter("header", "simple", True, "X-Object"),
            parameter("cookie", "form", None, "sess"),
            parameter("cookie", "form", None, "more"),
        ]
    }
    args = {"X-List": LIST, "X-Object": OBJECT, "sess": "a;b=c", "more": "1"}
    request = await sent(tmp_path, operation, args)
    assert request.headers["x-list"] == "a b,1"
    assert request.headers["x-object"] == "x=a b,y=true"
    assert request.headers["cookie"] == "sess=a%3Bb%3Dc; more=1"


async def test_no_property_takes_the_place_of_another_parameter(tmp_path: Path) -> None:
    listed = [parameter("query", "form", None, "key"), parameter("query", "form", None)]
    request = await sent(tmp_path, {"parameters": listed}, {"key": "own", "v": {"key": "other"}})
    assert query_of(request) == [("key", "own")]


def body(media_type: str, schema: Any, **more: Any) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema, **more}}}}


async def test_forms_are_sent_as_their_encoding_says(tmp_path: Path) -> None:
    schema = {"type": "object"}
    encoding = {"csv": {"explode": False}, "deep": {"style": "deepObject"}}
    operation = body("application/x-www-form-urlencoded", schema, encoding=encoding)
    given = {"list": LIST, "csv": [1, 2], "deep": {"a": 1}, "object": {"b": None}, "yes": True}
    request = await sent(tmp_path, operation, {"body": given})
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qsl(request.body.decode()) == [
        ("list", "a b"),
        ("list", "1"),
        ("csv", "1,2"),
        ("deep[a]", "1"),
        ("object", '{"b":null}'),
        ("yes", "true"),
    ]


async def test_forms_with_files(tmp_path: Path) -> None:
    picture = {"type": "string", "format": "binary", "description": "A picture."}
    schema = {
        "allOf": [
            {"type": "object", "properties": {"picture": picture}, "required": ["picture"]},
            {
                "type": "object",
                "properties": {
                    "more": {"type": "array", "items": {"contentMediaType": "text/plain"}},
                    "meta": {"type": "object"},
                    "tags": {"type": "array", "items": {"type": "string"}},
                },
            },
        ]
    }
    encoding = {"picture": {"contentType": "image/png, image/jpeg"}}
    data = b"\x89PNG\r\n\x00--boundary"
    given = {
        "picture": {"base64": base64.b64encode(data).decode(), "filename": 'a"\r\n.png'},
        "more": ["one", {"base64": "dHdv"}],
        "meta": {"a": 1},
        "tags": ["x", "ü"],
    }
    operation = body("multipart/form-data", schema, encoding=encoding)
    request = await sent(tmp_path, operation, {"body": given})
    whole = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode() + request.body
    message = email.message_from_bytes(whole, policy=email.policy.HTTP)
    found = [
        (
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part.get_content_type() if part["content-type"] else None,
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    ]
    assert found == [
        ("picture", "a%22%0D%0A.png", "image/png", data),
        ("more", "more", "application/octet-stream", b"one"),
        ("more", "more", "application/octet-stream", b"two"),
        ("meta", None, "application/json", b'{"a":1}'),
        ("tags", None, None, b"x"),
        ("tags", None, None, "ü".encode()),
    ]
    registry, context = imported(tmp_path, document({"/x": {"post": {**operation}}}))
    (tool,) = [one for one in registry if one.name.startswith("pets.")]
    with pytest.raises(InvalidValue):
        await acall(tool, {"body": {"picture": 7}}, context)
    with pytest.raises(Fail) as caught:
        await acall(tool, {"body": {"picture": {"base64": "!"}}}, context)
    assert caught.value.code == "http_invalid"


@pytest.mark.parametrize(
    ("media_type", "schema", "value", "header", "expected"),
    [
        ("application/octet-stream", {}, {"base64": "AAE="}, None, b"\x00\x01"),
        ("image/*", {"type": "string", "format": "binary"}, "text",
         "application/octet-stream", b"text"),
        ("application/xml", {"$ref": "#/components/schemas/Pet"}, "<a/>", None, b"<a/>"),
        ("text/csv", {"type": "string"}, "a,b", None, b"a,b"),
        ("application/merge-patch+json", {"type": "object"}, {"a": None}, None, b'{"a":null}'),
        ("*/*", {}, [1], "application/json", b"[1]"),
    ],
)  # fmt: skip
async def test_other_bodies(
    media_type: str, schema: Any, value: Any, header: str | None, expected: bytes, tmp_path: Path
) -> None:
    request = await sent(tmp_path, body(media_type, schema), {"body": value})
    assert request.headers["content-type"] == (header or media_type)
    assert request.body == expected


async def test_an_answer_of_which_nothing_is_said_may_have_a_body(tmp_path: Path) -> None:
    operation = {"operationId": "op", "responses": {"200": {"description": "fine"}}}
    with site() as running:
        registry, context = imported(tmp_path, document({"/x": {"get": operation}}), running.url)
        result = await acall(registry.require("pets.op"), {}, context)
    assert result["body"]["path"] == "/x"


def test_operations_of_one_name_are_called_by_their_places(tmp_path: Path) -> None:
    paths = {
        "/a": {"get": {"operationId": "getPet", "responses": {}}},
        "/b": {"get": {"operationId": "get_pet", "responses": {}}},
        "/c": {"options": {"operationId": "ways", "responses": {}}},
        "/ü": {"get": {"operationId": "ñ", "responses": {}}},
    }
    connection = OpenApi.model_validate({"document": "x", "server": "https://a.example"})
    found = import_operations("pets", document(paths), connection)
    assert [tool.name for tool in found.tools] == ["pets.get_pet", "pets.get_b", "pets.ways"]
    assert found.left_out == {"ñ": "its id makes no name of a tool"}
