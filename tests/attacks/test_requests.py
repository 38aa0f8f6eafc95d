"""A30 to A32, A50: names, ids and members of bodies that try to be more than they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flowbuilder.api.hosts import Hosts
from tests.acceptance.test_http import serving
from tests.support.api import ECHO, INPUT, problem
from tests.support.tenants import Town, town

FLOW = {"flow": "health", "input": INPUT, "steps": [ECHO]}


@pytest.fixture
async def place(dsn: str) -> AsyncIterator[Town]:
    async with town(dsn) as opened:
        await opened.workspace("other")
        yield opened


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/runs/health",
        "/api/v1/runs/ready",
        "/api/v1/flows/healthz",
        "/api/v1/flows/readyz",
        "/api/v1/flows/configs",
        "/api/v1/flows/openapi.json",
        "/api/v1/flows/token",
        "/api/v1/runs?/healthz",
        "/api/v1/runs?next=/auth/token",
        "/api/v1/auth/me",
        "/api/v1/workspaces/healthz",
    ],
)
async def test_a30_no_end_of_an_address_opens_it(place: Town, path: str) -> None:
    for host in ("127.0.0.1", "x.example", "healthz"):
        response = await place.client.get(path, headers={"Host": host})
        assert problem(response, 401)["code"] == "unauthorized"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/runs/",
        "//api/v1/runs",
        "/api/v1//runs",
        "/api/v1/runs;a=b",
        "/API/V1/RUNS",
        "/api/v1/healthz/../runs",
        "/api/v1/%2e%2e/v1/runs",
        "/healthz/../api/v1/runs",
        "/api/v1/runs%2f",
    ],
)
async def test_a30_other_spellings_of_an_address_lead_nowhere(place: Town, path: str) -> None:
    response = await place.client.get(path)
    assert response.status_code in (401, 404), response.text


@pytest.mark.parametrize("host", ["a/b?c#d", "x/?", "a@b", "[::1", "a b", "a:99999999"])
async def test_a30_hosts_that_cannot_be_read_are_refused(place: Town, host: str) -> None:
    response = await place.client.get("/healthz", headers={b"Host": host.encode()})
    assert problem(response, 400)["code"] == "host_invalid"


async def test_a30_only_names_of_the_service_where_they_are_listed(dsn: str) -> None:
    async with town(dsn, allowed_hosts=["api.example", "*.flows.example"]) as place:
        for host, status in {
            "api.example": 200,
            "API.EXAMPLE:8443": 200,
            "a.flows.example": 200,
            "flows.example": 421,
            "evilflows.example": 421,
            "api.example.evil": 421,
            "127.0.0.1": 421,
        }.items():
            response = await place.client.get("/healthz", headers={"Host": host})
            assert response.status_code == status, host


async def test_a30_two_hosts_are_none() -> None:
    reached: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    for local, status in ((True, 421), (False, 400)):
        statuses: list[int] = []
        scope = {"type": "http", "headers": [(b"host", b"a"), (b"host", b"localhost")]}
        await Hosts(app, local=local)(scope, None, send)  # type: ignore[arg-type]
        assert (statuses, reached) == ([status], [])


async def test_a30_what_a_client_says_of_itself_changes_nothing(place: Town) -> None:
    said = {
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Host": "localhost",
        "X-Forwarded-User": "admin",
        "X-Original-URL": "/healthz",
        "X-Rewrite-URL": "/healthz",
        "X-HTTP-Method-Override": "GET",
        "X-User": "admin",
        "X-Workspace": "default",
    }
    response = await place.client.get("/api/v1/runs", headers=said)
    assert problem(response, 401)["code"] == "unauthorized"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "file://", "http://x.example:1"]
)
async def test_a30_pages_from_elsewhere_cannot_use_a_local_service(origin: str) -> None:
    from tests.support.api import Raising, app_over, http

    async with http(app_over(Raising(AssertionError("reached")))) as client:
        response = await client.post("/api/v1/runs/x/pause", headers={"Origin": origin})
        assert problem(response, 403)["code"] == "origin_not_local"
        own = await client.get("/healthz", headers={"Origin": "http://localhost:3000"})
        assert own.status_code == 200


IDS = [
    "1",
    "1_000",
    "1.0",
    " 1",
    "9223372036854775808",
    "-1",
    "0x10",
    "\u0661",
    "null",
    "*",
    "%00",
    "' or 1=1 --",
    "{5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11}",
    "5b0f3c5e8f3a4d399d5e0f6f1f4b7a11",
    "urn:uuid:5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11",
]


async def test_a31_what_is_no_id_is_nobodys(place: Town) -> None:
    headers = await place.person("ada", "default", "admin", admin=True)
    for given in IDS:
        for path in (
            "/runs/{}",
            "/plans/{}",
            "/approvals/{}",
            "/flows/{}",
            "/users/{}",
            "/workspaces/{}",
            "/runs?cursor={}",
            "/approvals?run_id={}",
            "/runs/{}/events",
            "/runs/{}/why",
            "/runs/{}/retry",
            "/runs/{}/replans",
            "/plans/{}/review",
            "/memory/{}",
            "/memory?cursor={}",
            "/plans?cursor={}",
            "/approvals?cursor={}",
            "/approvals?mine=true&cursor={}",
            "/workspaces/{}/members",
            "/limits/{}",
        ):
            response = await place.call(headers, "GET", path.format(given.replace(" ", "%20")))
            assert response.status_code == 404, (path, given, response.text)
        removed = await place.call(headers, "DELETE", f"/api-keys/{given.replace(' ', '%20')}")
        assert removed.status_code == 404
        strange = await place.call(headers, "GET", "/flows", headers={"X-Workspace": ascii(given)})
        assert problem(strange, 404)["code"] == "workspace_not_found"
    await place.call(headers, "POST", "/flows", json=FLOW)
    for number in ("0", "-1", "1.0", "1_0", "2147483648", "9" * 30, "x"):
        response = await place.call(headers, "GET", f"/flows/health/versions/{number}")
        assert response.status_code in (404, 422), (number, response.text)


async def test_a31_a_workspace_has_to_be_said_by_who_is_in_several(place: Town) -> None:
    headers = await place.person("ada", "default", "admin")
    other = await place.accounts.find_workspace("other")
    await place.accounts.set_member(other, "ada", ["member"], by=_tester())
    missing = await place.call(headers, "GET", "/flows")
    assert problem(missing, 400)["code"] == "workspace_required"
    for name, status in (("default", 422), ("other", 403), (other, 403)):
        made = await place.call(headers, "POST", "/flows", json={}, headers={"X-Workspace": name})
        assert made.status_code == status, made.text
    key = await place.key("ada", "other", "read")
    assert (await place.call(key, "GET", "/flows")).status_code == 200
    named = await place.call(key, "GET", "/flows", headers={"X-Workspace": "default"})
    assert problem(named, 404)["code"] == "workspace_not_found"
    shown = (await place.call(key, "GET", "/workspaces")).json()["items"]
    assert [one["slug"] for one in shown] == ["other"]


def _tester() -> Any:
    from tests.support.tenants import TESTER

    return TESTER


#: Members that no request may have, and where they are tried.
MASS = {
    "workspace_id": "00000000-0000-0000-0000-000000000001",
    "role": "admin",
    "roles": ["admin"],
    "created_by": "somebody",
    "status": "approved",
    "is_admin": True,
    "id": "5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11",
    "actor": "user:root",
    "user_id": "5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11",
}


async def test_a32_no_member_that_is_not_asked_for_is_taken(place: Town) -> None:
    headers = await place.person("ada", "default", "admin", admin=True)
    bodies: dict[str, tuple[str, dict[str, Any]]] = {
        "/flows": ("POST", FLOW),
        "/runs": ("POST", {"flow": "health", "input": {"value": 1}}),
        "/plans": ("POST", {"goal": "quick"}),
        "/events": ("POST", {"name": "paid"}),
        "/users": ("POST", {"name": "bob"}),
        "/users/ada": ("PATCH", {"disabled": False}),
        "/workspaces": ("POST", {"slug": "third"}),
        "/api-keys": ("POST", {"name": "k", "scopes": ["read"]}),
        "/workspaces/default/members/ada": ("PUT", {"roles": ["admin"]}),
    }
    for path, (method, body) in bodies.items():
        for name, value in MASS.items():
            if name in body:
                continue
            response = await place.call(headers, method, path, json={**body, name: value})
            codes = [item["code"] for item in problem(response, 422)["errors"]]
            assert "unknown_key" in codes, (path, name, codes)


async def test_a32_nobody_acts_in_another_ones_name(place: Town) -> None:
    headers = await place.person("ada", "default", "admin")
    emitted = await place.call(headers, "POST", "/events", json={"name": "paid", "by": "bob"})
    assert problem(emitted, 403)["code"] == "actor_not_yours"
    own = await place.call(headers, "POST", "/events", json={"name": "paid", "by": "ada"})
    assert own.json()["emitted_by"] == "user:ada"
    decided = await place.call(
        headers,
        "POST",
        "/approvals/5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11/decision",
        json={"decision": "approve", "by": "user:bob"},
    )
    assert problem(decided, 403)["code"] == "actor_not_yours"


async def test_a32_members_run_what_is_stored_and_nothing_else(place: Town) -> None:
    builder = await place.person("ada", "default", "builder")
    member = await place.person("bob", "default", "member")
    assert (await place.call(builder, "POST", "/flows", json=FLOW)).status_code == 201
    stored = {"flow": "health", "input": {"value": 1}}
    draft = await place.call(member, "POST", "/runs", json=stored)
    assert problem(draft, 404)["code"] == "version_not_found"
    await place.call(builder, "POST", "/flows/health/versions")
    changed = {**FLOW, "description": "not published yet"}
    assert (await place.call(builder, "PUT", "/flows/health", json=changed)).status_code == 200
    started = await place.call(member, "POST", "/runs", json=stored)
    assert (started.status_code, started.json()["version"]) == (201, 1)
    scoped = await place.call(
        await place.key("ada", "default", "run"), "POST", "/runs", json=stored
    )
    assert (scoped.status_code, scoped.json()["version"]) == (201, 1)
    assert (await place.call(builder, "POST", "/runs", json=stored)).json()["version"] == 2
    for body in ({"document": FLOW, "input": {"value": 1}}, {"goal": "quick"}):
        assert problem(await place.call(member, "POST", "/runs", json=body), 403)
    assert problem(
        await place.call(
            builder, "PUT", "/workspaces/default/members/ada", json={"roles": ["admin"]}
        ),
        403,
    )


async def test_a50_a_key_does_not_make_further_rights(place: Town) -> None:
    await place.person("ada", "default", "admin", admin=True)
    key = await place.key("ada", "default", "read", "run", "build", "approve", "admin")
    tried = [
        ("POST", "/api-keys", {"name": "k", "scopes": ["admin"]}),
        ("PUT", "/workspaces/default/members/ada", {"roles": ["admin"]}),
        ("POST", "/users", {"name": "bob", "admin": True}),
        ("POST", "/workspaces", {"slug": "third"}),
        ("POST", "/auth/password", {"old_password": "x", "new_password": "y"}),
    ]
    for method, path, body in tried:
        assert problem(await place.call(key, method, path, json=body), 403)["code"] in (
            "session_needed",
            "forbidden",
        )


async def test_a50_a_key_that_builds_runs_nothing_by_a_way_around(place: Town) -> None:
    ada = await place.person("ada", "default", "admin")
    key = await place.key("ada", "default", "read", "build")
    stream = {"Accept": "text/event-stream"}
    plan = (await place.call(key, "POST", "/plans", json={"goal": "quick"})).json()["id"]
    run = await place.call(ada, "POST", "/runs", json={"document": FLOW, "input": {"value": 1}})
    early = {"goal": "quick", "input": {"value": 1}, "start": "early"}
    accept, steps = f"/plans/{plan}/accept", f"/runs/{run.json()['id']}/steps"
    for answer in (
        await place.call(key, "POST", accept, json={"input": {"value": 1}}),
        await place.call(key, "POST", "/plans", json=early, headers=stream),
        await place.call(key, "POST", steps, json={**ECHO, "id": "more"}),
        await place.call(key, "POST", "/runs", json={"goal": "quick", "input": {"value": 1}}),
        await place.call(key, "POST", "/runs", json={"document": FLOW, "input": {"value": 1}}),
    ):
        assert problem(answer, 403)["code"] == "scope_missing"
    saved = await place.call(key, "POST", accept, json={"run": False, "save": "kept"})
    assert saved.status_code == 200, saved.text
    both = await place.key("ada", "default", "read", "build", "run")
    assert (await place.call(both, "POST", accept, json={"input": {"value": 1}})).status_code == 201


async def test_a50_keys_are_kept_as_hashes_only(place: Town) -> None:
    await place.person("ada", "default", "admin")
    key = await place.key("ada", "default", "read")
    text = key["Authorization"].removeprefix("Bearer ")
    rows = await place.builder.store.database.fetch_all(
        b"select to_jsonb(k)::text as row from flowbuilder.api_keys k"
        b" union all select to_jsonb(a)::text from flowbuilder.audit_log a"
    )
    assert rows
    assert not [row for row in rows if text.rsplit("_", 1)[1] in row["row"]]
    for wrong in (
        text[:-1] + ("0" if text[-1] != "0" else "1"),
        text + "0",
        text[:-1],
        text.upper(),
        "fb_' or 1=1 --",
        "fb_",
    ):
        answer = await place.call({"Authorization": f"Bearer {wrong}"}, "GET", "/flows")
        assert problem(answer, 401)["code"] == "unauthorized"


ODD: list[Any] = [
    None,
    [],
    "x",
    0,
    {},
    {"name": 1},
    {"name": ""},
    {"name": "x" * 101},
    {"name": "\u202eadmin"},
    {"name": "ada", "admin": "yes"},
    {"slug": ""},
    {"slug": "../x"},
    {"slug": "a" * 64},
    {"slug": "new", "admin": "nobody-here"},
    {"roles": []},
    {"roles": ["root"]},
    {"roles": "admin"},
    {"roles": [["admin"]]},
    {"name": "k", "scopes": []},
    {"name": "k", "scopes": ["everything"]},
    {"name": "k", "scopes": ["read"], "days": 0},
    {"name": "k", "scopes": ["read"], "days": 10**30},
    {"token": "", "password": "a fine new password"},
    {"token": "x" * 100_000, "password": "a fine new password"},
    {"old_password": "", "new_password": "a fine new password"},
]


async def test_a32_odd_bodies_are_refused_and_never_fail(place: Town) -> None:
    headers = await place.person("ada", "default", "admin", admin=True)
    for method, path in (
        ("POST", "/users"),
        ("PATCH", "/users/ada"),
        ("POST", "/workspaces"),
        ("PUT", "/workspaces/default/members/ada"),
        ("POST", "/api-keys"),
        ("POST", "/auth/password"),
        ("POST", "/auth/invitation"),
    ):
        for body in ODD:
            response = await place.call(headers, method, path, json=body)
            if response.status_code >= 300:
                # 401 and 429 are what a wrong password and a wrong invitation get
                assert response.status_code in (400, 401, 404, 422, 429), (path, body)
                problem(response, response.status_code)
            else:
                assert (method, path, body) == ("PATCH", "/users/ada", {}), response.text
    for query in ("before=0", "before=x", "limit=0", "limit=1001", "of=everything", "before=1e3"):
        assert problem(await place.call(headers, "GET", f"/audit?{query}"), 422)


async def raw_answer(url: str, request: bytes) -> tuple[int, bytes]:
    """Send bytes over a socket of their own and return the status and all that came."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    await writer.drain()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return int(answer.split(b" ", 2)[1]), answer


async def test_a30_a_request_line_may_name_the_server_and_no_other(dsn: str) -> None:
    async with town(dsn, allowed_hosts=["api.example"]) as place, serving(place.app) as service:
        headers = await place.person("ada", "default", "member")
        token = headers["Authorization"].encode()
        for target, host, status in (
            (b"http://api.example/api/v1/runs", b"api.example", 200),
            (b"HTTP://API.example/api/v1/runs?limit=1", b"api.EXAMPLE", 200),
            (b"https://api.example:8443/healthz", b"api.example:8443", 200),
            (b"http://api.example", b"api.example", 404),
            (b"http://evil.example/api/v1/runs", b"api.example", 400),
            (b"http://api.example/api/v1/runs", b"evil.example", 421),
            (b"http://evil.example/api/v1/runs", b"evil.example", 421),
            (b"http://api.example@evil.example/healthz", b"api.example", 400),
            (b"http://ada@api.example/healthz", b"api.example", 400),
            (b"http://api.example:80/healthz", b"api.example", 400),
            (b"http:///healthz", b"api.example", 400),
            (b"http:/healthz", b"api.example", 400),
            (b"ftp://api.example/healthz", b"api.example", 400),
            (b"file:///etc/passwd", b"api.example", 400),
            (b"api.example:443", b"api.example", 400),
            (b"healthz", b"api.example", 400),
            (b"%2fhealthz", b"api.example", 400),
            (b"*", b"api.example", 400),
            (b"http://api.example//healthz", b"api.example", 404),
            (b"http://api.example/healthz/../api/v1/runs", b"api.example", 404),
        ):
            head = b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\nAuthorization: "
            answered = await raw_answer(
                service.url, head + token + b"\r\nConnection: close\r\n\r\n"
            )
            assert answered[0] == status, (target, host, answered)
            if status == 400:
                assert b'"code": "request_target_invalid"' in answered[1]


ODD_HOSTS: list[tuple[bytes, int]] = [
    (b"", 400),  # HTTP/1.1 has one
    (b"Host: api.example\r\nHost: api.example\r\n", 400),
    (b"Host: api.example\r\nHost: evil.example\r\n", 400),
    (b"Host: api.example, evil.example\r\n", 400),
    (b"Host: \r\n", 421),
    (b"Host: :80\r\n", 421),
    (b"Host: api.example.\r\n", 200),
    (b"Host: api.example:99999999\r\n", 400),
    (b"Host: api.example#\r\n", 400),
    (b"Host: api%2eexample\r\n", 400),
    (b"Host: \xe2\x91\xa0.example\r\n", 400),
    (b"Host : api.example\r\n", 400),
    (b"Host: evil.example\r\n api.example\r\n", 400),
    (b"X-Forwarded-Host: api.example\r\nHost: evil.example\r\n", 421),
]


async def test_a30_odd_hosts_over_a_socket(dsn: str) -> None:
    async with town(dsn, allowed_hosts=["api.example"]) as place, serving(place.app) as service:
        for hosts, status in ODD_HOSTS:
            request = b"GET /healthz HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n"
            answered = await raw_answer(service.url, request)
            assert answered[0] == status, (hosts, answered)
        nameless = await raw_answer(service.url, b"GET /healthz HTTP/1.0\r\n\r\n")
        assert nameless[0] == 421
