"""Every route, asked by everybody: who is let through is what the table of access says.

The requests are made from the OpenAPI document, so a new route is among them at once.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts

from flowbuilder.api.auth.access import ACCESS, HOW_TO_DECLARE, Access, Level
from flowbuilder.api.auth.tokens import Tokens
from flowbuilder.client.roles import Role, scope_for
from tests.support.api import SECRET, Raising, app_over, problem
from tests.support.tenants import Headers, Town, bearer, town

#: Whatever stands in a path: nobody has it. A workspace's name is filled in as it is.
ID = "5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11"
ROLES = {
    "member": {Role.MEMBER},
    "builder": {Role.MEMBER, Role.BUILDER},
    "approver": {Role.MEMBER, Role.APPROVER},
    "admin": set(Role),
    "root": set(),
}
#: The only routes without a log-in.
PUBLIC = {
    "GET /healthz",
    "GET /readyz",
    "GET /openapi.json",
    "GET /metrics",
    "POST /api/v1/auth/token",
    "GET /api/v1/auth/invitation",
    "POST /api/v1/auth/invitation",
    "POST /hooks/{hook}",
    "GET /approve/{token}",
    "POST /approve/{token}",
}
#: What members, who build nothing, may change all the same.
MEMBERS_CHANGE = {
    "POST /api/v1/approval-channels/{name}/confirm",
    "POST /api/v1/approvals/{approval_id}/comments",
    "POST /api/v1/events",
    "POST /api/v1/runs",
    "POST /api/v1/runs/{run_id}/cancel",
    "POST /api/v1/runs/{run_id}/pause",
    "POST /api/v1/runs/{run_id}/resume",
    "POST /api/v1/runs/{run_id}/retry",
    "POST /api/v1/api-keys",
    "DELETE /api/v1/api-keys/{key_id}",
}


@cache
def routes() -> set[str]:
    """Every route of the service, `METHOD path`."""
    app = app_over(Raising(AssertionError()))
    return {
        f"{method} {context.path}"
        for context in iter_route_contexts(app.routes)
        for method in context.methods or ()
        if method != "HEAD"
    }


@cache
def document() -> dict[str, Any]:
    return app_over(Raising(AssertionError())).openapi()


@cache
def documented() -> dict[str, dict[str, Any]]:
    """Every operation of the OpenAPI document by `METHOD path`."""
    paths = document()["paths"]
    return {
        f"{method.upper()} {path}": operation
        for path, operations in paths.items()
        for method, operation in operations.items()
    }


def test_every_route_says_who_it_is_for() -> None:
    missing = sorted(routes() - ACCESS.keys())
    assert not missing, f"no row for {missing}. {HOW_TO_DECLARE}"
    gone = sorted(ACCESS.keys() - routes())
    assert not gone, f"rows without a route, take them out of access.py: {gone}"


def test_what_is_public_and_what_members_change_is_listed_twice() -> None:
    assert {key for key, access in ACCESS.items() if access.level is Level.PUBLIC} == PUBLIC
    changing = {
        key
        for key, access in ACCESS.items()
        if access.role is Role.MEMBER and not key.startswith("GET ")
    }
    assert changing == MEMBERS_CHANGE, (
        "a route that changes something is open to all members: give it BUILDER or CHANGES in "
        "access.py, or add it to MEMBERS_CHANGE here if that is meant"
    )


@pytest.mark.parametrize("key", sorted(documented()))
def test_the_document_shows_what_a_route_takes(key: str) -> None:
    operation = documented()[key]
    access = ACCESS[key]
    if access.level is Level.PUBLIC:
        assert operation["security"] == []
        return
    assert {"session": []} in operation["security"]
    assert operation["x-role"] == access.name
    assert {"401", "403"} <= operation["responses"].keys()
    known = document()["components"]["securitySchemes"]
    assert {name for item in operation["security"] for name in item} <= known.keys()


@pytest.fixture
async def place(dsn: str) -> AsyncIterator[Town]:
    async with town(dsn) as opened:
        await opened.workspace("other")
        yield opened


async def test_everybody_is_let_through_where_the_table_says_so(place: Town) -> None:
    people = {role: await place.person(role, "default", role) for role in list(ROLES)[:4]}
    people["root"] = await place.person("root", "default", admin=True)
    foreign = await place.person("foreign", "other", "admin")
    outsider = await place.person("outsider", "default")
    asked = 0
    for key in sorted(documented()):
        access = ACCESS[key]
        if access.level is Level.PUBLIC:
            continue
        for who, roles_held in ROLES.items():
            headers = people[who]
            if key.endswith("/auth/logout"):
                headers = await place.session(who)
            allowed = expected(access, roles_held, instance=who == "root")
            await ask(place, key, headers, allowed, who)
            asked += 1
        # in a workspace of others nothing is there, whatever one is elsewhere
        elsewhere = {**foreign, "X-Workspace": "default"}
        if access.role is not None:
            response = await send(place, key, elsewhere)
            assert problem(response, 404)["code"] == "workspace_not_found", key
            assert problem(await send(place, key, outsider), 404 if "{workspace}" in key else 403)
            asked += 2
    assert asked > 250


async def test_keys_do_what_their_scopes_say(place: Town) -> None:
    await place.person("admin", "default", "admin", admin=True)
    await place.person("member", "default", "member")
    keys = {
        scope: await place.key("admin", "default", scope)
        for scope in ("read", "run", "build", "approve", "admin")
    }
    weak = await place.key("member", "default", "read", "run", "build", "approve", "admin")
    for key in sorted(documented()):
        access = ACCESS[key]
        if access.level is Level.PUBLIC:
            continue
        for scope, headers in keys.items():
            await ask(place, key, headers, by_key(key, access, scope), f"key for {scope}")
        # never more than its owner
        allowed = access.level is Level.USER or (access.role is Role.MEMBER and not access.session)
        await ask(place, key, weak, allowed, "a member's key")


async def test_what_is_no_token_that_counts_is_refused_everywhere(place: Town) -> None:
    headers = await place.person("ada", "default", "admin", admin=True)
    ended = await place.session("ada")
    assert (await place.call(ended, "POST", "/auth/logout")).status_code == 204
    user = str((await place.accounts.user("ada"))["id"])
    old = Tokens(
        [SECRET.encode()],
        life=timedelta(minutes=10),
        now=lambda: datetime.now(UTC) - timedelta(hours=1),
    )
    strange = Tokens([b"x" * 40], life=timedelta(minutes=10))
    good = headers["Authorization"]
    wrong: dict[str, Headers] = {
        "nothing": {},
        "another scheme": {"Authorization": "Basic YWRhOmFkYQ=="},
        "no token": {"Authorization": "Bearer "},
        "no jwt": bearer("abc"),
        "a key that nobody has": bearer("fb_00000000_" + "0" * 48),
        "a changed token": {"Authorization": good[:-2] + ("AA" if good[-2:] != "AA" else "BB")},
        "another one's signature": bearer(strange.issue(user, ID)),
        "an old token": bearer(old.issue(user, ID)),
        "a session that was never opened": bearer(place.tokens.issue(user, ID)),
        "a session that is over": ended,
    }
    for key in sorted(documented()):
        if ACCESS[key].level is Level.PUBLIC:
            continue
        for what, given in wrong.items():
            body = problem(await send(place, key, given), 401)
            assert body["code"] == "unauthorized", (key, what)
    assert (await place.call(headers, "GET", "/auth/me")).json()["name"] == "ada"


def expected(access: Access, roles: set[Role], *, instance: bool) -> bool:
    if access.role is not None:
        return access.role in roles
    if access.level is Level.INSTANCE:
        return instance and not access.workspace
    return True


def by_key(key: str, access: Access, scope: str) -> bool:
    if access.session or access.level in (Level.SESSION, Level.INSTANCE):
        return False
    if access.role is None:
        return True
    return scope_for(access.role, reading=key.startswith("GET ")).value == scope


async def ask(place: Town, key: str, headers: Headers, allowed: bool, who: str) -> None:
    response = await send(place, key, headers)
    if allowed:
        assert response.status_code not in (401, 403, 500), (key, who, response.text)
    else:
        assert response.status_code == (404 if lost(key, who) else 403), (key, who, response.text)


def lost(key: str, who: str) -> bool:
    """Whether a workspace in the path is none of the caller's: root is in none."""
    return who == "root" and "{workspace}" in key


async def send(place: Town, key: str, headers: Headers) -> Any:
    """Ask a route without a usable body: who is let through gets no further than that."""
    method, path = key.split(" ", 1)
    address = re.sub(r"\{\w+\}", ID, path.replace("{workspace}", "default"))
    return await place.client.request(method, address, headers=headers)
