"""A service on a socket, with a database, users and one of everything that an address can name."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from flowbuilder.api.server import make_server
from flowbuilder.client import FlowBuilder
from flowbuilder.toolkit.control import flow_run
from flowbuilder.tools import ToolRegistry
from tests.support.api import ECHO, GATED, INPUT, app_over, registry, users_settings
from tests.support.tenants import Headers, Town

DAY = timedelta(days=1)
FLOW: dict[str, Any] = {
    "flow": "steady",
    "description": "Echoes.",
    "input": INPUT,
    "steps": [ECHO, GATED],
}
CONNECTION: dict[str, Any] = {
    "name": "things",
    "kind": "openapi",
    "server": "https://api.example.org",
    "document": {
        "openapi": "3.1.0",
        "paths": {"/a": {"get": {"operationId": "look", "responses": {}}}},
    },
}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Where the service is, who may call it, and what there is to be named."""

    url: str
    token: str
    """Of an administrator of the workspace and of the installation."""
    spare: list[str]
    """Tokens of sessions that may be ended."""
    ids: dict[str, list[str]]
    """What an address may name, by the parameter's name."""

    def as_json(self) -> dict[str, Any]:
        """Return what the calls have to know."""
        return {"token": self.token, "spare": self.spare, "ids": self.ids}


@asynccontextmanager
async def scene(dsn: str) -> AsyncIterator[Scene]:
    """Serve on a free port of this machine while the context is open."""
    key = SecretStr(base64.b64encode(os.urandom(32)).decode())
    settings = users_settings(dsn, secret_key=key, access_token_life=DAY, log_level="warning")
    tools = ToolRegistry([*registry(), flow_run])
    async with FlowBuilder.connect(settings=settings, registry=tools, worker=True) as builder:
        app = app_over(builder)
        try:
            async with _serving(app) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
                town = Town(app=app, client=client, builder=builder)
                await town.workspace("other")
                # roles of all kinds, and what only administrators of the installation see
                who = await town.person("ada", "default", "admin", admin=True)
                await town.person("bob", "default", "member")
                spare = [_token(await town.session("bob")) for _ in range(3)]
                ids = await _made(town, who)
                yield Scene(url=url, token=_token(who), spare=spare, ids=ids)
        finally:
            await app.state.tenants.close()


@asynccontextmanager
async def _serving(app: FastAPI) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = make_server(app, app.state.settings)
        running = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


def _token(headers: Headers) -> str:
    return headers["Authorization"].removeprefix("Bearer ")


async def _made(town: Town, who: Headers) -> dict[str, list[str]]:
    """Make one of everything by requests and return the ids."""

    async def made(method: str, path: str, body: Any = None) -> Any:
        response = await town.call(who, method, path, json=body)
        assert response.is_success, (method, path, response.text)
        return response.json()

    await made("POST", "/flows", FLOW)
    await made("POST", "/flows/steady/versions")
    await made("PUT", "/flows/steady", {**FLOW, "description": "Echoes twice."})
    await made("POST", "/flows/steady/versions")
    await made("POST", "/flows", {"flow": "plain", "steps": [{**ECHO, "args": {"value": 1}}]})
    secret = {"value": "correct horse", "hosts": ["api.example.org"]}
    await made("PUT", "/secrets/stripe", secret)
    await made("POST", "/connections", CONNECTION)
    plan = await made("POST", "/plans", {"goal": "echo the value", "input": {"value": 1}})
    waits = await made("POST", "/runs", {"flow": "steady", "input": {"value": 1}})
    done = await made("POST", "/runs", {"flow": "plain"})
    async for event in town.builder.follow(waits["id"]):
        if event.type == "approval_requested":
            break
    (approval,) = (await made("GET", f"/approvals?run_id={waits['id']}"))["items"]
    tasks = (await made("GET", f"/runs/{done['id']}/tasks"))["items"]
    key = await made("POST", "/api-keys", {"name": "tests", "scopes": ["read"]})
    return {
        "slug": ["steady", "plain"],
        "number": ["1", "2"],
        "run_id": [waits["id"], done["id"]],
        "plan_id": [plan["id"]],
        "approval_id": [approval["id"]],
        "key_id": [key["id"]],
        "connection": ["things"],
        "task_id": [task["id"] for task in tasks],
        "value": ["input", "output", "steps.echo"],
        "workspace": ["default"],
        "name": ["bob", "stripe"],
    }
