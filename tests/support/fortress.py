"""The whole service for those who attack it: users, every real tool, a worker, a fresh database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from flowbuilder.client import FlowBuilder
from flowbuilder.planner.base import Planner
from flowbuilder.tools import Tool
from tests.support.api import ScriptedPlanner, app_over, echo, http, ready, users_settings
from tests.support.tenants import Headers, Town

WAIT = 60.0


@asynccontextmanager
async def fortress(
    dsn: str,
    *,
    tools: Iterable[Tool | Callable[..., Any]] = (),
    planner: Planner | None = None,
    own_planner: bool = True,
    **settings: Any,
) -> AsyncIterator[Town]:
    """A service with users, the starter tools and those given, and a worker that runs tasks."""
    opened = FlowBuilder.connect(
        settings=users_settings(dsn, **settings),
        tools=[echo, *tools],
        worker=True,
        planner=planner or (ScriptedPlanner() if own_planner else None),
    )
    async with opened as builder:
        app = app_over(builder)
        try:
            async with http(app) as client:
                yield Town(app=app, client=client, builder=builder)
        finally:
            await app.state.tenants.close()


def one_step(tool: str, args: dict[str, Any], **step: Any) -> dict[str, Any]:
    """A flow of one step, tried once, whose output is the step's."""
    only = {"id": "only", "tool": tool, "args": args, "retry": {"max_attempts": 1}, **step}
    return {"flow": "one", "input": {}, "steps": [only], "output": "${{ steps.only }}"}


async def ran(
    place: Town, who: Headers, document: dict[str, Any], given: Any = None
) -> dict[str, Any]:
    """Run a document over HTTP and return the run once it has ended."""
    response = await place.call(
        who, "POST", "/runs", json={"document": document, "input": {} if given is None else given}
    )
    assert response.status_code == 201, response.text
    return await over(place, who, response.json()["id"])


async def over(place: Town, who: Headers, run_id: str) -> dict[str, Any]:
    """Return a run as the service shows it once it has ended."""
    owner = await place.builder.store.workspace_of_run(run_id)
    async for _ in place.builder.within(owner).follow(run_id):
        pass
    shown: dict[str, Any] = (await place.call(who, "GET", f"/runs/{run_id}")).json()
    return shown


async def assert_healthy(place: Town, who: Headers) -> None:
    """The service still takes work: it is ready, and a small run goes through."""
    await ready(place.client)
    shown = await ran(place, who, one_step("test.echo", {"value": [0, False, "", None]}))
    assert (shown["status"], shown["output"]) == ("completed", [0, False, "", None])
