"""flowbuilder as an MCP server: other programs list, plan, run, watch and cancel flows.

Approvals stay with people: this server tells what waits for whom, and has no tool that decides. A
plan that is uncertain, or asks something, is not run from here either.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

from pydantic import Field
from typing_extensions import TypedDict

from flowbuilder import __version__
from flowbuilder.api.auth.callers import LOCAL, Principal
from flowbuilder.api.rate_limits import limit_starts, planning_of
from flowbuilder.client import FlowBuilder
from flowbuilder.client.roles import Role
from flowbuilder.client.runs import outcome_of
from flowbuilder.errors import ExecutionError, FlowBuilderError, InvalidValue
from flowbuilder.executor.records import RunRow
from flowbuilder.plan import LONGEST_GOAL, Plan

if TYPE_CHECKING:
    from fastapi import Request
    from mcp.server import MCPServer
    from starlette.applications import Starlette

P = ParamSpec("P")
R = TypeVar("R")

_ACTOR = "mcp"
_LONGEST_WAIT = 60.0
_INSTRUCTIONS = """\
Plans and runs durable flows. `plan_flow` turns a goal into a plan, `run_flow` starts a stored flow
or a plan and returns at once; ask `get_run` how it goes. Steps with effects wait for a person, who
decides in flowbuilder itself: tell your user, and ask again later.
"""

RunId = Annotated[str, Field(description="The run's id.", max_length=100)]


class FlowSummary(TypedDict):
    """A stored flow."""

    flow: Annotated[str, Field(description="Its name.")]
    description: str | None
    version: Annotated[int | None, Field(description="The newest published one.")]
    input_schema: dict[str, Any]


class FlowSummaries(TypedDict):
    """Stored flows."""

    flows: list[FlowSummary]


class PlanSummary(TypedDict):
    """A plan for a goal."""

    plan_id: str
    valid: Annotated[bool, Field(description="Whether it can be run as it is.")]
    certain: Annotated[bool, Field(description="False: a person should look at it first.")]
    steps: Annotated[list[dict[str, Any]], Field(description="Id, tool and arguments of each.")]
    notes: list[str]
    questions: Annotated[list[str], Field(description="What has to be said before it can run.")]
    problems: list[str]
    approvals: Annotated[int, Field(description="How many steps wait for a person.")]


class PendingApproval(TypedDict):
    """A decision that a person is asked for."""

    approval_id: str
    step: str | None
    message: str | None
    by: Annotated[list[str], Field(description="Who may decide.")]


class RunSummary(TypedDict):
    """A run as it stands."""

    run_id: str
    flow: str
    status: Annotated[str, Field(description="queued, running, paused, completed, failed …")]
    finished: bool
    error: dict[str, Any] | None
    waiting_for: Annotated[
        list[PendingApproval], Field(description="What people have to decide, in flowbuilder.")
    ]
    why: Annotated[list[str], Field(description="Why it is not moving, if it is not.")]


class RunResult(TypedDict):
    """What came out of a run."""

    run_id: str
    status: str
    finished: bool
    output: Annotated[Any, Field(description="Null until the run has completed.")]
    error: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Seat:
    """Whom the server works for at this moment, and over what."""

    builder: FlowBuilder
    caller: Principal = LOCAL
    request: Request | None = None
    """What the call came with, where a service has rates for it."""

    @property
    def actor(self) -> str:
        """Who has done what is done."""
        return _ACTOR if self.caller.local else self.caller.name

    def require(self, role: Role, *, reading: bool = False) -> FlowBuilder:
        """Return what is worked over, for a caller with this role. Raises: Forbidden."""
        self.caller.require(role, reading=reading)
        return self.builder

    async def starting(self) -> None:
        """Count a start, as that of a route. Raises: TooManyRequests."""
        if self.request is not None:
            await limit_starts(self.request, self.caller)

    @asynccontextmanager
    async def planning(self) -> AsyncIterator[None]:
        """Count a plan while it is made, as that of a route. Raises: TooManyRequests."""
        if self.request is None:
            yield
            return
        async with planning_of(self.request, self.caller):
            yield

    async def note(self, action: str, what: str) -> None:
        """Write into the log what was done."""
        if not self.caller.local:
            await self.builder.accounts.log.note(
                f"mcp {action}",
                what[:500],
                workspace_id=self.caller.workspace,
                details={"key": self.caller.key_id} if self.caller.key_id else {},
                by=self.caller.doer(),
            )


def mcp_server(builder: FlowBuilder) -> MCPServer:
    """Return the MCP server over an open FlowBuilder, for whoever started this process."""
    seat = Seat(builder=builder)
    return mcp_server_for(lambda: seat)


def mcp_server_for(seat: Callable[[], Seat]) -> MCPServer:
    """Return an MCP server that asks before each call whom it works for."""
    from mcp.server import MCPServer
    from mcp_types import ToolAnnotations

    server: MCPServer = MCPServer("flowbuilder", version=__version__, instructions=_INSTRUCTIONS)
    desk = _Desk(seat)
    reading = ToolAnnotations(read_only_hint=True)
    acting = ToolAnnotations(read_only_hint=False, destructive_hint=True)
    reading_methods: list[Callable[..., Awaitable[Any]]] = [
        desk.list_flows,
        desk.get_run,
        desk.get_result,
    ]
    acting_methods: list[Callable[..., Awaitable[Any]]] = [
        desk.plan_flow,
        desk.run_flow,
        desk.cancel_run,
    ]
    for method in reading_methods:
        server.add_tool(_told(method), annotations=reading)
    for method in acting_methods:
        server.add_tool(_told(method), annotations=acting)
    return server


def mcp_application(builder: FlowBuilder, *, hosts: list[str], path: str = "/mcp") -> Starlette:
    """Return the server as a web application that keeps no sessions, to be mounted.

    `hosts`: the values of `Host` that are answered; a page from elsewhere in somebody's browser
    could otherwise talk to it. Its lifespan has to be run by who mounts it, and who may call it is
    decided before it.
    """
    from mcp.server.transport_security import TransportSecuritySettings

    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True, allowed_hosts=hosts, allowed_origins=[]
    )
    return mcp_server(builder).streamable_http_app(
        streamable_http_path=path,
        stateless_http=True,
        json_response=True,
        transport_security=security,
        max_request_body_size=builder.settings.max_body_bytes,
    )


def _told(method: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Let errors of flowbuilder reach the caller by code and message, and nothing else of any."""
    from mcp.server.mcpserver.exceptions import ToolError

    @functools.wraps(method)
    async def guarded(*args: P.args, **named: P.kwargs) -> R:
        try:
            return await method(*args, **named)
        except FlowBuilderError as error:
            hint = f" {error.hint}" if error.hint else ""
            raise ToolError(f"{error.code}: {error.message}{hint}") from None
        except Exception as error:
            raise ToolError(f"internal: {type(error).__name__}") from None

    return guarded


class _Desk:
    """What the tools do."""

    def __init__(self, seat: Callable[[], Seat]) -> None:
        self._seat = seat

    async def list_flows(self) -> FlowSummaries:
        """List the stored flows with the shape of their input."""
        builder = self._seat().require(Role.MEMBER, reading=True)
        flows: list[FlowSummary] = [
            {
                "flow": handle.slug,
                "description": handle.description,
                "version": handle.version,
                "input_schema": dict(handle.draft.input),
            }
            for handle in await builder.list_flows()
            if handle.row.state != "archived"
        ]
        return {"flows": flows}

    async def plan_flow(
        self,
        goal: Annotated[
            str,
            Field(min_length=1, max_length=LONGEST_GOAL, description="What is to be done."),
        ],
        input: Annotated[
            dict[str, Any] | None, Field(description="The run's input, if it is known.")
        ] = None,
    ) -> PlanSummary:
        """Turn a goal in words into a plan; nothing is run."""
        seat = self._seat()
        builder = seat.require(Role.BUILDER)
        async with seat.planning():
            return _plan(await builder.plan(goal, input=input))

    async def run_flow(
        self,
        flow: Annotated[str | None, Field(description="Name of a stored flow.")] = None,
        plan_id: Annotated[str | None, Field(description="Or the id of a plan.")] = None,
        input: Annotated[dict[str, Any] | None, Field(description="The run's input.")] = None,
        idempotency_key: Annotated[
            str | None, Field(description="The same key gives the same run.", max_length=200)
        ] = None,
    ) -> RunSummary:
        """Start a run of a stored flow or of a plan; returns at once."""
        if (flow is None) == (plan_id is None):
            raise InvalidValue("give a flow or a plan_id", code="run_subject")
        seat = self._seat()
        if plan_id is not None:
            builder = seat.require(Role.BUILDER)
            seat.require(Role.MEMBER)  # a key that builds does not run by that
            await seat.starting()
            plan = await builder.get_plan(plan_id)
            if not plan.valid or not plan.certain:
                raise ExecutionError(
                    "this plan needs a person, who looks at it in flowbuilder",
                    code="plan_needs_person",
                    hint=f"flowbuilder run {plan.id}",
                )
            run = await builder.accept_plan(
                plan, input=input, idempotency_key=idempotency_key, by=seat.actor
            )
            await seat.note("run_flow", f"plan:{plan.id}")
        else:
            assert flow is not None
            builder = seat.require(Role.MEMBER)
            await seat.starting()
            run = await builder.execute(
                flow,
                input,
                idempotency_key=idempotency_key,
                by=seat.actor,
                published=not seat.caller.holds(Role.BUILDER),
            )
        return await self._summary(await run.refresh())

    async def get_run(self, run_id: RunId) -> RunSummary:
        """Tell how a run goes: its status, what it waits for, and why it is not moving."""
        run = await self._seat().require(Role.MEMBER, reading=True).get_run(run_id)
        return await self._summary(await run.refresh())

    async def get_result(
        self,
        run_id: RunId,
        wait_seconds: Annotated[
            float, Field(ge=0, le=_LONGEST_WAIT, description="How long to wait for the end.")
        ] = 0,
    ) -> RunResult:
        """Return what came out of a run, once it has ended."""
        run = await self._seat().require(Role.MEMBER, reading=True).get_run(run_id)
        if wait_seconds > 0:
            try:
                await run.result(timeout=wait_seconds)
            except ExecutionError as error:  # its end, or that it has not ended, is told below
                if error.code == "run_not_found":
                    raise
        row = await run.refresh()
        done = row.status.value == "completed"
        return {
            "run_id": row.id,
            "status": row.status.value,
            "finished": row.status.terminal,
            "output": outcome_of(row) if done else None,
            "error": row.error,
        }

    async def cancel_run(
        self,
        run_id: RunId,
        reason: Annotated[str | None, Field(description="Why.", max_length=2000)] = None,
    ) -> RunSummary:
        """Cancel a run."""
        seat = self._seat()
        run = await seat.require(Role.MEMBER).get_run(run_id)
        row = await run.cancel(by=seat.actor, reason=reason)
        await seat.note("cancel_run", f"run:{run.id}")
        return await self._summary(row)

    async def _summary(self, row: RunRow) -> RunSummary:
        builder = self._seat().builder
        waiting: list[PendingApproval] = []
        why: list[str] = []
        if not row.status.terminal:
            for item in await builder.approvals(run_id=row.id):
                waiting.append(
                    {
                        "approval_id": item.id,
                        "step": item.step_id,
                        "message": item.message,
                        "by": list(item.by),
                    }
                )
            why = [reason.message for reason in (await builder.why(row.id)).reasons]
        return {
            "run_id": row.id,
            "flow": row.flow,
            "status": row.status.value,
            "finished": row.status.terminal,
            "error": row.error,
            "waiting_for": waiting,
            "why": why,
        }


def _plan(plan: Plan) -> PlanSummary:
    steps = [] if plan.flow is None else plan.flow.steps
    approvals = 0 if plan.estimate is None else plan.estimate.approvals
    return {
        "plan_id": plan.id,
        "valid": plan.valid,
        "certain": plan.certain,
        "steps": [{"id": s.id, "tool": s.tool, "args": dict(s.args)} for s in steps],
        "notes": list(plan.notes),
        "questions": [question.text for question in plan.questions],
        "problems": [problem.message for problem in plan.problems],
        "approvals": approvals,
    }
