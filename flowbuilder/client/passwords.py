"""Passwords: hashed with Argon2id in threads, few at a time because each takes 64 MiB."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from flowbuilder.errors import Conflict, InvalidValue

if TYPE_CHECKING:
    from pwdlib import PasswordHash

T = TypeVar("T")

SHORTEST = 12
#: In bytes of UTF-8.
LONGEST = 1024
#: Hashes that are made at once in one process.
AT_ONCE = 2
#: Further ones that may wait for their turn.
MOST_WAITING = 20


class TooBusy(Conflict):
    """More log-ins at once than this process takes."""

    default_code = "too_many_requests"


def check_password(password: str, pointer: str = "/password") -> None:
    """Refuse what is no password for a new one.

    Raises:
        InvalidValue: `password_invalid`.
    """
    if len(password) < SHORTEST or not is_possible(password) or len(set(password)) < 4:
        raise InvalidValue(
            f"a password has {SHORTEST} to {LONGEST} characters, at least four different ones "
            "and no NUL",
            pointer=pointer,
            code="password_invalid",
        )


def is_possible(password: str) -> bool:
    """Say whether any user can have this password; what is not is never hashed."""
    if not 0 < len(password) <= LONGEST or "\0" in password:
        return False
    try:
        return len(password.encode()) <= LONGEST
    except UnicodeEncodeError:
        return False


class Passwords:
    """Hashes and verifies, at the same cost whether or not there is something to verify."""

    def __init__(self) -> None:
        self._hasher: PasswordHash | None = None
        self._nobodys = ""
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """Return the hash to be stored. Raises: TooBusy."""
        return await self._in_turn(self._hash, password)

    async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Say whether a password is right, and the new hash if the old one's cost is outdated.

        Without a stored hash the work is the same and the answer no. Raises: TooBusy.
        """
        return await self._in_turn(self._verify, password, stored)

    async def _in_turn(self, work: Callable[..., T], *values: str | None) -> T:
        if self._waiting >= AT_ONCE + MOST_WAITING:
            raise TooBusy("too many log-ins at once; try again shortly")
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work, *values)
        finally:
            self._waiting -= 1

    def _ready(self) -> PasswordHash:
        if self._hasher is None:
            from pwdlib import PasswordHash

            self._hasher = PasswordHash.recommended()
            self._nobodys = self._hasher.hash(secrets.token_urlsafe())
        return self._hasher

    def _hash(self, password: str) -> str:
        return self._ready().hash(password)

    def _verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        hasher = self._ready()
        if stored is None:
            hasher.verify(password, self._nobodys)
            return False, None
        return hasher.verify_and_update(password, stored)
