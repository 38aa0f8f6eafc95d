"""Signatures of deliveries by the scheme of Standard Webhooks.

`webhook-signature` is a list, separated by spaces, of `v1,` and the base64 of HMAC-SHA256 over
`id.timestamp.body`, the body's bytes as they were sent. A secret is `whsec_` and the key in base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flowbuilder.errors import FlowBuilderError, InvalidValue

PREFIX = "whsec_"
KEY_BYTES = 32
#: How far a delivery's own time may be from the database's.
WINDOW_SECONDS = 300
MOST_SIGNATURES = 10
_SHORTEST_KEY, _LONGEST_KEY = 24, 64
_LONGEST_HEADER = 2000
#: No full stop: it parts what is signed.
_ID = re.compile(r"[\x21-\x2d\x2f-\x7e]{1,200}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


class SignatureRefused(FlowBuilderError):
    """A delivery is not shown to come from who knows the secret, or not to be new."""

    default_code = "webhook_signature_invalid"


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """The three headers of a delivery, each as many times as it was sent."""

    ids: Sequence[str]
    timestamps: Sequence[str]
    signatures: Sequence[str]


def new_secret() -> str:
    """Return a fresh secret."""
    return PREFIX + base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def new_path() -> str:
    """Return the random end of an address: 192 bits."""
    return secrets.token_urlsafe(24)


def check_secret(secret: object) -> str:
    """Return a secret that somebody brings along. Raises: InvalidValue (webhook_secret_invalid)."""
    text = secret if isinstance(secret, str) and len(secret) <= _LONGEST_HEADER else ""
    try:
        key = _key(text)
    except (binascii.Error, ValueError):
        key = b""
    usable = text.startswith(PREFIX) and _SHORTEST_KEY <= len(key) <= _LONGEST_KEY
    if not usable or len(set(key)) < len(key) // 4:
        raise InvalidValue(
            f"a webhook's secret is {PREFIX} and {_SHORTEST_KEY} to {_LONGEST_KEY} random bytes in "
            "base64",
            pointer="/secret",
            code="webhook_secret_invalid",
            hint="Leave it out to get a fresh one.",
        )
    return text


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the `webhook-signature` of a delivery."""
    return (
        "v1," + base64.b64encode(_digest(_key(secret), message_id, str(timestamp), body)).decode()
    )


def verify(given: Signature, body: bytes, keys: Sequence[str], now: datetime) -> str:
    """Return the id of a delivery that one of the secrets has signed, not long ago.

    Raises:
        SignatureRefused: `webhook_signature_missing`, `webhook_signature_invalid`,
            `webhook_timestamp_invalid`.
    """
    if not (given.ids and given.timestamps and given.signatures):
        raise SignatureRefused(
            "The headers webhook-id, webhook-timestamp and webhook-signature are needed.",
            code="webhook_signature_missing",
        )
    message_id, timestamp = _only(given.ids, _ID), _only(given.timestamps, _TIMESTAMP)
    sent = [part for text in given.signatures for part in text.split(" ") if part]
    if len(sent) > MOST_SIGNATURES or sum(map(len, given.signatures)) > _LONGEST_HEADER:
        raise SignatureRefused(f"There are more than {MOST_SIGNATURES} signatures.")
    wanted = [_digest(_key(key), message_id, timestamp, body) for key in keys]
    # every one is compared with every other, so that time tells nothing
    fits = [hmac.compare_digest(found, right) for found in _digests(sent) for right in wanted]
    if not any(fits):
        raise SignatureRefused("No signature is right.")
    if abs(int(timestamp) - now.timestamp()) > WINDOW_SECONDS:
        raise SignatureRefused(
            f"The delivery's time is more than {WINDOW_SECONDS // 60} minutes from ours.",
            code="webhook_timestamp_invalid",
        )
    return message_id


def _only(values: Sequence[str], pattern: re.Pattern[str]) -> str:
    if len(values) != 1 or not pattern.fullmatch(values[0]):
        raise SignatureRefused("webhook-id or webhook-timestamp cannot be read.")
    return values[0]


def _digests(sent: Sequence[str]) -> list[bytes]:
    found = []
    for part in sent:
        version, _, text = part.partition(",")
        if version == "v1":
            try:
                found.append(base64.b64decode(text, validate=True))
            except (binascii.Error, ValueError):
                continue
    return found


def _digest(key: bytes, message_id: str, timestamp: str, body: bytes) -> bytes:
    return hmac.digest(key, b".".join((message_id.encode(), timestamp.encode(), body)), "sha256")


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)


def fingerprint(path: str) -> str:
    """Return a short name of an address for logs, from which it cannot be told."""
    return hashlib.sha256(path.encode()).hexdigest()[:12]
