"""Flows as documents: what state they are in, who changed them last, in and out as files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import yaml

from tests.support.api import ECHO, INPUT, problem, service

FLOW: dict[str, Any] = {
    "flow": "good",
    "description": "Ünïcode: yes, 010 and ~",
    "input": INPUT,
    "steps": [{**ECHO, "args": {"value": [0, False, "", None, [], {}, "yes", "010"]}}],
    "output": "${{ steps.echo }}",
}
WHERE = "/api/v1/flows/good"


@pytest.fixture
async def client(dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    async with service(dsn) as opened:
        yield opened


async def test_draft_active_archived_and_back(client: httpx.AsyncClient) -> None:
    assert (await client.post("/api/v1/flows", json=FLOW)).json()["state"] == "draft"
    await client.post(f"{WHERE}/versions")
    assert (await client.get(WHERE)).json()["state"] == "active"
    # a started flow is remembered: archiving reaches it all the same
    body = {"flow": "good", "input": {"value": 1}}
    assert (await client.post("/api/v1/runs", json=body)).status_code == 201
    archived = (await client.post(f"{WHERE}/archive")).json()
    assert archived["state"] == "archived"
    assert archived["archived_at"] is not None
    for refused in (
        client.post("/api/v1/runs", json=body),
        client.post("/api/v1/runs", json={**body, "version": 1}),
        client.post(f"{WHERE}/versions"),
    ):
        assert problem(await refused, 409)["code"] == "flow_archived"
    again = (await client.post(f"{WHERE}/archive")).json()
    assert again["archived_at"] == archived["archived_at"]
    listed = {
        state: len((await client.get(f"/api/v1/flows?{state}")).json()["items"])
        for state in ("", "state=archived", "state=active", "state=draft", "state=all")
    }
    assert listed == {
        "": 0,
        "state=archived": 1,
        "state=active": 0,
        "state=draft": 0,
        "state=all": 1,
    }
    assert (await client.post(f"{WHERE}/restore")).json()["state"] == "active"
    assert (await client.post("/api/v1/runs", json=body)).status_code == 201
    assert problem(await client.post("/api/v1/flows/none/archive"), 404)


async def test_nobody_overwrites_what_they_have_not_seen(client: httpx.AsyncClient) -> None:
    created = await client.post("/api/v1/flows", json=FLOW)
    tag = created.headers["etag"]
    assert (await client.get(WHERE)).headers["etag"] == tag
    same = await client.get(WHERE, headers={"If-None-Match": f'W/"x", {tag}'})
    assert (same.status_code, same.content) == (304, b"")
    changed = await client.put(WHERE, json=FLOW, headers={"If-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    for headers in (
        {"If-Match": tag},
        {"If-Match": f"W/{changed.headers['etag']}"},
        {"If-Match": "no tag"},
        {"If-None-Match": "*"},
    ):
        late = await client.put(WHERE, json=FLOW, headers=headers)
        assert problem(late, 412)["code"] == "precondition_failed"
    for removed in (tag, '"x"'):
        late = await client.delete(WHERE, headers={"If-Match": removed})
        assert problem(late, 412)["code"] == "precondition_failed"
    newest = (await client.get(WHERE)).headers["etag"]
    assert newest == changed.headers["etag"]
    assert (await client.delete(WHERE, headers={"If-Match": newest})).status_code == 204
    gone = await client.put(WHERE, json=FLOW, headers={"If-Match": "*"})
    assert problem(gone, 412)
    assert (await client.put(WHERE, json=FLOW, headers={"If-None-Match": "*"})).status_code == 201


async def test_of_many_who_have_seen_the_same_one_changes_it(client: httpx.AsyncClient) -> None:
    tag = (await client.post("/api/v1/flows", json=FLOW)).headers["etag"]
    answers = await asyncio.gather(
        *(
            client.put(WHERE, json={**FLOW, "description": str(n)}, headers={"If-Match": tag})
            for n in range(8)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7


@pytest.mark.parametrize("format", ["json", "yaml"])
async def test_what_goes_out_comes_in_again(client: httpx.AsyncClient, format: str) -> None:
    await client.post("/api/v1/flows", json=FLOW)
    await client.post(f"{WHERE}/versions")
    out = await client.get(f"{WHERE}/export", params={"format": format})
    assert f'filename="good.{format}"' in out.headers["content-disposition"]
    read = json.loads(out.text) if format == "json" else yaml.safe_load(out.text)
    assert read["steps"] == FLOW["steps"]
    numbered = await client.get(f"{WHERE}/export", params={"format": format, "version": 1})
    assert numbered.text == out.text
    media = {"Content-Type": f"application/{format}"}
    path = "/api/v1/flows/import"
    taken = await client.post(path, content=out.text.encode(), headers=media)
    assert problem(taken, 409)["code"] == "flow_exists"
    again = await client.post(f"{path}?replace=true", content=out.text.encode(), headers=media)
    assert again.status_code == 201
    await client.delete(WHERE)
    new = await client.post(path, content=out.text.encode(), headers=media)
    assert new.json()["items"][0]["draft"] == read
    back = await client.get(f"{WHERE}/export", params={"format": format})
    assert back.text == out.text


async def test_an_import_stores_all_or_nothing(client: httpx.AsyncClient) -> None:
    path = "/api/v1/flows/import"
    other = {**FLOW, "flow": "other"}
    wrong = {**FLOW, "flow": "wrong", "steps": [{"id": "x", "tool": "no.such", "args": {}}]}
    refused = problem(await client.post(path, json={"flows": [other, wrong]}), 422)
    assert "/flows/1/steps/0/tool" in [item["pointer"] for item in refused["errors"]]
    twice = problem(await client.post(path, json={"flows": [other, other]}), 422)
    assert twice["errors"][0]["code"] == "flow_twice"
    bodies: list[Any] = [{"flows": 1}, {"flows": [1]}, [], {"flows": [other] * 201}]
    for body in bodies:
        assert problem(await client.post(path, json=body), 422)
    assert (await client.get("/api/v1/flows")).json()["items"] == []
    both = await client.post(path, json={"flows": [FLOW, other]})
    assert [item["slug"] for item in both.json()["items"]] == ["good", "other"]


@pytest.mark.parametrize(
    "text",
    [
        b"a: &a [1]\nb: *a",
        b"\xff\xfe",
        b"{",
        b"flow: !!python/object:os.system x",
        b"a: 1\na: 2",
        b"- " * 300 + b"1",
        b"flow: .nan",
    ],
)
async def test_yaml_that_is_more_than_data_is_refused(
    client: httpx.AsyncClient, text: bytes
) -> None:
    response = await client.post(
        "/api/v1/flows/import", content=text, headers={"Content-Type": "application/yaml"}
    )
    assert response.status_code in (400, 422), response.text
    problem(response, response.status_code)
