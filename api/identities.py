"""What requests and answers look like that are about users, workspaces, keys and the log."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from flowbuilder.api.requests import Body
from flowbuilder.api.schemas import Out

RoleName = Literal["member", "builder", "approver", "admin"]
ScopeName = Literal["read", "run", "build", "approve", "admin"]
UserName = Annotated[str, Field(min_length=1, max_length=100)]


class TokenOut(Out):
    """What a log-in gives."""

    access_token: str
    """Send it as `Authorization: Bearer …`."""
    token_type: Literal["bearer"] = "bearer"
    expires_in: int
    """Seconds that the access token counts, as long as nobody logs out."""
    refresh_token: str
    """Good for one further pair of tokens. Using it twice ends the session."""


class MeOut(Out):
    """Who is calling, and what they are in the workspace of this request."""

    name: str
    admin: bool
    """Whether they administer the installation."""
    channel: Literal["session", "key", "local"]
    workspace: str | None
    roles: list[RoleName]
    """With all that they include."""
    scopes: list[ScopeName] | None
    """What the key may be used for; null without one."""


class PasswordBody(Body):
    """A new password, and the old one."""

    old_password: str
    new_password: str


class InvitationBody(Body):
    """A one-time token and the password to be set by it."""

    token: str
    password: str


class InvitedOut(Out):
    """Whose password was set."""

    name: str


class InvitationOut(Out):
    """A one-time token; it is shown this once."""

    name: str
    token: str
    path: str
    """Where a browser sets the password; what follows `#` is never sent to a server."""
    expires_at: str


class NewUserBody(Body):
    """A user to be made; the password is set by an invitation."""

    name: UserName
    admin: bool = False
    """Administrator of the installation."""


class UserBody(Body):
    """What changes about a user."""

    admin: bool | None = None
    disabled: bool | None = None


class UserOut(Out):
    """A user."""

    id: str
    name: str
    admin: bool
    disabled: bool
    has_password: bool
    created_at: str
    created_by: str | None
    workspaces: dict[str, list[RoleName]]


class UserList(Out):
    """Every user, by name."""

    items: list[UserOut]


class NewWorkspaceBody(Body):
    """A workspace to be made."""

    slug: str
    admin: UserName | None = None
    """Its first administrator; by default whoever makes it."""


class WorkspaceOut(Out):
    """A workspace, and what the caller is in it."""

    id: str
    slug: str
    created_at: str
    archived_at: str | None
    """Since when it starts no runs; null while it does."""
    members: int
    roles: list[RoleName]


class WorkspaceList(Out):
    """Workspaces by name."""

    items: list[WorkspaceOut]


class MemberBody(Body):
    """What a user is in a workspace."""

    roles: list[RoleName]


class MemberOut(Out):
    """A member of a workspace."""

    user: str
    roles: list[RoleName]
    disabled: bool
    added_at: str
    added_by: str | None


class MemberList(Out):
    """Members of a workspace, by name."""

    items: list[MemberOut]


class NewKeyBody(Body):
    """A key to be made for the caller, in the workspace of the request."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    """What it is for."""
    scopes: list[ScopeName]
    days: Annotated[int, Field(ge=1, le=3650)] | None = 90
    """How long it counts; null for ever."""


class KeyOut(Out):
    """A key, without its secret."""

    id: str
    prefix: str
    """What the key begins with."""
    name: str
    owner: str
    scopes: list[ScopeName]
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    """To the minute."""
    revoked_at: str | None


class NewKeyOut(KeyOut):
    """A new key; its text is shown this once."""

    key: str


class KeyList(Out):
    """Keys, newest first."""

    items: list[KeyOut]


class AuditOut(Out):
    """A line of the log."""

    id: int
    at: str
    actor: str
    channel: str
    address: str | None
    action: str
    object: str | None
    details: dict[str, Any]


class AuditPage(Out):
    """Lines of the log, newest first."""

    items: list[AuditOut]
    next_before: int | None
    """Hand this back as `before` for the page after; null on the last."""
