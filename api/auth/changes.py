"""What a request has changed, for the log: a hash of its object before and after, never the object.

Who holds a copy of the object can tell by the hash which state of it the line is about.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request

from flowbuilder.client import FlowBuilder
from flowbuilder.errors import FlowBuilderError
from flowbuilder.executor.admitting import AdmissionRow
from flowbuilder.executor.fingerprints import fingerprint
from flowbuilder.executor.terms import LimitRow
from flowbuilder.executor.triggers import ScheduleRow, WebhookRow
from flowbuilder.types import JsonObject, JsonValue

Look = Callable[[FlowBuilder, str], Awaitable[JsonValue]]


async def _flow(builder: FlowBuilder, slug: str) -> JsonValue:
    row = (await builder.get_flow(slug)).row
    return {"draft": row.draft, "version": row.version, "state": row.state}


async def _policy(builder: FlowBuilder, _: str) -> JsonValue:
    history = await builder.policy.history(limit=1)
    return history[0].document if history else None


async def _limit(builder: FlowBuilder, pattern: str) -> JsonValue:
    row = await builder.limits.get(pattern)
    return {"pattern": row.pattern, **_bounds(row)}


async def _admission(builder: FlowBuilder, slug: str) -> JsonValue:
    row = await builder.admission.get(slug or None)
    return {"flow": row.flow, **_bounds(row)}


def _bounds(row: LimitRow | AdmissionRow) -> JsonObject:
    rate = None if row.rate is None else str(row.rate)
    return {"concurrency": row.concurrency, "rate": rate}


async def _quotas(builder: FlowBuilder, _: str) -> JsonValue:
    usage = (await builder.admission.usage()).as_json()
    return {name: used["limit"] for name, used in usage.items() if isinstance(used, dict)}


async def _secret(builder: FlowBuilder, name: str) -> JsonValue:
    row = await builder.secrets.get(name)
    bound: JsonObject = {"hosts": [*row.hosts], "tools": [*row.tools]}
    return {"name": row.name, "version": row.version, **bound}


async def _run(builder: FlowBuilder, run_id: str) -> JsonValue:
    row = (await builder.get_run(run_id)).row
    return {"status": row.status.value, "version_id": row.version_id}


async def _approval(builder: FlowBuilder, approval_id: str) -> JsonValue:
    row = await builder.get_approval(approval_id)
    return {
        "status": row.status.value,
        "args_hash": row.args_hash,
        "agreed_hash": row.agreed_hash,
        "votes": len(row.votes),
    }


async def _webhook(builder: FlowBuilder, webhook: str) -> JsonValue:
    row = await builder.webhooks.get(webhook)
    secret = await builder.store.webhook_secret_version(row.id)
    return {**_trigger(row), "trusted": row.trusted, "rate": str(row.rate), "secret": secret}


async def _schedule(builder: FlowBuilder, schedule: str) -> JsonValue:
    row = await builder.schedules.get(schedule)
    return {
        **_trigger(row),
        "cron": row.cron,
        "timezone": row.timezone,
        "missed": [row.missed, row.missed_limit],
        "overlap": row.overlap,
        "jitter": row.jitter_seconds,
    }


def _trigger(row: WebhookRow | ScheduleRow) -> JsonObject:
    return {
        "name": row.name,
        "flow": row.flow,
        "version": row.version,
        "input": row.input,
        "paused": row.paused_at is not None,
    }


async def _connection(builder: FlowBuilder, name: str) -> JsonValue:
    view = await builder.workspace_connections.get(name)
    pins: list[JsonValue] = [[pin.tool, pin.status, pin.fingerprint] for pin in view.pins]
    definition, document = view.row.definition, view.row.document
    return {"definition": definition, "document": document, "pins": pins}


#: By what it is.
_LOOKS: dict[str, Look] = {
    "flow": _flow,
    "policy": _policy,
    "limit": _limit,
    "admission": _admission,
    "quotas": _quotas,
    "secret": _secret,
    "run": _run,
    "approval": _approval,
    "webhook": _webhook,
    "schedule": _schedule,
    "connection": _connection,
}
#: What the parameter of a route's address names.
_PARAMETERS = {
    "slug": "flow",
    "pattern": "limit",
    "run_id": "run",
    "approval_id": "approval",
    "webhook_id": "webhook",
    "schedule_id": "schedule",
    "connection": "connection",
}
#: Objects of one request that are looked at.
_MOST = 200


def _named(template: str, parameters: dict[str, str]) -> tuple[str, str] | None:
    """Return what the address of a route is about: its kind and its name."""
    if template.endswith("/policy"):
        return "policy", ""
    if "/admission" in template:
        return "admission", parameters.get("slug", "")
    if "/secrets/" in template and "name" in parameters:
        return "secret", parameters["name"]
    for name, kind in _PARAMETERS.items():
        if name in parameters:
            return kind, parameters[name]
    return None


async def note_change(
    request: Request, kind: str, name: str, builder: FlowBuilder | None = None
) -> None:
    """Let the log tell of an object that the request's address does not name, before it is changed.

    Args:
        request: The request; one that is not noted remembers nothing.
        kind: What it is, such as `flow`.
        name: Which, by name.
        builder: Where it is, if not in the workspace of the request.
    """
    change: Change | None = getattr(request.state, "change", None)
    if change is not None:
        await change.about(kind, name, builder)


class Change:
    """The objects of one request, looked at before and after."""

    def __init__(self, builder: FlowBuilder, template: str, parameters: dict[str, str]) -> None:
        self._builder = builder
        self._addressed = _named(template, parameters)
        self._before: dict[tuple[str, str], tuple[FlowBuilder, str | None]] = {}

    async def begin(self) -> None:
        """Look at what the address names, before anything is changed."""
        if self._addressed is not None:
            await self.about(*self._addressed)

    async def about(self, kind: str, name: str, builder: FlowBuilder | None = None) -> None:
        """Look at an object before it is changed; of very many only at the first ones."""
        if len(self._before) < _MOST:
            place = builder or self._builder
            self._before.setdefault((kind, name), (place, await _hash(place, kind, name)))

    async def details(self) -> JsonObject:
        """Return what the log says: `{before, after}` of the object that the address names.

        One that it does not name is told as well (`{flow: name, before, after}`), several of them
        under `objects`. Nothing where the route is about no one object.
        """
        told: list[JsonValue] = []
        found: JsonObject = {}
        for (kind, name), (place, before) in self._before.items():
            hashes: JsonObject = {"before": before, "after": await _hash(place, kind, name)}
            if (kind, name) == self._addressed:
                found |= hashes
            else:
                told.append({kind: name[:200], **hashes})
        if len(told) == 1 and not found and isinstance(told[0], dict):
            return told[0]
        return {**found, "objects": told} if told else found


async def _hash(builder: FlowBuilder, kind: str, name: str) -> str | None:
    """Null where there is none; a look that fails is no reason to refuse the request."""
    try:
        return fingerprint(await _LOOKS[kind](builder, name))
    except FlowBuilderError:
        return None
