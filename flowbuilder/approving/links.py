"""Links by which one person decides one approval: their tokens, and what a form must bring back."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

#: Where the page of a link is, followed by the token.
PATH = "/approve/"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_IN_TEXT = re.compile(re.escape(PATH) + r"[^\s\"'?#]+")


def new_token() -> str:
    """Return a fresh token: 256 random bits."""
    return secrets.token_urlsafe(32)


def hash_of_link(token: str) -> bytes | None:
    """Return what is kept of a token; None for what is none."""
    return hashlib.sha256(token.encode()).digest() if _TOKEN.fullmatch(token) else None


def url_of(public_url: str, token: str) -> str:
    """Return the address of a link's page, for a service that people reach at `public_url`."""
    return f"{public_url.rstrip('/')}{PATH}{token}"


def form_key(token: str, approval_id: str, args_hash: str) -> str:
    """Return what the form on a link's page has to bring back: nobody else can know it."""
    said = f"decide\n{approval_id}\n{args_hash}"
    return hmac.new(token.encode(), said.encode(), hashlib.sha256).hexdigest()


def is_form_key(given: str, token: str, approval_id: str, args_hash: str) -> bool:
    """Whether a form has brought back what its page gave it."""
    wanted = form_key(token, approval_id, args_hash)
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def without_links(text: str) -> str:
    """Return a text in which no token of a link can be read."""
    return _IN_TEXT.sub(f"{PATH}***", text)
