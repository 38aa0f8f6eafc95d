"""From a request's headers to who is calling; what they may do is judged by the route's row."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request

from flowbuilder.api.auth.access import HOW_TO_DECLARE, Access, Level
from flowbuilder.api.auth.changes import Change
from flowbuilder.api.auth.tokens import Tokens
from flowbuilder.api.problems import BadRequest
from flowbuilder.api.refusals import Forbidden, Unauthorized
from flowbuilder.client import FlowBuilder
from flowbuilder.client.accounts import Accounts
from flowbuilder.client.roles import Role, Scope, scope_for, with_included
from flowbuilder.errors import NotFound
from flowbuilder.executor.scoped import ACTOR
from flowbuilder.executor.store.users import CallerRow, Doer
from flowbuilder.telemetry.logs import WORKSPACE

_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/=-]+)")
_WORKSPACE = re.compile(r"[a-z0-9-]{1,63}")
_LONGEST_HEADER = 4096
_SAFE = ("GET", "HEAD")
#: How long a stream goes on after whoever reads it has lost the right to.
RECHECK_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """Who is calling, and what they are in the workspace that the request is about."""

    name: str
    """`user:<name>`; `local` where nobody logs in."""
    user_id: str | None = None
    workspace: str | None = None
    """Id of the workspace."""
    workspace_name: str | None = None
    asked_workspace: str | None = None
    """The workspace that was named, whether or not there is one."""
    roles: frozenset[Role] = frozenset()
    instance_admin: bool = False
    session_id: str | None = None
    key_id: str | None = None
    scopes: frozenset[str] = frozenset()
    memberships: int = 0
    address: str | None = None
    local: bool = False
    """The one user of a service without log-in, who may do everything."""

    @property
    def user(self) -> str:
        """The user's name without `user:`."""
        return self.name.removeprefix("user:")

    def doer(self) -> Doer:
        """Return the caller as the log names them."""
        channel = "local" if self.local else "key" if self.key_id else "session"
        return Doer(actor=self.name, channel=channel, address=self.address)

    def acting_as(self, by: str | None) -> str:
        """Return whose act it is: the caller's own; without log-in, that of whoever is named.

        Raises:
            Forbidden: `actor_not_yours`.
        """
        if by is None or by.removeprefix("user:") == self.user:
            return self.name
        if self.local:
            return by
        raise Forbidden("Nobody acts in another one's name.", code="actor_not_yours")

    def holds(self, role: Role, scope: Scope | None = None) -> bool:
        """Say whether the caller has a role and, with a key, its scope."""
        if self.local:
            return True
        needed = scope or scope_for(role, reading=False)
        return role in self.roles and (self.key_id is None or needed.value in self.scopes)

    def require(self, role: Role, *, reading: bool = False) -> None:
        """Refuse a caller without this role, or whose key lacks its scope. Raises: Forbidden."""
        if role not in self.roles and not self.local:
            raise Forbidden(f"This takes the role {role.value} in the workspace.")
        scope = scope_for(role, reading=reading)
        if not self.holds(role, scope):
            raise Forbidden(f"This takes a key with the scope {scope.value}.", code="scope_missing")


LOCAL = Principal(name="local", roles=frozenset(Role), instance_admin=True, local=True)


async def principal(
    request: Request,
    x_workspace: Annotated[
        str | None,
        Header(
            description="The workspace that the request is about, by name or id. Not needed with a "
            "key, and by who is in one workspace only.",
        ),
    ] = None,
) -> Principal:
    """Return who is calling.

    The parent router depends on this, so it is the one place every route but the public ones
    passes.

    Raises:
        Unauthorized: Nobody who is known.
    """
    tokens: Tokens | None = request.app.state.tokens
    if tokens is None:
        return LOCAL
    return await admit(request, tokens, request.path_params.get("workspace", x_workspace))


async def admit(request: Request, tokens: Tokens, asked: str | None) -> Principal:
    """Return who a request names; what it makes remembers from here on whose it is.

    Raises:
        Unauthorized: Nobody who is known.
    """
    caller = await identify(request, tokens, asked)
    ACTOR.set(caller.name)
    request.state.workspace = caller.workspace
    return caller


async def identify(request: Request, tokens: Tokens, asked: str | None) -> Principal:
    """Return who a request's Authorization header names, in the workspace asked for."""
    given = request.headers.getlist("authorization")
    found = None
    if len(given) == 1 and len(given[0]) <= _LONGEST_HEADER:
        found = _BEARER.fullmatch(given[0])
    if found is None:
        raise Unauthorized("An access token or an API key is needed.")
    accounts: Accounts = request.app.state.flowbuilder.accounts
    # what no workspace is called is looked for as one that nobody is in
    wanted = asked if asked is None or _WORKSPACE.fullmatch(asked) else ""
    text, session_id = found[1], None
    if text.startswith("fb_"):
        row = await accounts.caller_of_key(text, wanted)
    else:
        claims = tokens.read(text)
        session_id = claims.session_id
        row = await accounts.caller_of_session(session_id, claims.user_id, wanted)
    if row is None:
        raise Unauthorized("The access token or API key does not count, or not any more.")
    WORKSPACE.set(row.workspace_id)
    return _principal(row, session_id, asked, request)


def _principal(
    row: CallerRow, session_id: str | None, asked: str | None, request: Request
) -> Principal:
    return Principal(
        name=f"user:{row.name}",
        user_id=row.user_id,
        workspace=row.workspace_id,
        workspace_name=row.workspace,
        asked_workspace=asked,
        roles=with_included(row.roles or ()),
        instance_admin=row.admin,
        session_id=session_id,
        key_id=row.key_id,
        scopes=frozenset(row.scopes or ()),
        memberships=row.memberships,
        address=request.client.host if request.client else None,
    )


async def authorize(
    request: Request, caller: Annotated[Principal, Depends(principal)]
) -> AsyncIterator[None]:
    """Let the caller through if the route's row says so, and note what was done where it says that.

    Raises:
        Forbidden: The role, the scope of the key, or the row itself is missing.
        NotFound: The workspace is none of the caller's.
    """
    access: Access | None = request.app.state.access.get(request.scope["endpoint"])
    if not caller.local:
        judge(access, caller, request.method)
    change = await _change(request, access, caller)
    yield
    if change is not None:
        accounts: Accounts = request.app.state.flowbuilder.accounts
        await accounts.log.note(
            f"{request.method} {_template(request)}",
            request.scope["path"][:500],
            workspace_id=caller.workspace,
            details={
                **({"key": caller.key_id} if caller.key_id else {}),
                **await change.details(),
            },
            by=caller.doer(),
        )


async def _change(request: Request, access: Access | None, caller: Principal) -> Change | None:
    """Return what the log has to say of a request's object; None where it says nothing."""
    if access is None or not access.noted or caller.local:
        return None
    builder: FlowBuilder = request.app.state.flowbuilder
    if caller.workspace is not None:
        builder = await request.app.state.tenants.of(caller.workspace)
    change = Change(builder, _template(request), request.path_params)
    await change.begin()
    request.state.change = change
    return change


def _template(request: Request) -> str:
    return str(getattr(request.scope.get("route"), "path", ""))


def judge(access: Access | None, caller: Principal, method: str) -> None:
    """Refuse a caller for whom a route is not. Raises: as `authorize`."""
    if access is None:
        raise Forbidden(
            "This route is closed: nothing says who it is for.",
            code="route_undeclared",
            hint=HOW_TO_DECLARE,
        )
    if caller.key_id and (access.session or access.level in (Level.SESSION, Level.INSTANCE)):
        raise Forbidden("This takes a log-in; no API key does it.", code="session_needed")
    if access.level is Level.INSTANCE and not caller.instance_admin:
        raise Forbidden("This is for administrators of the installation.")
    if access.role is not None or access.workspace:
        _require_workspace(caller)
    if access.role is not None:
        scope = scope_for(access.role, reading=method in _SAFE)
        if access.role not in caller.roles:
            raise Forbidden(f"This takes the role {access.role.value} in the workspace.")
        if not caller.holds(access.role, scope):
            raise Forbidden(f"This takes a key with the scope {scope.value}.", code="scope_missing")


def _require_workspace(caller: Principal) -> None:
    if caller.workspace is not None:
        return
    if caller.asked_workspace is not None:
        raise NotFound(
            f"there is no workspace {caller.asked_workspace[:80]!r}", code="workspace_not_found"
        )
    if caller.memberships == 0:
        raise Forbidden("You are in no workspace yet.", code="no_workspace")
    raise BadRequest(
        "You are in several workspaces: say which one this is about.",
        code="workspace_required",
        hint="Send its name as the header X-Workspace. GET /api/v1/workspaces lists them.",
    )


async def while_allowed(request: Request, parts: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Yield a stream's parts for as long as whoever asked for it may still see them.

    It is looked at again before a part that comes later than `RECHECK_SECONDS` after the last
    look: a log-out ends streams, too.

    Raises:
        Unauthorized, Forbidden, NotFound: They may not any more.
    """
    looked = time.monotonic()
    async with aclosing(parts):
        async for part in parts:
            if time.monotonic() - looked > RECHECK_SECONDS:
                await look_again(request)
                looked = time.monotonic()
            yield part


async def look_again(request: Request) -> None:
    """Judge a request as it was judged when it came. Raises: as `identify` and `judge`.

    It is about the workspace that it was about then: who named none may be in another one by now.
    """
    tokens: Tokens | None = request.app.state.tokens
    if tokens is not None:
        caller = await identify(request, tokens, request.state.workspace)
        judge(request.app.state.access.get(request.scope["endpoint"]), caller, request.method)
