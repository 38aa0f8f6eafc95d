"""A service with users: people of every role, their tokens and keys, in two workspaces."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from flowbuilder.api.auth.tokens import Tokens
from flowbuilder.client import FlowBuilder
from flowbuilder.client.accounts import Accounts
from flowbuilder.client.workspaces import hash_of
from flowbuilder.executor.store.users import Doer, UserStore
from flowbuilder.toolkit.control import flow_run
from flowbuilder.toolkit.files import file_read, file_write
from flowbuilder.tools import ToolRegistry
from tests.support.api import ScriptedPlanner, app_over, http, registry, users_settings

TESTER = Doer(actor="user:tester", channel="cli")
PASSWORD = "correct horse battery"
Headers = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Town:
    """The service, a client of it without a token, and the client library beneath."""

    app: FastAPI
    client: httpx.AsyncClient
    builder: FlowBuilder

    @property
    def accounts(self) -> Accounts:
        return self.builder.accounts

    @property
    def tokens(self) -> Tokens:
        tokens: Tokens = self.app.state.tokens
        return tokens

    async def workspace(self, slug: str) -> str:
        """Make a workspace and return its id."""
        row = await self.accounts.create_workspace(slug, by=TESTER)
        return str(row["id"])

    async def person(self, name: str, workspace: str, *roles: str, admin: bool = False) -> Headers:
        """Make a user of a workspace and log them in without the cost of a password."""
        await self.accounts.add_user(name, admin=admin, by=TESTER)
        place = await self.accounts.find_workspace(workspace)
        if roles:
            await self.accounts.set_member(place, name, roles, by=TESTER)
        return await self.session(name)

    async def session(self, name: str) -> Headers:
        """Open a session of a user and return the headers of a request in it."""
        user = str((await self.accounts.user(name))["id"])
        session = await UserStore(self.builder.store.database).open_session(
            user,
            hash_of(secrets.token_urlsafe()),
            refresh_seconds=3600,
            session_seconds=3600,
            bucket="",
            by=Doer(actor=f"user:{name}", channel="session"),
        )
        return bearer(self.tokens.issue(user, session))

    async def key(self, name: str, workspace: str, *scopes: str) -> Headers:
        """Make a key of a user and return the headers of a request with it."""
        place = await self.accounts.find_workspace(workspace)
        made = await self.accounts.create_key(
            place, name, name="tests", scopes=scopes, seconds=3600.0, by=TESTER
        )
        return bearer(made.text)

    async def call(self, who: Headers, method: str, path: str, **given: Any) -> httpx.Response:
        """Send a request under /api/v1."""
        headers = {**who, **given.pop("headers", {})}
        return await self.client.request(method, f"/api/v1{path}", headers=headers, **given)


def bearer(token: str) -> Headers:
    """The headers of a request with a token."""
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def town(dsn: str, *, worker: bool = False, **settings: Any) -> AsyncIterator[Town]:
    """A service with users over a test's database, with the tests' tools and planner."""
    opened = FlowBuilder.connect(
        settings=users_settings(dsn, **settings),
        registry=ToolRegistry([*registry(), flow_run, file_read, file_write]),
        worker=worker,
        planner=ScriptedPlanner(),
    )
    async with opened as builder:
        app = app_over(builder)
        try:
            async with http(app) as client:
                yield Town(app=app, client=client, builder=builder)
        finally:
            await app.state.tenants.close()
