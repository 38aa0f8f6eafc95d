"""Secrets in web requests: in headers, toward the hosts that they are bound to, never in a URL."""

from __future__ import annotations

from collections.abc import Mapping

from flowbuilder.secrecy import fill, mentioned
from flowbuilder.tools import Context, Fail
from flowbuilder.types import JsonValue


def refuse_secrets_in_url(parts: JsonValue) -> None:
    """Refuse a URL or query that refers to a secret: URLs end up in logs. Raises: Fail."""
    for name in mentioned(parts):
        raise Fail(
            f"the secret {name} is not put into a URL, where it would end up in logs: "
            "send it in a header",
            code="secret_in_url",
        )


async def with_secrets(context: Context, url: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers with the values of secrets in their places.

    Raises:
        NotFound: `secret_not_found`.
        Fail: `secret_not_allowed`: one may not be sent to this URL.
    """

    async def reveal(name: str) -> str:
        if not url.lower().startswith("https:") and not context.settings.http_allow_private:
            raise Fail(f"the secret {name} is sent over https only", code="secret_not_allowed")
        return await context.secrets.fetch(name, url=url)

    for name in mentioned(list(headers)):
        raise Fail(f"the secret {name} is no name of a header", code="http_invalid")
    return {name: await fill(value, reveal) for name, value in headers.items()}
