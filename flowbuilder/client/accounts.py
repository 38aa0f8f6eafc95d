"""Users, workspaces and keys, for the service and the command line.

These belong to the installation: who holds the database may do all of it. The service asks only
after it has looked at what its caller may do.
"""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flowbuilder.client.coalescing import Shared
from flowbuilder.client.passwords import Passwords, check_password, is_possible
from flowbuilder.client.workspaces import KEY_PATTERN, NAME_PATTERN, Workspaces, hash_of, known_name
from flowbuilder.errors import ExecutionError, InvalidValue, NotFound
from flowbuilder.executor.store.users import Bucket, CallerRow, Doer, UserStore
from flowbuilder.limits import Quotas
from flowbuilder.settings import Settings
from flowbuilder.types import JsonObject

if TYPE_CHECKING:
    from flowbuilder.executor.database import Database

_LONGEST_TOKEN = 200
#: Log-ins from one address: so many at once, then one in so many seconds.
ADDRESS_BUCKET = (30.0, 2.0)
#: Of one name; a log-in that succeeds empties it.
NAME_BUCKET = (10.0, 30.0)


class LoginRefused(ExecutionError):
    """Name or password is wrong, or the token counts no more; nobody learns which."""

    default_code = "login_refused"


class TooManyAttempts(ExecutionError):
    """More log-ins than are let through; `seconds` from now there is room again."""

    default_code = "too_many_requests"

    def __init__(self, seconds: float) -> None:
        super().__init__("There were too many log-ins; try again later.")
        self.seconds = seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedIn:
    """An open session and the token for going on with it."""

    user_id: str
    name: str
    session_id: str
    refresh_token: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Invitation:
    """A one-time token by which a user sets the password."""

    token: str
    expires_at: datetime


class Accounts(Workspaces):
    """Everything about who may do what."""

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__(database, Quotas.read(settings.workspace_quotas))
        self._settings = settings
        self._users = UserStore(database)
        self._passwords = Passwords()
        self._callers = Shared()

    # -- users ------------------------------------------------------------------------------

    async def add_user(
        self, name: str, *, admin: bool = False, password: str | None = None, by: Doer
    ) -> JsonObject:
        """Make a user; without a password one is set by an invitation.

        Raises:
            InvalidValue: `user_name_invalid`, `password_invalid`.
            Conflict: `user_exists`.
        """
        name = checked_name(name)
        hashed = None
        if password is not None:
            check_password(password)
            hashed = await self._passwords.hash(password)
        await self._users.create_user(name, password_hash=hashed, admin=admin, by=by)
        return await self.user(name)

    async def users(self) -> list[JsonObject]:
        """Return all users by name, with what they are in which workspace."""
        return await self._users.users()

    async def user(self, name: str) -> JsonObject:
        """Return a user. Raises: NotFound (`user_not_found`)."""
        found = await self._users.users(known_name(name))
        if not found:
            raise NotFound("there is no such user", code="user_not_found")
        return found[0]

    async def change_user(
        self, name: str, *, admin: bool | None = None, disabled: bool | None = None, by: Doer
    ) -> JsonObject:
        """Make or unmake an administrator of the installation, let in or shut out.

        Raises:
            NotFound: `user_not_found`.
            Conflict: `last_admin`.
        """
        given = {"admin": admin, "disabled": disabled}
        change: JsonObject = {key: value for key, value in given.items() if value is not None}
        await self._users.change_user(known_name(name), change, by=by)
        return await self.user(name)

    async def set_password(
        self, name: str, password: str, *, keep: str | None = None, by: Doer
    ) -> None:
        """Set a user's password; all sessions end but the one to `keep`.

        Raises:
            NotFound: `user_not_found`.
            InvalidValue: `password_invalid`.
        """
        check_password(password)
        hashed = await self._passwords.hash(password)
        await self._users.change_user(name, {"password_hash": hashed}, keep=keep, by=by)

    async def change_password(
        self, name: str, old: str, new: str, *, session_id: str, by: Doer
    ) -> None:
        """Change one's own password, knowing the old one; the other sessions end.

        Raises:
            LoginRefused: The old one is wrong.
            TooManyAttempts: It was guessed too often.
            InvalidValue: `password_invalid`.
        """
        check_password(new, "/new_password")
        await self._verified(name, old, by.address)
        await self.set_password(name, new, keep=session_id, by=by)

    async def invite(self, name: str, *, by: Doer) -> Invitation:
        """Let a user set the password by a one-time token. Raises: NotFound."""
        token = secrets.token_urlsafe(32)
        seconds = self._settings.invitation_life.total_seconds()
        until = await self._users.invite_user(
            known_name(name), hash_of(token), seconds=seconds, by=by
        )
        return Invitation(token=token, expires_at=until)

    async def accept_invitation(self, token: str, password: str, *, by: Doer) -> str:
        """Set the password by a one-time token; returns the user's name.

        Raises:
            LoginRefused: The token is unknown, used or over.
            TooManyAttempts: From this address too many tokens were tried.
            InvalidValue: `password_invalid`.
        """
        check_password(password)
        await self._take(_address_bucket(by.address))
        if not 0 < len(token) <= _LONGEST_TOKEN:
            raise LoginRefused("The invitation is not valid, or not any more.")
        hashed = await self._passwords.hash(password)
        name = await self._users.accept_invitation(hash_of(token), hashed, by=by)
        if name is None:
            raise LoginRefused("The invitation is not valid, or not any more.")
        return name

    # -- log-in -----------------------------------------------------------------------------

    async def log_in(self, name: str, password: str, *, address: str | None) -> LoggedIn:
        """Open a session.

        Raises:
            LoginRefused: Name or password is wrong.
            TooManyAttempts: From this address, or for this name.
        """
        name = name.lower()
        user_id = await self._verified(name, password, address)
        refresh = secrets.token_urlsafe(32)
        session_id = await self._users.open_session(
            user_id,
            hash_of(refresh),
            refresh_seconds=self._settings.refresh_token_life.total_seconds(),
            session_seconds=self._settings.session_life.total_seconds(),
            bucket=_name_bucket(name).key,
            by=Doer(actor=f"user:{name}", channel="session", address=address),
        )
        return LoggedIn(user_id=user_id, name=name, session_id=session_id, refresh_token=refresh)

    async def refresh(self, token: str, *, address: str | None) -> LoggedIn:
        """Go on with a session by its refresh token, which gives another one and is used up.

        Raises:
            LoginRefused: It is unknown or over; one that was used before ends its session, too.
        """
        by = Doer(actor="user:unknown", channel="session", address=address)
        new = secrets.token_urlsafe(32)
        answer: dict[str, Any] = {"refused": "unknown"}
        if 0 < len(token) <= _LONGEST_TOKEN:
            answer = await self._users.rotate_refresh(
                hash_of(token),
                hash_of(new),
                seconds=self._settings.refresh_token_life.total_seconds(),
                by=by,
            )
        if "refused" in answer:
            raise LoginRefused("The refresh token is not valid, or not any more.")
        return LoggedIn(
            user_id=answer["user"],
            name=answer["name"],
            session_id=answer["session"],
            refresh_token=new,
        )

    async def log_out(self, session_id: str, *, by: Doer) -> None:
        """End a session: from now on its tokens count nowhere."""
        await self._users.end_session(session_id, by=by)

    async def _verified(self, name: str, password: str, address: str | None) -> str:
        # one after the other: who is refused by address makes no bucket for a name
        await self._take(_address_bucket(address))
        await self._take(_name_bucket(name))
        if not is_possible(password):
            raise _refused()  # nobody has such a password, known or not
        facts = await self._users.login_facts(name) if NAME_PATTERN.fullmatch(name) else None
        user_id, stored = facts or (None, None)
        right, anew = await self._passwords.verify(password, stored)
        if user_id is None or stored is None or not right:
            raise _refused()
        if anew is not None:
            await self._users.refresh_password_hash(user_id, stored, anew)
        return user_id

    async def _take(self, bucket: Bucket) -> None:
        seconds = await self._users.take_attempt(bucket)
        if seconds > 0:
            raise TooManyAttempts(seconds)

    async def caller_of_session(
        self, session_id: str, user_id: str, workspace: str | None
    ) -> CallerRow | None:
        """Return who is calling by a session that is open now."""
        return await self._callers.ask(
            (session_id, user_id, workspace),
            lambda: self._users.caller_of_session(session_id, user_id, workspace),
        )

    async def caller_of_key(self, text: str, workspace: str | None) -> CallerRow | None:
        """Return who is calling by a key that counts now."""
        found = KEY_PATTERN.fullmatch(text)
        if found is None:
            return None
        prefix, hashed = found[1], hash_of(text)
        return await self._callers.ask(
            (prefix, hashed, workspace),
            lambda: self._users.caller_of_key(prefix, hashed, workspace),
        )


def checked_name(name: str) -> str:
    """Return a user's name. Raises: InvalidValue (`user_name_invalid`)."""
    if not NAME_PATTERN.fullmatch(name):
        raise InvalidValue(
            "a user's name has up to 100 lower-case letters, digits and . _ @ + -, and begins "
            "with a letter or digit",
            pointer="/name",
            code="user_name_invalid",
        )
    return name


def _refused() -> LoginRefused:
    return LoginRefused("Name or password is wrong.")


def _name_bucket(name: str) -> Bucket:
    size, seconds = NAME_BUCKET
    return Bucket(key=f"name:{hash_of(name).hex()}", size=size, seconds=seconds)


def _address_bucket(address: str | None) -> Bucket:
    """Return the bucket of an address; a network of one customer has only one in IPv6."""
    size, seconds = ADDRESS_BUCKET
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return Bucket(key="address:unknown", size=size, seconds=seconds)
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False).network_address
    return Bucket(key=f"address:{found}", size=size, seconds=seconds)
