"""What every route takes: one table, from which requests are judged and the document is made.

A route without a row is closed to everybody but the one user of a service without log-in, and the
tests fail until it has one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from flowbuilder.client.roles import Role

PREFIX = "/api/v1"


class Level(Enum):
    """Who a route is for, besides the roles in a workspace."""

    PUBLIC = "public"
    """Everybody, without saying who they are."""
    USER = "user"
    """Whoever is logged in or has a key."""
    SESSION = "session"
    """Whoever is logged in; no key does it."""
    INSTANCE = "instance"
    """Administrators of the installation, logged in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """What a route takes: a level, or a role in the workspace that the request is about."""

    level: Level | None = None
    role: Role | None = None
    session: bool = False
    """Of those with the role, only who is logged in."""
    workspace: bool = False
    """An administrator's request is about a workspace all the same."""
    noted: bool = False
    """What it did is written into the log."""

    @property
    def name(self) -> str:
        """The level or role, as the OpenAPI document shows it."""
        return self.role.value if self.role is not None else (self.level or Level.PUBLIC).value


PUBLIC = Access(level=Level.PUBLIC)
USER = Access(level=Level.USER)
SESSION = Access(level=Level.SESSION)
INSTANCE = Access(level=Level.INSTANCE)
INSTANCE_NOTED = Access(level=Level.INSTANCE, noted=True)
INSTANCE_HERE = Access(level=Level.INSTANCE, workspace=True, noted=True)
MEMBER = Access(role=Role.MEMBER)
STEERS = Access(role=Role.MEMBER, noted=True)
BUILDER = Access(role=Role.BUILDER)
CHANGES = Access(role=Role.BUILDER, noted=True)
APPROVER = Access(role=Role.APPROVER, noted=True)
ADMIN = Access(role=Role.ADMIN)
OWNS = Access(role=Role.ADMIN, noted=True)
OWN_KEYS = Access(role=Role.MEMBER, session=True)

#: At the root.
_ROOT: dict[str, Access] = {
    "GET /healthz": PUBLIC,
    "GET /readyz": PUBLIC,
    "GET /openapi.json": PUBLIC,
    # has a token of its own, see routes/health.py
    "GET /metrics": PUBLIC,
    # senders have no account: a delivery counts because it is signed with the webhook's secret
    "POST /hooks/{hook}": PUBLIC,
    # the page of a link says who may decide by it
    "GET /approve/{token}": PUBLIC,
    "POST /approve/{token}": PUBLIC,
}
#: Under /api/v1. Keep it in the order of the paths.
_ROUTES: dict[str, Access] = {
    # how many runs are let in
    "GET /admission": MEMBER,
    "PUT /admission": OWNS,
    "DELETE /admission": OWNS,
    "GET /admission/{slug}": MEMBER,
    "PUT /admission/{slug}": OWNS,
    "DELETE /admission/{slug}": OWNS,
    # approvals
    "GET /approvals": MEMBER,
    "GET /approvals/{approval_id}": MEMBER,
    "POST /approvals/{approval_id}/comments": MEMBER,
    "POST /approvals/{approval_id}/decision": APPROVER,
    "POST /approvals/{approval_id}/links": Access(role=Role.APPROVER, session=True),
    "GET /approval-channels": MEMBER,
    "PUT /approval-channels/{name}": ADMIN,
    "DELETE /approval-channels/{name}": ADMIN,
    "POST /approval-channels/{name}/confirm": Access(role=Role.MEMBER, session=True),
    "GET /approval-delegations": MEMBER,
    "POST /approval-delegations": Access(role=Role.APPROVER, session=True),
    "DELETE /approval-delegations/{delegation_id}": Access(role=Role.APPROVER, session=True),
    # the log
    "GET /audit": ADMIN,
    # who is calling
    "POST /auth/token": PUBLIC,
    "GET /auth/invitation": PUBLIC,
    "POST /auth/invitation": PUBLIC,
    "POST /auth/logout": SESSION,
    "GET /auth/me": USER,
    "POST /auth/password": SESSION,
    # keys
    "GET /api-keys": OWN_KEYS,
    "POST /api-keys": OWN_KEYS,
    "DELETE /api-keys/{key_id}": OWN_KEYS,
    # what the workspace connects itself
    "GET /connections": MEMBER,
    "POST /connections": OWNS,
    "GET /connections/{connection}": MEMBER,
    "DELETE /connections/{connection}": OWNS,
    "POST /connections/{connection}/approve": OWNS,
    "POST /connections/{connection}/refresh": OWNS,
    # events of the whole workspace, and events from outside
    "GET /events": MEMBER,
    "POST /events": MEMBER,
    # flows
    "GET /flows": MEMBER,
    "POST /flows": CHANGES,
    "POST /flows/import": CHANGES,
    "POST /flows/validate": BUILDER,
    "GET /flows/{slug}": MEMBER,
    "PUT /flows/{slug}": CHANGES,
    "DELETE /flows/{slug}": CHANGES,
    "POST /flows/{slug}/archive": CHANGES,
    "GET /flows/{slug}/export": MEMBER,
    "POST /flows/{slug}/edit": BUILDER,
    "POST /flows/{slug}/restore": CHANGES,
    "POST /flows/{slug}/steps": CHANGES,
    "POST /flows/{slug}/validate": BUILDER,
    "GET /flows/{slug}/versions": MEMBER,
    "POST /flows/{slug}/versions": CHANGES,
    "GET /flows/{slug}/versions/{number}": MEMBER,
    "GET /flows/{slug}/versions/{number}/diff": MEMBER,
    # limits on tools hold for the whole installation
    "GET /limits": INSTANCE,
    "GET /limits/{pattern}": INSTANCE,
    "PUT /limits/{pattern}": INSTANCE_NOTED,
    "DELETE /limits/{pattern}": INSTANCE_NOTED,
    # what finished runs of plans have taught
    "GET /memory": MEMBER,
    "DELETE /memory": OWNS,
    "GET /memory/lessons": MEMBER,
    "GET /memory/patterns": MEMBER,
    "GET /memory/{memory_id}": MEMBER,
    "DELETE /memory/{memory_id}": CHANGES,
    # plans
    "GET /plans": MEMBER,
    "POST /plans": BUILDER,
    "GET /plans/{plan_id}": MEMBER,
    "POST /plans/{plan_id}/accept": CHANGES,
    "POST /plans/{plan_id}/answers": BUILDER,
    "POST /plans/{plan_id}/edit": BUILDER,
    "GET /plans/{plan_id}/review": MEMBER,
    # policy
    "GET /policy": MEMBER,
    "PUT /policy": OWNS,
    "DELETE /policy": OWNS,
    "POST /policy/check": BUILDER,
    "GET /policy/history": MEMBER,
    # runs; a document or a goal takes a builder, which the route itself looks at
    "GET /runs": MEMBER,
    "POST /runs": MEMBER,
    "GET /runs/{run_id}": MEMBER,
    "POST /runs/{run_id}/cancel": STEERS,
    "GET /runs/{run_id}/events": MEMBER,
    "POST /runs/{run_id}/pause": STEERS,
    "GET /runs/{run_id}/replans": MEMBER,
    "POST /runs/{run_id}/resume": STEERS,
    "GET /runs/{run_id}/retry": MEMBER,
    "POST /runs/{run_id}/retry": STEERS,
    "POST /runs/{run_id}/steps": CHANGES,
    "GET /runs/{run_id}/tasks": MEMBER,
    "GET /runs/{run_id}/tasks/{task_id}": MEMBER,
    "GET /runs/{run_id}/tree": MEMBER,
    "GET /runs/{run_id}/values/{value}": MEMBER,
    "GET /runs/{run_id}/why": MEMBER,
    # schedules
    "GET /schedules": MEMBER,
    "POST /schedules": CHANGES,
    "GET /schedules/{schedule_id}": MEMBER,
    "PATCH /schedules/{schedule_id}": CHANGES,
    "DELETE /schedules/{schedule_id}": CHANGES,
    "POST /schedules/{schedule_id}/pause": CHANGES,
    "POST /schedules/{schedule_id}/resume": CHANGES,
    "GET /schedules/{schedule_id}/why": MEMBER,
    # secrets; what a value is, nobody is told
    "GET /secrets": BUILDER,
    "GET /secrets/{name}": BUILDER,
    "PUT /secrets/{name}": OWNS,
    "DELETE /secrets/{name}": OWNS,
    # queues of other systems have names of their own, outside of workspaces
    "GET /subscriptions": Access(level=Level.INSTANCE, workspace=True),
    "POST /subscriptions": INSTANCE_HERE,
    "DELETE /subscriptions/{queue}": INSTANCE_HERE,
    # tools
    "GET /tools": MEMBER,
    # users
    "GET /users": INSTANCE,
    "POST /users": INSTANCE,
    "GET /users/{name}": INSTANCE,
    "PATCH /users/{name}": INSTANCE,
    "POST /users/{name}/invitation": INSTANCE,
    # webhooks; their addresses are shown to those who build
    "GET /webhooks": BUILDER,
    "POST /webhooks": CHANGES,
    "GET /webhooks/{webhook_id}": BUILDER,
    "PATCH /webhooks/{webhook_id}": CHANGES,
    "DELETE /webhooks/{webhook_id}": CHANGES,
    "POST /webhooks/{webhook_id}/pause": CHANGES,
    "POST /webhooks/{webhook_id}/resume": CHANGES,
    "POST /webhooks/{webhook_id}/rotate": CHANGES,
    # workspaces; those with {workspace} are about the one that the request names
    "GET /workspaces": USER,
    "POST /workspaces": INSTANCE,
    "GET /workspaces/{workspace}": MEMBER,
    "POST /workspaces/{workspace}/archive": Access(role=Role.ADMIN, session=True),
    "GET /workspaces/{workspace}/members": MEMBER,
    "GET /workspaces/{workspace}/usage": MEMBER,
    "PUT /workspaces/{workspace}/quotas": INSTANCE_NOTED,
    "PUT /workspaces/{workspace}/members/{name}": Access(role=Role.ADMIN, session=True),
    "DELETE /workspaces/{workspace}/members/{name}": Access(role=Role.ADMIN, session=True),
    "POST /workspaces/{workspace}/restore": Access(role=Role.ADMIN, session=True),
}
ACCESS: dict[str, Access] = {
    **_ROOT,
    **{key.replace(" ", f" {PREFIX}", 1): access for key, access in _ROUTES.items()},
}

HOW_TO_DECLARE = (
    "Every route says who it is for in flowbuilder/api/auth/access.py, as `METHOD path`: MEMBER "
    "for what only reads, BUILDER or CHANGES (written into the log) for what makes or changes "
    "flows and plans, APPROVER for decisions, ADMIN for the workspace's own affairs, INSTANCE for "
    "the installation's."
)


def by_endpoint(routes: Sequence[BaseRoute]) -> dict[Callable[..., Any], Access]:
    """Return what each of the routes' functions takes. Two paths of one function take the same."""
    found: dict[Callable[..., Any], Access] = {}
    for context in iter_route_contexts(routes):
        for method in context.methods or ():
            access = ACCESS.get(f"{method} {context.path}")
            if access is not None and context.endpoint is not None:
                found[context.endpoint] = access
    return found
