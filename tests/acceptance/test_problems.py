"""What is no success is a problem document, whatever was asked, and each code is on one page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from flowbuilder.settings import Settings
from tests.acceptance.test_http import Service, serving
from tests.support.api import Raising, app_over, http, problem
from tests.support.problem_codes import FILE, REFRESH, ROOT, codes, page


def test_the_page_of_problems_has_every_code() -> None:
    stored = (ROOT / FILE).read_text(encoding="utf-8")
    missing = [code for code in codes() if f"| `{code}` |" not in stored]
    assert stored == page(), f"{FILE} is old ({missing[:20]}): run `{REFRESH}`"


def test_codes_are_found_where_they_are_said() -> None:
    found = codes()
    assert found["run_not_found"][0] == ["404"]
    assert found["body_too_large"][0] == ["413"]
    assert found["flow_archived"][0] == ["409"]
    assert "finding" in found["unknown_key"][0]
    assert found["tool_suspended"][0] == ["step"]
    assert found["request_malformed"] == (["400"], "This is no request that could be read.")


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving(app_over(Raising(AssertionError("reached")), Settings(auth="local"))) as one:
        yield one


UNREADABLE = [
    b"\r\n\r\nhello\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
]


@pytest.mark.parametrize("sent", UNREADABLE)
async def test_what_is_no_http_gets_a_problem(service: Service, sent: bytes) -> None:
    port = int(service.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split()[1])
    assert status in (400, 405), answer
    assert b"content-type: application/problem+json" in head.lower()
    document = json.loads(body)
    assert document["status"] == status
    if status == 400:
        assert document["code"] == "request_malformed"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("TRACE", "/api/v1/runs", "GET, HEAD, POST"),
        ("OPTIONS", "/api/v1/flows/validate", "POST"),
        ("PATCH", "/api/v1/flows/x", "DELETE, GET, HEAD, PUT"),
        ("HEAD", "/api/v1/flows/x/archive", "POST"),
        ("DELETE", "/healthz", "GET, HEAD"),
        ("BREW", "/openapi.json", "GET, HEAD"),
    ],
)
async def test_other_methods_are_told_which_there_are(method: str, path: str, allow: str) -> None:
    async with http(app_over(Raising(AssertionError("reached")))) as client:
        answer = await client.request(method, path)
        assert answer.status_code == 405
        assert answer.headers["allow"] == allow
        if method != "HEAD":
            assert problem(answer, 405)["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1/", "/api/v1/runs/", "//api/v1/runs", "/*"])
async def test_addresses_that_are_none(path: str) -> None:
    async with http(app_over(Raising(AssertionError("reached")))) as client:
        answer = await client.get(f"http://127.0.0.1{path}")
        assert problem(answer, 404)["code"] == "not_found"


WRONG = [
    "limit=1_000",
    "limit=1.0",
    "limit=%201",
    "limit=%2B1",
    "limit=01",
    "limit=%EF%BC%91",
    "limit=9223372036854775808",
    "limit=1&limit=2",
    "limit=",
    "sort=created_at",
    "flow=a&x')%20or%201=1%20--=1",
    "workspace_id=1",
    "%00=1",
    "status=nothing",
    "LIMIT=1",
]


@pytest.mark.parametrize("query", WRONG)
async def test_what_an_address_asks_is_taken_by_the_letter(query: str) -> None:
    async with http(app_over(Raising(AssertionError("reached")))) as client:
        answer = problem(await client.get(f"/api/v1/runs?{query}"), 422)
        assert answer["code"] == "parameter_invalid"
        assert answer["errors"][0]["in"] == "query"


@pytest.mark.parametrize("text", ["1", "0", "yes", "on", "True", ""])
async def test_yes_and_no_are_true_and_false(text: str) -> None:
    async with http(app_over(Raising(AssertionError("reached")))) as client:
        answer = await client.post(f"/api/v1/flows?draft={text}", json={})
        assert problem(answer, 422)["code"] == "parameter_invalid"


@pytest.mark.parametrize("number", ["1_0", "1.0", "%201", "+1", "０", "9" * 19, "-1", "0", "1e3"])
async def test_numbers_in_paths_are_digits(number: str) -> None:
    async with http(app_over(Raising(AssertionError("reached")))) as client:
        answer = await client.get(f"/api/v1/flows/some/versions/{number}")
        assert answer.status_code in (404, 422)
        problem(answer, answer.status_code)
