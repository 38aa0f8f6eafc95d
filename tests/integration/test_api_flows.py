from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.api import ECHO, INPUT, problem, service

GOOD: dict[str, Any] = {
    "flow": "good",
    "description": "echo and count",
    "input": INPUT,
    "steps": [
        ECHO,
        {"id": "count", "tool": "test.length", "args": {"text": "${{ input.value }}"}},
    ],
    "output": {"falsy": [0, False, "", None, [], {}], "count": "${{ steps.count }}"},
}


@pytest.fixture
async def client(dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    async with service(dsn) as opened:
        yield opened


async def test_a_flow_from_its_creation_to_its_end(client: httpx.AsyncClient) -> None:
    created = await client.post("/api/v1/flows", json=GOOD)
    assert created.status_code == 201
    assert created.headers["location"] == "/api/v1/flows/good"
    draft = created.json()["draft"]
    assert draft["steps"] == GOOD["steps"]
    assert draft["output"] == GOOD["output"]
    assert (await client.get("/api/v1/flows/good")).json() == created.json()
    listed = (await client.get("/api/v1/flows")).json()["items"]
    assert [item["slug"] for item in listed] == ["good"]

    assert (await client.get("/api/v1/flows/good/versions")).json() == {"items": []}
    first = await client.post("/api/v1/flows/good/versions")
    assert (first.status_code, first.json()["version"]) == (201, 1)
    again = await client.post("/api/v1/flows/good/versions")
    assert again.json() == first.json()

    step = {"id": "more", "tool": "test.echo", "args": {"value": 0}, "depends_on": ["count"]}
    added = await client.post("/api/v1/flows/good/steps", json=step)
    assert added.status_code == 201
    assert added.json()["draft"]["steps"][2] == step
    second = (await client.post("/api/v1/flows/good/versions")).json()
    assert second["version"] == 2
    assert (await client.get("/api/v1/flows/good/versions/1")).json() == first.json()
    items = (await client.get("/api/v1/flows/good/versions")).json()["items"]
    assert [item["version"] for item in items] == [2, 1]

    replaced = await client.put("/api/v1/flows/good", json={**GOOD, "description": None})
    assert replaced.status_code == 200
    assert replaced.json()["description"] is None
    new = await client.put("/api/v1/flows/other", json={"steps": GOOD["steps"], "input": INPUT})
    assert (new.status_code, new.json()["slug"]) == (201, "other")

    assert (await client.delete("/api/v1/flows/good")).status_code == 204
    problem(await client.delete("/api/v1/flows/good"), 404)
    problem(await client.get("/api/v1/flows/good"), 404)
    problem(await client.get("/api/v1/flows/good/versions/3"), 404)


async def test_a_draft_grows_step_by_step(client: httpx.AsyncClient) -> None:
    empty = {"flow": "grown", "input": INPUT}
    assert (await client.post("/api/v1/flows?draft=true", json=empty)).status_code == 201
    assert problem(await client.post("/api/v1/flows/grown/versions"), 422)["errors"]
    assert (await client.post("/api/v1/flows/grown/steps", json=ECHO)).status_code == 201
    twice = await client.post("/api/v1/flows/grown/steps", json=ECHO)
    assert problem(twice, 422)["errors"]
    unknown = await client.post("/api/v1/flows/grown/steps", json={**ECHO, "id": "b", "tool": "x"})
    assert problem(unknown, 422)["errors"][0]["pointer"].startswith("/steps/1")
    problem(await client.post("/api/v1/flows/none/steps", json=ECHO), 404)
    draft = (await client.get("/api/v1/flows/grown")).json()["draft"]
    assert draft["steps"] == [ECHO]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"flow": 1},
        {"flow": "x", "steps": [ECHO]},
        {"flow": "x", "output": 1},
        {"flow": "x", "input": []},
        {"flow": "x", "description": 0},
        {"flow": "a b"},
        {"flow": "x", "input": {"type": "nothing"}},
    ],
)
async def test_a_wrong_draft_is_refused(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    response = await client.post("/api/v1/flows?draft=true", json=body)
    assert problem(response, 422)["errors"]
    assert (await client.get("/api/v1/flows")).json() == {"items": []}


async def test_of_two_with_one_name_the_second_gets_a_conflict(client: httpx.AsyncClient) -> None:
    posts = [client.post("/api/v1/flows", json={**GOOD, "description": str(n)}) for n in range(4)]
    answers = await asyncio.gather(*posts)
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    for answer in answers:
        if answer.status_code == 409:
            assert problem(answer, 409)["code"] == "flow_exists"
    (won,) = [answer.json() for answer in answers if answer.status_code == 201]
    assert (await client.get("/api/v1/flows/good")).json() == won


async def test_validation_stores_nothing(client: httpx.AsyncClient) -> None:
    good = await client.post("/api/v1/flows/validate", json=GOOD)
    assert (good.status_code, good.json()["valid"]) == (200, True)
    bad = copy.deepcopy(GOOD)
    bad["steps"][0]["tool"] = "nothing.here"
    bad["steps"][1]["args"]["nope"] = 1
    body = problem(await client.post("/api/v1/flows/validate", json=bad), 422)
    pointers = {item["pointer"] for item in body["errors"]}
    assert "/steps/0/tool" in pointers
    assert any(pointer.startswith("/steps/1/args") for pointer in pointers)
    assert (await client.get("/api/v1/flows")).json() == {"items": []}

    problem(await client.post("/api/v1/flows/good/validate", json=GOOD), 404)
    await client.post("/api/v1/flows", json=GOOD)
    assert (await client.post("/api/v1/flows/good/validate")).json()["valid"] is True
    problem(await client.post("/api/v1/flows/good/validate", json=bad), 422)
    other = problem(
        await client.post("/api/v1/flows/good/validate", json={**GOOD, "flow": "x"}), 422
    )
    assert [item["pointer"] for item in other["errors"]] == ["/flow"]


def _nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


def _step(**changes: Any) -> dict[str, Any]:
    return {**ECHO, **changes}


def _with(*steps: Any, **changes: Any) -> dict[str, Any]:
    return {"flow": "bad", "input": INPUT, "steps": list(steps), **changes}


BROKEN: dict[str, Any] = {
    "nothing": {},
    "no name": {"steps": [ECHO]},
    "no steps": {"flow": "bad"},
    "empty steps": _with(),
    "null steps": {"flow": "bad", "steps": None},
    "steps are an object": {"flow": "bad", "steps": {}},
    "a step is null": _with(None),
    "a step is a number": _with(0),
    "a step is empty": _with({}),
    "name with a space": _with(ECHO, flow="a b"),
    "name is null": _with(ECHO, flow=None),
    "name is zero": _with(ECHO, flow=0),
    "name is empty": _with(ECHO, flow=""),
    "name ends with a line break": _with(ECHO, flow="bad\n"),
    "other format": _with(ECHO, format="flow.v9"),
    "unknown key": _with(ECHO, nope=1),
    "unknown step key": _with(_step(nope=1)),
    "unknown tool": _with(_step(tool="nothing.here")),
    "unknown version of a tool": _with(_step(tool="test.echo@99")),
    "tool is a number": _with(_step(tool=7)),
    "cycle": _with(
        _step(id="a", args={"value": "${{ steps.b }}"}),
        _step(id="b", args={"value": "${{ steps.a }}"}),
    ),
    "self reference": _with(_step(args={"value": "${{ steps.echo }}"})),
    "self dependency": _with(_step(depends_on=["echo"])),
    "missing argument": _with(_step(args={})),
    "extra argument": _with(_step(args={"value": 1, "nope": 2})),
    "arguments are a list": _with(_step(args=[1])),
    "wrong type": _with(_step(tool="test.length", args={"text": 5})),
    "wrong type through a reference": _with(
        _step(id="n", tool="test.length", args={"text": "abc"}),
        _step(id="m", tool="test.length", args={"text": "${{ steps.n }}"}),
    ),
    "field of a number": _with(
        _step(id="n", tool="test.length", args={"text": "abc"}),
        _step(args={"value": "${{ steps.n.items }}"}),
    ),
    "duplicate id": _with(ECHO, ECHO),
    "id with a dash": _with(_step(id="a-b")),
    "reference to nothing": _with(_step(args={"value": "${{ steps.ghost }}"})),
    "unknown root": _with(_step(args={"value": "${{ env.HOME }}"})),
    "code in a reference": _with(_step(args={"value": "${{ __import__('os') }}"})),
    "item outside a map": _with(_step(args={"value": "${{ item }}"})),
    "open reference": _with(_step(args={"value": "${{ input.value"})),
    "dependency on nothing": _with(_step(depends_on=["ghost"])),
    "for_each over a number": _with(_step(for_each=5)),
    "when is no expression": _with(_step(when="1 +")),
    "timeout is no duration": _with(_step(timeout="soon")),
    "negative timeout": _with(_step(timeout=-1)),
    "too many attempts": _with(_step(retry={"max_attempts": 10**9})),
    "unknown policy": _with(_step(retry={"often": True})),
    "unknown on_error": _with(_step(on_error="explode")),
    "unknown trigger rule": _with(_step(trigger_rule="maybe")),
    "concurrency zero": _with(_step(for_each=[1], concurrency=0)),
    "input is no schema": _with(ECHO, input={"type": "nothing"}),
    "input is a list": _with(ECHO, input=[]),
    "output of nothing": _with(ECHO, output="${{ steps.ghost }}"),
    "10,000 steps": _with(*({"id": f"s{n}", "tool": "test.echo"} for n in range(10_000))),
    "50 levels": _with(_step(args={"value": _nested(50)})),
    "a number beyond every bound": _with(_step(concurrency=10**400)),
    "long description": _with(ECHO, description="x" * 100_000),
    "a list": [],
    "text": "flow",
    "null": None,
    "false": False,
    "zero": 0,
}


@pytest.mark.parametrize("document", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_document_is_refused_with_pointers_and_not_stored(
    client: httpx.AsyncClient, document: Any
) -> None:
    sent: list[tuple[str, str, Any]] = [
        ("POST", "/api/v1/flows", document),
        ("PUT", "/api/v1/flows/bad", document),
        ("POST", "/api/v1/flows/validate", document),
        ("POST", "/api/v1/runs", {"document": document, "input": {"value": 1}}),
    ]
    for method, path, body in sent:
        response = await client.request(method, path, json=body)
        if method == "PUT" and response.status_code == 201:
            assert isinstance(document, dict)
            assert "flow" not in document, "only the name was missing, and the address has it"
            await client.delete("/api/v1/flows/bad")
            continue
        assert response.status_code in (400, 422), (path, response.text)
        found = problem(response, response.status_code)
        assert found["errors"], (path, found)
        assert all(item["code"] and item["message"] for item in found["errors"])
    assert (await client.get("/api/v1/flows")).json() == {"items": []}
    assert (await client.get("/api/v1/runs")).json()["items"] == []
