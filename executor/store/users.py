"""Users, their log-ins, and who is calling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from flowbuilder.executor import account_queries as queries
from flowbuilder.executor import rows
from flowbuilder.executor.store.base import StoreBase
from flowbuilder.types import JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class Doer:
    """Who does something about users and workspaces, as the log names them."""

    actor: str
    """`user:<name>`, or who is at the command line."""
    channel: str
    """`session`, `key`, `local` or `cli`."""
    address: str | None = None
    """The network address a request came from."""

    def as_json(self) -> Jsonb:
        """Return it as the SQL functions take it."""
        return Jsonb({"actor": self.actor, "channel": self.channel, "address": self.address})


@dataclass(frozen=True, kw_only=True, slots=True)
class CallerRow:
    """Whoever a session or key belongs to, and what they are in the workspace they work in."""

    user_id: str
    name: str
    admin: bool
    """Of the whole installation; never by a key."""
    workspace_id: str | None
    workspace: str | None
    """Its slug."""
    roles: list[str] | None
    key_id: str | None
    scopes: list[str] | None
    """What a key may be used for."""
    memberships: int
    """Workspaces that the user is in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """A limit on log-ins: `size` at once, then one in so many seconds."""

    key: str
    size: float
    seconds: float


class UserStore(StoreBase):
    """Typed calls about users; they belong to the installation, not to a workspace."""

    async def create_user(
        self, name: str, *, password_hash: str | None, admin: bool, by: Doer
    ) -> str:
        """Make a user and return the id. Raises: Conflict (`user_exists`)."""
        row = await self._one(queries.CREATE_USER, name, password_hash, admin, by.as_json())
        return str(row["id"])

    async def change_user(
        self, name: str, change: JsonObject, *, keep: str | None = None, by: Doer
    ) -> None:
        """Change `admin`, `disabled` or `password_hash`; `keep` is a session that goes on.

        Raises:
            NotFound: `user_not_found`.
            Conflict: `last_admin`.
        """
        await self._one(queries.CHANGE_USER, name, Jsonb(change), keep, by.as_json())

    async def users(self, name: str | None = None) -> list[JsonObject]:
        """Read users by name, or the one of this name."""
        return [row["answer"] for row in await self._all(queries.USERS, name)]

    async def invite_user(self, name: str, hash: bytes, *, seconds: float, by: Doer) -> datetime:
        """Keep the hash of a one-time token; returns until when. Raises: NotFound."""
        row = await self._one(queries.INVITE_USER, name, hash, seconds, by.as_json())
        until: datetime = row["until"]
        return until

    async def accept_invitation(self, hash: bytes, password_hash: str, *, by: Doer) -> str | None:
        """Set a password by a one-time token; returns the user's name, None for a bad token."""
        row = await self._one(queries.ACCEPT_INVITATION, hash, password_hash, by.as_json())
        name: str | None = row["name"]
        return name

    async def login_facts(self, name: str) -> tuple[str, str] | None:
        """Read `(id, password hash)` of a user who may log in."""
        found = await self._all(queries.LOGIN_FACTS, name)
        return (str(found[0]["id"]), found[0]["password_hash"]) if found else None

    async def refresh_password_hash(self, user_id: str, old: str, new: str) -> None:
        """Replace a hash by one of the same password with other parameters."""
        await self._one(queries.REFRESH_HASH, user_id, old, new)

    async def take_attempt(self, bucket: Bucket) -> float:
        """Count a log-in; returns the seconds to wait if it is one too many, else 0."""
        row = await self._one(queries.TAKE_ATTEMPT, bucket.key, bucket.size, bucket.seconds)
        return float(row["wait"])

    async def open_session(
        self,
        user_id: str,
        refresh: bytes,
        *,
        refresh_seconds: float,
        session_seconds: float,
        bucket: str,
        by: Doer,
    ) -> str:
        """Open a session with its first refresh token's hash, and empty the name's bucket."""
        row = await self._one(
            queries.OPEN_SESSION,
            user_id,
            refresh,
            refresh_seconds,
            session_seconds,
            bucket,
            by.as_json(),
        )
        return str(row["id"])

    async def rotate_refresh(
        self, old: bytes, new: bytes, *, seconds: float, by: Doer
    ) -> dict[str, Any]:
        """Take a refresh token for the next: `{user, name, session}`, or `{refused}`."""
        row = await self._one(queries.ROTATE_REFRESH, old, new, seconds, by.as_json())
        answer: dict[str, Any] = row["answer"]
        return answer

    async def end_session(self, session_id: str, *, by: Doer) -> None:
        """End a session at once."""
        await self._one(queries.END_SESSION, session_id, by.as_json())

    async def caller_of_session(
        self, session_id: str, user_id: str, workspace: str | None
    ) -> CallerRow | None:
        """Read who an open session belongs to; None when it is over, or was never there."""
        found = await self._all(queries.CALLER_OF_SESSION, session_id, user_id, workspace)
        return _caller(found)

    async def caller_of_key(
        self, prefix: str, hash: bytes, workspace: str | None
    ) -> CallerRow | None:
        """Read who a key belongs to; None when it is revoked, over, or was never there."""
        return _caller(await self._all(queries.CALLER_OF_KEY, prefix, hash, workspace))


def _caller(found: Sequence[rows.Row]) -> CallerRow | None:
    return rows.read(CallerRow, found[0]) if found else None
