"""What holds for every route: it is under the caller's check, and documented."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts

from flowbuilder.api.surface import surface
from tests.support.api import Raising, Recording, app_over, http, problem, users_settings

#: The others are asked one by one in tests/acceptance/test_access.py.
PUBLIC = {
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/metrics",
    "/api/v1/auth/token",
    "/api/v1/auth/invitation",
    "/hooks/{hook}",
    "/approve/{token}",
}
#: POST and PUT that take no body.
BODILESS = (
    *("refresh", "pause", "links", "resume", "versions", "archive", "restore"),
    *("invitation", "logout"),
)
ID = "5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11"


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Every documented operation: method, path, document."""
    paths = app_over(Raising(AssertionError())).openapi()["paths"]
    return [(m.upper(), p, operation) for p, item in paths.items() for m, operation in item.items()]


def test_the_document_lists_every_route() -> None:
    app = app_over(Raising(AssertionError()))
    routes = {(m, c.path) for c in iter_route_contexts(app.routes) for m in c.methods or ()}
    documented = {(method, path) for method, path, _ in operations()}
    assert {route for route in routes if route[0] != "HEAD"} - documented == {
        ("GET", "/openapi.json")
    }
    assert documented <= routes


async def test_applications_share_routes_and_nothing_else() -> None:
    alone, guarded = Recording(), Recording()
    one, other = app_over(alone), app_over(guarded, users_settings(rate_limits="off"))
    shared = {id(route) for route in surface().routes}
    assert shared
    assert shared <= {id(route) for route in one.routes} & {id(route) for route in other.routes}
    async with http(one) as client, http(other) as stranger:
        problem(await stranger.get("/api/v1/flows"), 401)
        problem(await client.get("/api/v1/flows"), 500)  # what the stand-in answers with
    assert [name for name, *_ in alone.calls] == ["list_flows"]
    assert guarded.calls == []


async def test_all_but_the_public_routes_are_denied_without_a_caller() -> None:
    builder = Raising(AssertionError("reached the client without a caller"))
    app = app_over(builder, users_settings(rate_limits="off"))
    asked = 0
    async with http(app) as client:
        for method, path, _ in operations():
            if path in PUBLIC:
                continue
            # not even JSON: who is calling is asked before anything is read
            address = re.sub(r"\{\w+\}", ID, path)
            response = await client.request(method, address, content=b"{")
            assert problem(response, 401)["code"] == "unauthorized", (method, path)
            asked += 1
    assert asked == sum(path not in PUBLIC for _, path, _ in operations())


@pytest.mark.parametrize(("method", "path", "operation"), operations())
def test_every_operation_is_documented(method: str, path: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert operation["operationId"]
    if path == "/healthz":
        return
    if path.endswith("/auth/token"):  # a form, as OAuth 2.0 sends it
        assert {"400", "401", "413", "415", "429"} <= operation["responses"].keys()
    problems = {
        status: answer for status, answer in operation["responses"].items() if status >= "400"
    }
    assert {"500", "503"} <= problems.keys()
    for status, answer in problems.items():
        if path == "/approve/{token}" and status in ("403", "404", "409", "410", "422"):
            assert set(answer["content"]) <= {"text/html", "application/problem+json"}
            continue  # said on the page itself
        schema = answer["content"]["application/problem+json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Problem"}
        assert list(answer["content"]) == ["application/problem+json"]
    if "{" in path:
        assert "404" in problems
    if "requestBody" in operation:
        assert {"400", "413", "415", "422"} <= problems.keys()
    elif method in ("POST", "PUT"):
        assert path.rsplit("/", 1)[1] in BODILESS


def test_streams_and_references_are_documented() -> None:
    document = app_over(Raising(AssertionError())).openapi()
    paths = document["paths"]
    events = paths["/api/v1/runs/{run_id}/events"]["get"]
    assert set(events["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    assert {"after", "limit", "last-event-id", "accept"} <= {
        item["name"].lower() for item in events["parameters"]
    }
    assert "text/event-stream" in paths["/api/v1/plans"]["post"]["responses"]["200"]["content"]
    for path in ("/runs", "/plans/{plan_id}/accept", "/approvals/{approval_id}/decision"):
        names = {item["name"].lower() for item in paths[f"/api/v1{path}"]["post"]["parameters"]}
        assert "idempotency-key" in names
    known = document["components"]["schemas"]
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in known, reference
    assert "Flow" in known


def references(node: object) -> list[str]:
    """Every `$ref` in a document."""
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    if isinstance(node, list):
        return [found for value in node for found in references(value)]
    return []
