"""The routes of the service, mounted once in a process and shared by its applications.

To work out what each route takes costs the framework a third of a second for all of them, and it
is the same for every application: what differs between two stands in `app.state`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from fastapi import APIRouter, Depends
from starlette.routing import BaseRoute

from flowbuilder.api import rate_limits
from flowbuilder.api.auth.access import PREFIX, Access, by_endpoint
from flowbuilder.api.dependencies import authorize, principal
from flowbuilder.api.parameters import Parameters, parameters_of, strict_parameters
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.rate_limits import limit_caller
from flowbuilder.api.routes import (
    admission,
    approval_links,
    approval_settings,
    approvals,
    audit,
    auth,
    connections,
    emitting,
    exchange,
    flows,
    health,
    hooks,
    keys,
    limits,
    memory,
    plans,
    policy,
    quotas,
    replans,
    revisions,
    runs,
    schedules,
    secrets,
    subscriptions,
    users,
    values,
    webhooks,
    workspace_events,
    workspaces,
)
from flowbuilder.api.routes import tools as tool_routes


@dataclass(frozen=True, kw_only=True, slots=True)
class Surface:
    """The routes, and what is looked up by the function that serves a request."""

    routes: tuple[BaseRoute, ...]
    access: Mapping[Callable[..., Any], Access]
    """Who may call it."""
    rate_kinds: Mapping[Callable[..., Any], str]
    """What its requests draw from."""
    parameters: Mapping[Callable[..., Any], Parameters]
    """What it takes in the address."""


@cache
def surface() -> Surface:
    """Return the routes of every application of this process."""
    routes = tuple(_mounted().routes)
    return Surface(
        routes=routes,
        access=by_endpoint(routes),
        rate_kinds=rate_limits.by_endpoint(routes),
        parameters=parameters_of(routes),
    )


def _mounted() -> APIRouter:
    """Put every route but the public ones under the one parent that knows the caller."""
    parent = APIRouter(
        dependencies=[
            Depends(principal),
            Depends(limit_caller),
            # what is to be noted is noted before the answer is sent
            Depends(authorize, scope="function"),
            Depends(strict_parameters),
        ],
        responses=documented(400, 401, 403, 404, 422, 429, 500, 503),
    )
    planning = (plans, revisions, memory, policy)
    deciding = (approvals, approval_settings)
    running = (flows, exchange, values, replans, *deciding, emitting, limits, subscriptions)
    tenancy = (admission, quotas, users, workspaces, keys, audit, secrets, connections)
    triggers = (webhooks, schedules)
    # in this order they are looked at: what is asked for most stands first
    for module in (runs, *planning, *running, *tenancy, *triggers, workspace_events, tool_routes):
        parent.include_router(module.router)
    parent.include_router(auth.router)
    public = APIRouter(
        dependencies=[Depends(strict_parameters)],
        responses=documented(422, 429, 500, 503),
    )
    public.include_router(auth.public)
    root = APIRouter()
    # the prefix is given here: without one the framework works out all routes a second time
    root.include_router(parent, prefix=PREFIX)
    root.include_router(public, prefix=PREFIX)
    for open_to_all in (hooks, health, approval_links):
        root.include_router(open_to_all.router)
    return root
