"""Every body passes one gate: what is no strict JSON comes no further, and gives no 500."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flowbuilder.settings import Settings
from tests.support.api import Recording, app_over, http, problem

ID = "5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11"
JSON = {"Content-Type": "application/json"}
ROUTES = [
    ("POST", "/api/v1/plans"),
    ("POST", f"/api/v1/plans/{ID}/accept"),
    ("POST", "/api/v1/flows"),
    ("POST", "/api/v1/flows/validate"),
    ("PUT", "/api/v1/flows/x"),
    ("POST", "/api/v1/flows/x/steps"),
    ("POST", "/api/v1/runs"),
    ("POST", f"/api/v1/runs/{ID}/cancel"),
    ("POST", f"/api/v1/approvals/{ID}/decision"),
]
BROKEN = {
    "not JSON": b"{",
    "text": b"hello",
    "two values": b"{} {}",
    "trailing comma": b'{"a": 1,}',
    "single quotes": b"{'a': 1}",
    "comment": b"{} // no",
    "NaN": b'{"input": NaN}',
    "Infinity": b'{"input": [Infinity]}',
    "minus Infinity": b'{"input": -Infinity}',
    "1e999": b'{"input": 1e999}',
    "huge exponent": b'{"input": 1e131000}',
    "5,000 digits": b'{"input": ' + b"1" * 5000 + b"}",
    "lone surrogate": b'{"input": "\\ud800"}',
    "lone surrogate in a key": b'{"\\udfff": 1}',
    "NUL": b'{"input": "a\\u0000b"}',
    "NUL in a key": b'{"a\\u0000": 1}',
    "raw NUL": b'{"input": "\x00"}',
    "duplicate keys": b'{"input": {"a": 1, "a": 2}}',
    "duplicate keys, one escaped": b'{"goal": "x", "go\\u0061l": "y"}',
    "50 levels": b'{"input": ' + b"[" * 50 + b"]" * 50 + b"}",
    "100,000 levels": b"[" * 100_000 + b"]" * 100_000,
    "open levels": b'{"a":' * 100_000,
    "bad UTF-8": b'{"input": "\xff"}',
    "UTF-8 of a surrogate": b'{"input": "\xed\xa0\x80"}',
    "UTF-16": '{"input": 1}'.encode("utf-16"),
    "null": b"null",
    "number": b"0",
    "array": b"[]",
    "string": b'""',
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN.keys())
async def test_what_is_no_strict_json_object_is_refused(raw: bytes) -> None:
    builder = Recording()
    async with http(app_over(builder)) as client:
        for method, path in ROUTES:
            response = await client.request(method, path, content=raw, headers=JSON)
            assert response.status_code in (400, 422), (method, path)
            body = problem(response, response.status_code)
            assert body["errors"], "a finding with its pointer"
    assert builder.calls == []


async def test_not_every_one_of_many_findings_is_told() -> None:
    unknown: dict[str, Any] = {f"k{number}": number for number in range(5_000)}
    many = {"name": "x", "scopes": ["read"], "kind": "mcp", "url": "https://a.example"}
    many["headers"] = {f"h{number}": number for number in range(5_000)}  # type: ignore[assignment]
    async with http(app_over(Recording())) as client:
        for path, body, pointer in (
            ("/api/v1/plans", unknown, "/goal"),
            ("/api/v1/runs", {**unknown, "priority": 7}, "/priority"),
            ("/api/v1/connections", many, "/headers/h0"),
        ):
            response = await client.post(path, json=body)
            found = problem(response, 422)
            assert (found["code"], len(found["errors"])) == ("body_invalid", 101)
            assert found["errors"][-1]["code"] == "more_problems"
            assert pointer in [item["pointer"] for item in found["errors"]]
            assert len(response.content) < 65_536


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        (b'{"input": {"a": [1, 1e999]}}', "/input/a/1"),
        (b'{"input": {"a/b": "\\ud800"}}', "/input/a~1b"),
        (b'{"input": ["x", "\\u0000"]}', "/input/1"),
    ],
)
async def test_the_pointer_says_where(raw: bytes, pointer: str) -> None:
    async with http(app_over(Recording())) as client:
        response = await client.post("/api/v1/runs", content=raw, headers=JSON)
    assert problem(response, 400)["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/yaml"},
        {"Content-Type": "application/jsonx"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "\xff"},
    ],
)
async def test_only_json_is_taken(headers: dict[str, str]) -> None:
    builder = Recording()
    raw = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    async with http(app_over(builder)) as client:
        for method, path in ROUTES:
            response = await client.request(method, path, content=b'{"goal": "x"}', headers=raw)
            assert problem(response, 415)["code"] == "media_type_unsupported", (method, path)
    assert builder.calls == []


@pytest.mark.parametrize(
    "media",
    [
        "application/json",
        "application/json; charset=utf-8",
        'Application/JSON;charset="UTF-8"',
        "application/vnd.flow+json",
    ],
)
async def test_json_by_other_names(media: str) -> None:
    builder = Recording()
    async with http(app_over(builder)) as client:
        response = await client.post(
            "/api/v1/plans", content=b'{"goal": "x"}', headers={"Content-Type": media}
        )
    problem(response, 500)
    assert [name for name, _, _ in builder.calls] == ["plan"]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_body_is_read_no_further_than_the_bound(method: str, path: str) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'{"goal": "'
        while sent < 1_000_000:
            sent += 512
            yield b"x" * 512

    builder = Recording()
    app = app_over(builder, Settings(max_body_bytes=4096))
    async with http(app) as client:
        response = await client.request(method, path, content=endless(), headers=JSON)
        assert problem(response, 413)["code"] == "body_too_large"
        assert sent < 10_000
        declared = await client.request(method, path, content=b" " * 4097, headers=JSON)
        assert problem(declared, 413)["code"] == "body_too_large"
    assert builder.calls == []


async def test_a_dense_body_is_refused_before_it_is_read() -> None:
    dense = b'{"input": [' + b"[]," * 300_000 + b"1]}"
    builder = Recording()
    async with http(app_over(builder)) as client:
        for method, path in ROUTES:
            response = await client.request(method, path, content=dense, headers=JSON)
            assert problem(response, 400)["code"] == "json_containers", (method, path)
    assert builder.calls == []


async def test_a_large_body_passes_the_same_gate() -> None:
    builder = Recording()
    async with http(app_over(builder)) as client:
        value = ["x" * 1000] * 500
        await client.post("/api/v1/runs", json={"flow": "x", "input": value})
        bad = b'{"input": ["' + b"x" * 500_000 + b'", 1e999]}'
        response = await client.post("/api/v1/runs", content=bad, headers=JSON)
    assert problem(response, 400)["errors"][0]["pointer"] == "/input/1"
    ((_, run, _),) = builder.calls
    assert run[1] == value


@pytest.mark.parametrize("path", ["/api/v1/plans", "/api/v1/flows", "/api/v1/runs"])
async def test_a_missing_body_is_a_problem(path: str) -> None:
    async with http(app_over(Recording())) as client:
        assert problem(await client.post(path, headers=JSON), 400)["code"] == "body_missing"


@pytest.mark.parametrize(
    ("path", "body", "findings"),
    [
        ("/plans", {"goal": "x", "nope": 1}, {("/nope", "unknown_key")}),
        ("/plans", {"goal": "x", "a/b": 1}, {("/a~1b", "unknown_key")}),
        ("/plans", {}, {("/goal", "key_missing")}),
        ("/plans", {"goal": ""}, {("/goal", "value_invalid")}),
        ("/plans", {"goal": None}, {("/goal", "value_invalid")}),
        ("/plans", {"goal": 1, "x": 1}, {("/goal", "value_invalid"), ("/x", "unknown_key")}),
        ("/plans", {"goal": "x", "input_schema": []}, {("/input_schema", "value_invalid")}),
        ("/runs", {}, {("", "value_invalid")}),
        ("/runs", {"flow": "a", "goal": "b"}, {("", "value_invalid")}),
        ("/runs", {"goal": "b", "version": 1}, {("", "value_invalid")}),
        ("/runs", {"flow": "a b"}, {("/flow", "value_invalid")}),
        ("/runs", {"flow": "a\n"}, {("/flow", "value_invalid")}),
        ("/runs", {"flow": "a", "version": "1"}, {("/version", "value_invalid")}),
        ("/runs", {"flow": "a", "version": True}, {("/version", "value_invalid")}),
        ("/runs", {"flow": "a", "version": 0}, {("/version", "value_invalid")}),
        ("/runs", {"flow": "a", "version": 2**40}, {("/version", "value_invalid")}),
        ("/runs", {"document": "x"}, {("/document", "value_invalid")}),
        (f"/plans/{ID}/accept", {"save": 1}, {("/save", "value_invalid")}),
        (f"/plans/{ID}/accept", {"save": "a b"}, {("/save", "value_invalid")}),
        (f"/plans/{ID}/accept", {"run": 0}, {("/run", "value_invalid")}),
        (f"/plans/{ID}/accept", {"run": False}, {("", "value_invalid")}),
        (f"/approvals/{ID}/decision", {}, {("/decision", "key_missing")}),
        (f"/approvals/{ID}/decision", {"decision": "yes"}, {("/decision", "value_invalid")}),
        (f"/approvals/{ID}/decision", {"decision": True}, {("/decision", "value_invalid")}),
        (
            f"/approvals/{ID}/decision",
            {"decision": "approve", "by": ""},
            {("/by", "value_invalid")},
        ),
        (
            f"/approvals/{ID}/decision",
            {"decision": "approve", "args_hash": "A" * 64},
            {("/args_hash", "value_invalid")},
        ),
        (f"/approvals/{ID}/decision", {"decision": "reject", "value": 0}, {("", "value_invalid")}),
        ("/flows/x/steps", {"id": "a"}, {("/tool", "key_missing")}),
        (
            "/flows/x/steps",
            {"id": "a", "tool": "b", "depends_on": ["a", 1]},
            {("/depends_on/1", "value_invalid")},
        ),
        (
            "/flows/x/steps",
            {"id": "a", "tool": "b", "for_each": 5},
            {("/for_each", "value_invalid")},
        ),
        (
            "/flows/x/steps",
            {"id": "a", "tool": "b", "on_error": "x"},
            {("/on_error", "value_invalid")},
        ),
        (f"/runs/{ID}/cancel", {"why": "x"}, {("/why", "unknown_key")}),
    ],
)
async def test_findings_point_into_the_body(
    path: str, body: object, findings: set[tuple[str, str]]
) -> None:
    builder = Recording()
    async with http(app_over(builder)) as client:
        response = await client.post(f"/api/v1{path}", json=body)
    document = problem(response, 422)
    assert document["code"] == "body_invalid"
    assert {(item["pointer"], item["code"]) for item in document["errors"]} == findings
    assert builder.calls == []


@pytest.mark.parametrize("value", [0, False, "", None, [], {}, 0.0, 1.5, 2**64 - 1, "ä💥", " "])
async def test_legitimate_values_arrive_as_they_are(value: Any) -> None:
    builder = Recording()
    async with http(app_over(builder)) as client:
        await client.post("/api/v1/runs", json={"flow": "x", "input": value})
        await client.post("/api/v1/plans", json={"goal": "x", "input": {"a": value}})
        await client.post(
            f"/api/v1/approvals/{ID}/decision", json={"decision": "approve", "value": value}
        )
    (_, run, _), (_, _, plan), (_, _, decision) = builder.calls
    for given, expected in (
        (run[1], value),
        (plan["input"]["a"], value),
        (decision["value"], value),
    ):
        assert json.dumps(given) == json.dumps(expected)


@pytest.mark.parametrize("key", ["", " ", "x" * 201, "a\tb", "é"])
async def test_a_malformed_idempotency_key_is_refused(key: str) -> None:
    builder = Recording()
    async with http(app_over(builder)) as client:
        response = await client.post(
            "/api/v1/runs", json={"flow": "x"}, headers={b"Idempotency-Key": key.encode("latin-1")}
        )
    assert problem(response, 400)["code"] == "idempotency_key_invalid"
    assert builder.calls == []
