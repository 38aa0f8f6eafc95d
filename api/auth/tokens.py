"""Access tokens: short-lived, of one algorithm, naming an open session.

A token says who logged in, not what they may do: that is looked up with every request, so a change
of roles counts at once and nothing in a token has to be believed for long.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flowbuilder.errors import ExecutionError

ALGORITHM = "HS256"
ISSUER = "flowbuilder"
AUDIENCE = "flowbuilder-api"
SHORTEST_SECRET = 32
#: Ours have some 400 characters.
LONGEST_TOKEN = 2048
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_REQUIRED = ["exp", "iat", "sub", "iss", "aud", "jti", "sid"]
_HEADER = {"alg", "typ", "kid"}
#: Tokens whose signature was checked, kept so that it need not be checked again.
_MOST_KNOWN = 4096


class TokenRefused(ExecutionError):
    """The token is none of ours, or does not count any more."""

    default_code = "unauthorized"


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """What a token says."""

    user_id: str
    session_id: str


class Tokens:
    """Signs access tokens and reads them. The first secret signs, all of them count."""

    def __init__(
        self,
        keys: Sequence[bytes],
        *,
        life: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.life = life
        self._now = now
        self._keys = {hashlib.sha256(b"kid:" + key).hexdigest()[:16]: key for key in keys}
        self._signing = next(iter(self._keys))
        self._read: dict[bytes, tuple[Claims, int]] = {}

    def issue(self, user_id: str, session_id: str) -> str:
        """Return a token for an open session."""
        import jwt

        now = self._now()
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user_id,
            "sid": session_id,
            "jti": secrets.token_urlsafe(12),
            "iat": int(now.timestamp()),
            "exp": int((now + self.life).timestamp()),
        }
        key = self._keys[self._signing]
        return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": self._signing})

    def read(self, token: str) -> Claims:
        """Check everything about a token and return what it says.

        Raises:
            TokenRefused: Whatever is wrong; it says no more.
        """
        # what is not of our shape never reaches the library
        if len(token) > LONGEST_TOKEN or not _SHAPE.fullmatch(token):
            raise TokenRefused("The access token is not valid.")
        place = hashlib.sha256(token.encode()).digest()
        found = self._read.get(place)
        if found is None:
            found = self._verified(token)
            if len(self._read) >= _MOST_KNOWN:
                self._read.clear()
            self._read[place] = found
        # a signature is good for ever, the token is not
        claims, until = found
        if until <= self._now().timestamp():
            raise TokenRefused("The access token is not valid.")
        return claims

    def _verified(self, token: str) -> tuple[Claims, int]:
        import jwt

        try:
            header = jwt.get_unverified_header(token)
            if set(header) - _HEADER or header.get("alg") != ALGORITHM:
                raise TokenRefused("The access token is not valid.")
            claims: dict[str, Any] = jwt.decode(
                token,
                self._keys[header["kid"]],
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": _REQUIRED},
            )
            return self._claims(claims), claims["exp"]
        except (jwt.PyJWTError, KeyError, TypeError, ValueError, RecursionError):
            raise TokenRefused("The access token is not valid.") from None

    def _claims(self, claims: dict[str, Any]) -> Claims:
        for name, kind in (("exp", int), ("iat", int), ("sub", str), ("sid", str)):
            if type(claims[name]) is not kind:  # the library takes texts for numbers as well
                raise ValueError(name)
        if claims["exp"] - claims["iat"] > self.life.total_seconds() + 1:
            raise ValueError("exp")
        if claims["aud"] != AUDIENCE:  # and lists that have other audiences, too
            raise ValueError("aud")
        return Claims(
            user_id=str(uuid.UUID(claims["sub"])), session_id=str(uuid.UUID(claims["sid"]))
        )
