"""A39 to A46: values that no JSON may hold, at every edge where values come in."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flowbuilder import tool
from flowbuilder.cli.app import app
from flowbuilder.cli.options import hoist
from flowbuilder.errors import InvalidValue
from flowbuilder.secrecy.keyring import add_key
from flowbuilder.strictjson import load_document
from tests.support.api import ECHO, INPUT, problem
from tests.support.fake_openai import Answer, fake_openai
from tests.support.fortress import assert_healthy, fortress, one_step, ran
from tests.support.loopback import Reply, Request, Site, site
from tests.support.tenants import Headers, Town

ODD_MCP = Path(__file__).parents[1] / "support" / "odd_mcp.py"
#: Texts of JSON, or of what wants to be some.
BAD: dict[str, str] = {
    "A39-nan": "NaN",
    "A39-infinity": "Infinity",
    "A39-minus-infinity": "-Infinity",
    "A39-1e999": "1e999",
    "A40-lists": "[" * 100_000 + "]" * 100_000,
    "A40-objects": '{"a":' * 5000 + "1" + "}" * 5000,
    "A40-open": "[" * 100_000,
    "A40-one-too-deep": "[" * 33 + "]" * 33,
    "A41-integer": "9" * 5000,
    "A41-beyond-64-bits": "18446744073709551616",
    "A41-below-64-bits": "-9223372036854775809",
    "A42-surrogate": '"\\ud800"',
    "A42-swapped": '"\\udc00\\ud800"',
    "A42-key": '{"\\ud800": 1}',
    "A43-nul": '"a\\u0000b"',
    "A43-nul-key": '{"a\\u0000b": 1}',
    "A44-exponent": "1e131000",
    "A44-small-text": "1" + "0" * 400 + ".5",
    "A46-twice": '{"a": 1, "a": 2}',
    "A46-twice-escaped": '{"a": 1, "\\u0061": 2}',
    "A46-comment": "[1, /* x */ 2]",
    "A46-python": "{'a': None}",
    "A46-trailing": '{"a": 1,}',
    "A46-two": "{} {}",
    "A46-hex": "0x10",
    "A46-point": ".5",
    "A46-tab": '"a\tb"',
    "A46-nothing": "",
}
#: Values at the bounds, which have to come back as they are.
GOOD: list[Any] = [
    [0, False, "", None, [], {}],
    18446744073709551615,
    -9223372036854775808,
    "\U0001f4a5 \u202e \ufffe",
    {"": {"__proto__": None}},
    "10000-01-01T00:00:00Z",
    1e308,
    5e-324,
]


def codes(answer: dict[str, Any]) -> set[str]:
    return {item["code"] for item in answer["errors"]} | {answer["code"]}


@pytest.fixture
def elsewhere() -> Iterator[Site]:
    """A server that answers with the bad value named in the address."""

    def answer(request: Request) -> Reply:
        name = request.path.strip("/").partition("?")[0]
        kind = {"Content-Type": "application/json"}
        return Reply(BAD[name].encode("utf-8"), headers=kind)

    with site(answer) as running:
        yield running


@tool("odd.value")
def odd_value(kind: str) -> Any:
    """Give back what no JSON may hold."""
    deep: Any = 1
    for _ in range(500):
        deep = [deep]
    endless: list[Any] = []
    endless.append(endless)
    return {
        "nan": float("nan"),
        "infinity": float("inf"),
        "nul": {"a": "\0"},
        "surrogate": ["\ud800"],
        "surrogate-key": {"\udfff": 1},
        "integer": 10**5000,
        "deep": deep,
        "endless": endless,
        "bytes": b"x",
        "object": object(),
        "set": {1, 2},
        "large": "x" * 2_000_000,
        "keys": {f"k{n}": n for n in range(200_000)},
        "number-key": {1: 2},
    }[kind]


ODD = ["nan", "infinity", "nul", "surrogate", "surrogate-key", "integer", "deep", "endless",
       "object", "large", "keys"]  # fmt: skip


@pytest.fixture
async def plain(dsn: str) -> AsyncIterator[Town]:
    async with fortress(dsn, tools=[odd_value]) as opened:
        yield opened


@pytest.fixture
async def place(
    dsn: str, elsewhere: Site, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Town]:
    get: dict[str, Any] = {"operationId": "show", "responses": {}}
    get["parameters"] = [{"name": "id", "in": "path", "schema": {"type": "string"}}]
    document = {"openapi": "3.1.0", "paths": {"/{id}": {"get": get}}}
    (tmp_path / "api.json").write_text(json.dumps(document))
    connections: dict[str, Any] = {
        "openapi": {"api": {"document": "api.json", "server": elsewhere.url}},
    }
    if "mcp" in request.node.name:
        server = {"command": sys.executable, "args": [str(ODD_MCP)], "timeout": "60s"}
        connections["mcp"] = {"odd": {**server, "effects": {"odd": "read"}}}
    (tmp_path / "connections.json").write_text(json.dumps(connections))
    add_key(tmp_path / "keys")
    settings: dict[str, Any] = {
        "connections": tmp_path / "connections.json",
        "secret_key_file": tmp_path / "keys",
    }
    async with fortress(dsn, tools=[odd_value], http_allow_private=True, **settings) as opened:
        yield opened


@pytest.fixture
async def ada(place: Town) -> Headers:
    return await place.person("ada", "default", "admin", admin=True)


async def send(place: Town, who: Headers, path: str, content: str | bytes) -> Any:
    kind = {"Content-Type": "application/json"}
    return await place.call(who, "POST", path, content=content, headers=kind)


async def test_a39_to_a46_at_the_body_of_a_request(plain: Town) -> None:
    ada = await plain.person("ada", "default", "admin", admin=True)
    flow = json.dumps(one_step("test.echo", {"value": 1}))
    for name, text in BAD.items():
        for path, body in (
            ("/runs", f'{{"document": {flow}, "input": {text}}}'),
            ("/events", f'{{"name": "paid", "payload": {text}}}'),
            ("/plans", f'{{"goal": "quick", "input": {text}}}'),
            ("/flows", f'{{"flow": "x", "steps": [], "description": {text}}}'),
            ("/flows/import", f'{{"flows": [{text}]}}'),
            ("/runs", text),
        ):
            if (name, path) == ("A46-nothing", "/flows/import"):
                continue  # a list of none
            answer = await send(plain, ada, path, body)
            assert answer.status_code in (400, 413, 422), (name, path, answer.text[:300])
            problem(answer, answer.status_code)
    await assert_healthy(plain, ada)


async def test_a45_bodies_that_are_large(plain: Town) -> None:
    ada = await plain.person("ada", "default", "admin", admin=True)
    keys = {f"k{n}": n for n in range(200_000)}
    for value in ("x" * 10_000_000, keys, [0] * 2_000_000, {"x" * 2_000_000: 1}):
        body = json.dumps({"document": one_step("test.echo", {"value": 1}), "input": value})
        answer = await send(plain, ada, "/runs", body)
        assert answer.status_code in (413, 422), answer.text[:300]
        problem(answer, answer.status_code)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100_000):
            yield b" " * 65_536

    answer = await plain.call(
        ada, "POST", "/runs", content=endless(), headers={"Content-Type": "application/json"}
    )
    assert problem(answer, 413)["code"] == "body_too_large"
    for length in ("-1", "1e9", "9" * 40, " 5", "\u0665"):
        answer = await plain.call(
            ada,
            "POST",
            "/runs",
            content=b"{}",
            headers={b"Content-Length": length.encode(), b"Content-Type": b"application/json"},
        )
        assert answer.status_code in (400, 413, 422), answer.text
    await assert_healthy(plain, ada)


async def test_a46_bodies_that_say_to_be_something_else(plain: Town) -> None:
    ada = await plain.person("ada", "default", "admin", admin=True)
    body = b'{"goal": "quick"}'
    for kind, content in (
        ("text/plain", body),
        ("text/html", body),
        ("application/xml", b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n{}"),
        ("application/x-www-form-urlencoded", b"goal=quick"),
        ("application/json; charset=utf-16", body.decode().encode("utf-16")),
        ("application/json; charset=utf-7", body),
        ("application/x-yaml", b"goal: quick"),
        ("application/zip", b"PK\x03\x04"),
        ("application/pickle", b"cos\nsystem\n(S'id'\ntR."),
    ):
        answer = await plain.call(
            ada, "POST", "/plans", content=content, headers={"Content-Type": kind}
        )
        assert problem(answer, 415)["code"] == "media_type_unsupported", kind
    packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await plain.call(ada, "POST", "/plans", content=body, headers=packed)
    assert problem(answer, 415)
    for content in (body.decode().encode("utf-16"), b"\xff" + body, b"\xc0\x80", b"\xed\xa0\x80"):
        assert problem(await send(plain, ada, "/plans", content), 400)


async def test_what_is_at_the_bounds_comes_back_as_it_is(plain: Town) -> None:
    ada = await plain.person("ada", "default", "admin", admin=True)
    for value in GOOD:
        shown = await ran(plain, ada, one_step("test.echo", {"value": "${{ input }}"}), value)
        assert (shown["status"], shown["output"]) == ("completed", value)
        assert type(shown["output"]) is type(value)


async def test_a46_stored_objects_are_not_brought_to_life(plain: Town) -> None:
    """Members that other readers take for classes, secrets or calls are members like any."""
    ada = await plain.person("ada", "default", "admin", admin=True)
    for value in (
        {"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {"command": "id"}},
        {"lc": 1, "type": "secret", "id": ["PATH"]},
        {"__reduce__": ["os.system", ["id"]]},
        {"py/object": "os.system"},
        {"@type": "java.lang.Runtime"},
        {"$ref": "file:///etc/passwd", "$type": "x"},
        {"__class__": {"__name__": "x"}},
    ):
        shown = await ran(plain, ada, one_step("test.echo", {"value": "${{ input }}"}), value)
        assert (shown["status"], shown["output"], shown["input"]) == ("completed", value, value)


async def test_a39_to_a45_at_what_a_tool_gives_back(plain: Town) -> None:
    ada = await plain.person("ada", "default", "admin", admin=True)
    for kind in ODD:
        shown = await ran(plain, ada, one_step("odd.value", {"kind": kind}))
        assert shown["status"] == "failed", (kind, shown)
        assert shown["error"]["code"] in ("output_invalid", "json_size"), (kind, shown["error"])
    await assert_healthy(plain, ada)


async def test_a39_to_a46_at_what_a_web_server_answers(
    place: Town, ada: Headers, elsewhere: Site
) -> None:
    for name in BAD:
        args = {"url": f"{elsewhere.url}/{name}", "parse": "json"}
        shown = await ran(place, ada, one_step("http.get", args))
        assert shown["status"] == "failed", (name, shown)
        assert shown["error"]["code"] == "json_invalid", (name, shown["error"])
    await assert_healthy(place, ada)


async def test_a39_to_a46_at_what_an_api_answers(place: Town, ada: Headers) -> None:
    for name in BAD:
        shown = await ran(place, ada, one_step("api.show", {"id": name}))
        if shown["status"] == "failed":
            assert shown["error"]["code"] in ("json_invalid", "http_too_large"), (name, shown)
        else:  # what is no JSON, and was not promised to be, is text
            assert isinstance(json.dumps(shown["output"]), str)
    await assert_healthy(place, ada)


async def test_a39_to_a45_at_what_an_mcp_server_answers(place: Town, ada: Headers) -> None:
    shown = await ran(place, ada, one_step("odd.odd", {"kind": "plain"}))
    assert shown["status"] == "completed", shown
    for kind in ("nan", "nul", "surrogate", "deep"):
        shown = await ran(place, ada, one_step("odd.odd", {"kind": kind}))
        assert shown["status"] in ("failed", "completed"), kind
        json.dumps(shown, allow_nan=False).encode()
        assert "\0" not in json.dumps(shown, ensure_ascii=False)
    await assert_healthy(place, ada)


async def test_a19_a39_to_a46_at_what_a_model_answers(dsn: str) -> None:
    """The text of a model's answer, read as the value that was asked for."""
    texts = {name: text[:60_000] for name, text in BAD.items()}
    with fake_openai(Answer("")) as server:
        settings: dict[str, Any] = {
            "model": "local",
            "model_api_base": server.url,
            "model_api_key": "sk-x",
        }
        async with fortress(dsn, model_retries=0, **settings) as place:
            ada = await place.person("ada", "default", "builder")
            schema = {"type": "object", "properties": {"value": {}}, "required": ["value"]}
            for name in texts:
                server.say(Answer(f'{{"value": {texts[name]}}}', piece=4000))
                args = {"text": "x", "schema": schema}
                shown = await ran(place, ada, one_step("llm.extract", args))
                assert shown["status"] == "failed", (name, shown)
                shown = await ran(place, ada, one_step("llm.generate", {"prompt": "x"}))
                assert shown["status"] in ("completed", "failed")
            await assert_healthy(place, ada)


YAML = {
    "aliases": "a: &a [x, x]\nb: [*a, *a]",
    "merge": "a: &a {x: 1}\nb: {<<: *a}",
    "python": "a: !!python/object/apply:os.system ['id']",
    "name": "a: !!python/name:os.system",
    "binary": "a: !!binary aGk=",
    "own tag": "a: !secret x",
    "deep": "- " * 5000,
    "flow deep": "[" * 5000,
    "twice": "flow: a\nflow: b",
    "number key": "1: a",
    "nan": "flow: x\nsteps: []\ninput: {default: .nan}",
    "infinity": "flow: x\nsteps: []\ninput: {default: -.inf}",
    "nul": 'flow: "a\\0b"',
    "surrogate": 'flow: "\\ud800"',
    "two documents": "a: 1\n---\nb: 2",
    "entities": '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
    "large": "a: " + "x" * 9_000_000,
}


async def test_a46_at_documents_in_yaml(plain: Town) -> None:
    ada = await plain.person("ada", "default", "builder")
    kind = {"Content-Type": "application/yaml"}
    for name, text in YAML.items():
        answer = await plain.call(ada, "POST", "/flows/import", content=text.encode(), headers=kind)
        assert answer.status_code in (400, 413, 422), (name, answer.text)
        assert "root:" not in json.dumps(problem(answer, answer.status_code))
        try:
            load_document(text, name="flow.yaml")
        except InvalidValue as error:
            assert "root:" not in error.message
    await assert_healthy(plain, ada)


def test_a39_to_a46_at_the_command_line(dsn: str, tmp_path: Path) -> None:
    flow = tmp_path / "flow.yaml"
    flow.write_text(json.dumps({"flow": "x", "input": INPUT, "steps": [
        {**ECHO, "tool": "text.template", "args": {"template": "x", "values": {}}}]}))  # fmt: skip

    def said(*words: str) -> tuple[int, str]:
        line = hoist(["--json", "--database-url", dsn, *words])
        done = CliRunner().invoke(app, line)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert "Traceback" not in done.output
        return done.exit_code, done.output

    for name, text in BAD.items():
        if len(text) > 20_000:
            continue  # longer than one word of a command line may be
        code, output = said("run", str(flow), "--input", f'{{"value": {text}}}')
        assert code in (1, 2), (name, output)
        assert '"error"' in output, (name, output)
        given = tmp_path / "bad.json"
        given.write_text(text)
        code, output = said("validate", str(given))
        assert code in (1, 2), (name, output)
    for name, text in YAML.items():
        given = tmp_path / "bad.yaml"
        given.write_text(text)
        code, output = said("validate", str(given))
        assert code in (1, 2), (name, output[:300])


async def test_a46_cells_of_an_export_are_data(plain: Town) -> None:
    """No export here is a table for spreadsheets: what begins with `=` stays in JSON and YAML."""
    ada = await plain.person("ada", "default", "admin", admin=True)
    for text in ("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "\t=1", "<img src=x onerror=1>"):
        document = one_step("test.echo", {"value": text})
        document["description"] = text
        assert (await plain.call(ada, "PUT", "/flows/one", json=document)).status_code < 300
        for kind in ("json", "yaml"):
            exported = await plain.call(ada, "GET", f"/flows/one/export?format={kind}")
            assert exported.headers["content-type"].startswith(
                ("application/json", "application/yaml")
            )
            assert exported.headers["content-disposition"].startswith("attachment")
            assert exported.headers["x-content-type-options"] == "nosniff"
            read = load_document(exported.text, name=f"x.{kind}")
            assert isinstance(read, dict)
            assert read["description"] == text
