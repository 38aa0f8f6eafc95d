"""Tools from elsewhere that a workspace connects itself: web APIs and MCP servers.

What the operator's file connects is there for every workspace, and is changed there alone.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from flowbuilder.api.auth.changes import note_change
from flowbuilder.api.body import body_schema, json_body, optional_json_body
from flowbuilder.api.connecting import (
    ApprovedToolBody,
    ConnectionBody,
    ConnectionList,
    ConnectionOut,
)
from flowbuilder.api.dependencies import Builder, Caller, Engine
from flowbuilder.api.problem_documents import documented
from flowbuilder.client import FlowBuilder

router = APIRouter(prefix="/connections", tags=["connections"])

Name = Annotated[str, Path(description="The connection's name.")]


@router.get("", summary="List connections")
async def list_connections(builder: Builder) -> ConnectionList:
    """Return what the workspace has connected, with the tools that it brings."""
    found = await builder.workspace_connections.list()
    return ConnectionList(items=[ConnectionOut.of(one) for one in found])


@router.post(
    "",
    summary="Connect a web API or an MCP server",
    status_code=201,
    responses=documented(400, 409, 413, 415, 502),
    openapi_extra=body_schema("ConnectionBody"),
)
async def add_connection(
    request: Request,
    builder: Builder,
    engine: Engine,
    caller: Caller,
    body: Annotated[ConnectionBody, Depends(json_body(ConnectionBody))],
    response: Response,
) -> ConnectionOut:
    """Make tools of an OpenAPI document's operations, or of what an MCP server offers now.

    Every request of theirs goes through the guard that keeps this service's own network closed.
    """
    connections = builder.workspace_connections
    await note_change(request, "connection", body.name)
    if body.document is not None:
        definition = body.definition()
        made = await connections.add_openapi(body.name, body.document, definition, by=caller.name)
    else:
        made = await connections.add_mcp(body.name, body.definition(), by=caller.name)
    await _taken_in(builder, engine)
    response.headers["Location"] = f"/api/v1/connections/{body.name}"
    return ConnectionOut.of(made)


@router.get("/{connection}", summary="Show a connection", responses=documented(404))
async def get_connection(builder: Builder, connection: Name) -> ConnectionOut:
    """Return a connection with its tools, and what was approved of them."""
    return ConnectionOut.of(await builder.workspace_connections.get(connection))


@router.delete(
    "/{connection}", summary="Remove a connection", status_code=204, responses=documented(404)
)
async def remove_connection(builder: Builder, engine: Engine, connection: Name) -> None:
    """Forget a connection. Steps that use its tools fail from now on."""
    await builder.workspace_connections.remove(connection)
    await _taken_in(builder, engine)


@router.post(
    "/{connection}/refresh",
    summary="Ask an MCP server what it offers now",
    responses=documented(404, 409, 502),
)
async def refresh_connection(builder: Builder, engine: Engine, connection: Name) -> ConnectionOut:
    """Suspend what is not described as it was approved."""
    found = await builder.workspace_connections.refresh(connection)
    await _taken_in(builder, engine)
    return ConnectionOut.of(found)


@router.post(
    "/{connection}/approve",
    summary="Approve an MCP server's tools as they are shown",
    responses=documented(400, 404, 409, 413, 415, 502),
    openapi_extra=body_schema("ApprovedToolBody", required=False),
)
async def approve_connection(
    builder: Builder,
    engine: Engine,
    caller: Caller,
    connection: Name,
    body: Annotated[ApprovedToolBody, Depends(optional_json_body(ApprovedToolBody))],
) -> ConnectionOut:
    """Approve one tool, or all, as the connection shows them.

    A server that says something else by now is refused (`tool_changed`); then that is shown.
    """
    found = await builder.workspace_connections.approve(connection, body.tool, by=caller.name)
    await _taken_in(builder, engine)
    return ConnectionOut.of(found)


async def _taken_in(builder: FlowBuilder, engine: FlowBuilder) -> None:
    """Let this process know at once: the workspace's planning, and the workers in it."""
    await builder.look_for_connections()
    await engine.look_for_connections()
