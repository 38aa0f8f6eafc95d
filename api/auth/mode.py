"""Whether the service knows users, or whoever is on this machine is its one user."""

from __future__ import annotations

from flowbuilder.api.auth.tokens import SHORTEST_SECRET, Tokens
from flowbuilder.api.hosts import is_loopback
from flowbuilder.errors import SettingsError
from flowbuilder.settings import Settings

#: Texts that stand in examples: who copies one has a secret that everybody knows.
_SAMPLES = ("secret", "changeme", "change-me", "change_me", "example", "password", "0123456789")
_MAKE_ONE = (
    "Make one with: python -c 'import secrets; print(secrets.token_urlsafe(48))' and set "
    "FLOWBUILDER_AUTH_SECRET, or name a file that holds it with FLOWBUILDER_AUTH_SECRET_FILE. For "
    "a service of your own, reached from this machine alone: FLOWBUILDER_AUTH=local."
)


def tokens_of(settings: Settings) -> Tokens | None:
    """Return what signs access tokens; None where nobody logs in.

    Raises:
        SettingsError: Nobody would have to log in on an address that others reach
            (`auth_not_local`), or there is no secret that can be trusted (`auth_secret_missing`,
            `auth_secret_weak`).
    """
    loopback = is_loopback(settings.host)
    if settings.auth == "local" and not loopback:
        raise SettingsError(
            f"A service without log-in must not listen on {settings.host}.",
            code="auth_not_local",
            hint="Listen on 127.0.0.1, or set FLOWBUILDER_AUTH=users.",
        )
    if settings.auth == "local" or (
        settings.auth == "auto" and loopback and settings.database_url is None
    ):
        return None
    before = settings.auth_secret_before
    earlier = [] if before is None else [_checked(before.get_secret_value())]
    return Tokens([_secret(settings), *earlier], life=settings.access_token_life)


def _secret(settings: Settings) -> bytes:
    if settings.auth_secret is not None:
        return _checked(settings.auth_secret.get_secret_value())
    if settings.auth_secret_file is None:
        raise SettingsError(
            "The service has users, so it needs a secret to sign their tokens with.",
            code="auth_secret_missing",
            hint=_MAKE_ONE,
        )
    try:
        text = settings.auth_secret_file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"FLOWBUILDER_AUTH_SECRET_FILE cannot be read: {type(error).__name__}.",
            code="auth_secret_missing",
            hint=_MAKE_ONE,
        ) from None
    return _checked(text.strip())


def _checked(text: str) -> bytes:
    secret = text.encode()
    known = any(sample in text.lower() for sample in _SAMPLES)
    if len(secret) < SHORTEST_SECRET or len(set(secret)) < 10 or known:
        raise SettingsError(
            f"The secret is shorter than {SHORTEST_SECRET} bytes, or no random text.",
            code="auth_secret_weak",
            hint=_MAKE_ONE,
        )
    return secret
