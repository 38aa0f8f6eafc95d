"""Clients of the HTTP service for tests: in the process, and as raw ASGI calls."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, NoReturn, cast

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from flowbuilder.api.app import create_app
from flowbuilder.client import FlowBuilder
from flowbuilder.errors import NoFittingTool, Problem
from flowbuilder.flow import Flow
from flowbuilder.plan import Plan, PlanStatus, Question
from flowbuilder.planner.base import PlanEvent, PlanEventType, PlanRequest
from flowbuilder.settings import Settings
from flowbuilder.tools import ToolRegistry, Wait, tool
from flowbuilder.types import JsonObject
from tests.support.waiting import eventually

BASE = "http://127.0.0.1"


#: Signs the tokens of the tests.
SECRET = "7rUq0mZc2Yt9xKfJ4vWnB6sLhE1pGdA3oTiQwRyCbNkM"


def users_settings(dsn: str | None = None, **given: Any) -> Settings:
    """Settings of a service whose users log in."""
    database = None if dsn is None else SecretStr(dsn)
    return Settings(database_url=database, auth="users", auth_secret=SecretStr(SECRET), **given)


class Raising:
    """A client library all of whose methods fail in the same way."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.settings = Settings()

    def probe_port(self, **_: object) -> AbstractAsyncContextManager[None]:
        """Open none."""
        return nullcontext()

    def __getattr__(self, name: str) -> Any:
        async def fail(*args: object, **kwargs: object) -> NoReturn:
            raise self.error

        return fail


class Recording:
    """A client library that remembers what it is called with, then stops."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.settings = Settings()

    def probe_port(self, **_: object) -> AbstractAsyncContextManager[None]:
        """Open none."""
        return nullcontext()

    def __getattr__(self, name: str) -> Any:
        async def remember(*args: Any, **kwargs: Any) -> NoReturn:
            self.calls.append((name, args, kwargs))
            raise Reached(name)

        return remember


class Reached(Exception):
    """The request went through every gate to the client library."""


def app_over(builder: object, settings: Settings | None = None) -> FastAPI:
    """The service over a client library or a stand-in for it; nobody logs in unless they say so."""
    if settings is None:
        given: Settings = builder.settings  # type: ignore[attr-defined]
        settings = given.model_copy(update={"auth": "local"}) if given.auth == "auto" else given
    return create_app(settings, flowbuilder=cast("FlowBuilder", builder))


@asynccontextmanager
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service, without a socket."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """The problem document of an answer, checked for what each one must have."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["type"] == f"urn:flowbuilder:problem:{body['code']}"
    assert body["instance"].startswith("urn:uuid:")
    assert isinstance(body["title"], str)
    assert isinstance(body["detail"], str)
    assert all({"pointer", "code", "message", "hint"} <= item.keys() for item in body["errors"])
    for leak in ("Traceback", "psycopg", "postgresql://", "flowbuilder/"):
        assert leak not in response.text
    return body


#: What a stream says of itself.
NOTES = ("caught_up", "end")


def events_in(text: str) -> list[dict[str, Any]]:
    """The events of a server-sent stream, each with its id, event and data."""
    return [event for event in all_in(text) if event["event"] not in NOTES]


def all_in(text: str) -> list[dict[str, Any]]:
    """What a server-sent stream says, also of itself."""
    events = []
    for block in text.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.split("\n") if ": " in line and line[0] != ":"
        )
        if "data" in fields:
            events.append(
                {
                    "id": int(fields["id"]) if "id" in fields else None,
                    "event": fields["event"],
                    "data": json.loads(fields["data"]),
                }
            )
    return events


# -- a real service -------------------------------------------------------------------------


class ScriptedPlanner:
    """A planner that proposes what its goal names: a slug of `PLANS`."""

    name = "scripted"

    async def stream(self, request: PlanRequest) -> AsyncIterator[PlanEvent]:
        """Tell the steps of the plan one by one."""
        yield PlanEvent(
            type=PlanEventType.STARTED,
            data={"goal": request.goal, "planner": self.name, "model": None},
        )
        if request.goal not in PLANS:
            problem = Problem(code="no_tool", pointer="", message="no tool does this")
            yield PlanEvent(type=PlanEventType.FAILED, data={"code": "no_fitting_tool"})
            raise NoFittingTool("no tool fits", problems=[problem])
        flow = Flow.model_validate(PLANS[request.goal])
        for position, step in enumerate(flow.steps):
            shown = step.model_dump(mode="json", exclude_defaults=True)
            data: JsonObject = {"step": shown, "position": position, "problems": []}
            yield PlanEvent(type=PlanEventType.STEP_ADDED, data=data)
        plan = Plan(
            id=request.id,
            goal=request.goal,
            planner=self.name,
            flow=flow,
            input=request.input,
            certain=request.goal != "unsure",
            questions=(QUESTION,) if request.goal == "asking" else (),
            status=PlanStatus.NEEDS_ANSWERS if request.goal == "asking" else PlanStatus.READY,
        )
        yield PlanEvent(type=PlanEventType.COMPLETED, data={"plan": plan.as_json()}, plan=plan)


QUESTION = Question(id="q1", text="Which file?", pointer="/steps/0/args/value")
#: A step that needs nobody, and one that waits for a person.
ECHO: JsonObject = {"id": "echo", "tool": "test.echo", "args": {"value": "${{ input.value }}"}}
GATED: JsonObject = {
    "id": "send",
    "tool": "test.echo",
    "args": {"value": ["${{ steps.echo }}", 0, False, "", None]},
    "approval": {"message": "Send it?"},
}
INPUT: JsonObject = {"type": "object", "required": ["value"], "properties": {"value": {}}}
PLANS: dict[str, JsonObject] = {
    goal: {"flow": goal, "input": INPUT, "steps": [ECHO, GATED]}
    for goal in ("careful", "unsure", "asking")
}
PLANS["quick"] = {"flow": "quick", "input": INPUT, "steps": [ECHO], "output": "${{ steps.echo }}"}


@tool("test.echo")
def echo(value: Any) -> Any:
    """Return the value."""
    return value


@tool("test.length")
def length(text: str) -> int:
    """Count the characters of a text."""
    return len(text)


@tool("test.ask")
def ask(message: str) -> Wait:
    """Ask a person to decide."""
    return Wait.for_approval(message)


def registry() -> ToolRegistry:
    """The tools of the tests."""
    return ToolRegistry([ask, echo, length])


def connect(dsn: str, *, worker: bool = False) -> FlowBuilder:
    """The client library over a test's database, with the tests' tools and planner."""
    settings = Settings(database_url=SecretStr(dsn), auth="local")
    return FlowBuilder.connect(
        settings=settings, registry=registry(), worker=worker, planner=ScriptedPlanner()
    )


@asynccontextmanager
async def service(dsn: str, *, worker: bool = False) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service over a test's database."""
    async with connect(dsn, worker=worker) as builder, http(app_over(builder)) as client:
        yield client


async def ready(client: httpx.AsyncClient) -> None:
    """Wait until the service says that it can take work.

    A probe that is asked once may fail on a machine that is too busy for the database to answer
    within a probe's patience, and right after connections were cut.
    """

    async def is_ready() -> bool:
        answer = await client.get("/readyz")
        assert answer.status_code in (200, 503), answer.text
        return answer.status_code == 200

    await eventually(is_ready, what="the service never became ready")


async def ended(client: httpx.AsyncClient, run_id: str) -> list[dict[str, Any]]:
    """Every event of a run, once it has ended."""
    response = await client.get(
        f"/api/v1/runs/{run_id}/events", headers={"Accept": "text/event-stream"}
    )
    assert response.status_code == 200
    return events_in(response.text)
