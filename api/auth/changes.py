"""What a request has changed, for the log: a hash of its object before and after, never the object.

Who holds a copy of the object can tell by the hash which state of it the line is about.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from flowbuilder.client import FlowBuilder
from flowbuilder.errors import FlowBuilderError
from flowbuilder.executor.fingerprints import fingerprint
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
    rate = None if row.rate is None else str(row.rate)
    return {"pattern": row.pattern, "concurrency": row.concurrency, "rate": rate}


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


#: By the parameter of the route's address; the policy has none.
_LOOKS: dict[str, Look] = {
    "slug": _flow,
    "pattern": _limit,
    "run_id": _run,
    "approval_id": _approval,
}


def _look_of(template: str, parameters: dict[str, str]) -> tuple[Look, str] | None:
    if template.endswith("/policy"):
        return _policy, ""
    if "/secrets/" in template and "name" in parameters:
        return _secret, parameters["name"]
    for name, look in _LOOKS.items():
        if name in parameters:
            return look, parameters[name]
    return None


class Change:
    """The object of one request, looked at before and after."""

    def __init__(self, builder: FlowBuilder, template: str, parameters: dict[str, str]) -> None:
        self._builder = builder
        self._look = _look_of(template, parameters)
        self._before: str | None = None

    async def begin(self) -> None:
        """Look at it before anything is changed."""
        self._before = await self._hash()

    async def details(self) -> JsonObject:
        """Return what the log says of it: nothing where the route is about no one object."""
        if self._look is None:
            return {}
        return {"before": self._before, "after": await self._hash()}

    async def _hash(self) -> str | None:
        """Null where there is none; a look that fails is no reason to refuse the request."""
        if self._look is None:
            return None
        look, name = self._look
        try:
            return fingerprint(await look(self._builder, name))
        except FlowBuilderError:
            return None
