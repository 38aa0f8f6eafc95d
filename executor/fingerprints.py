"""The hash that a person's decision is bound to."""

from __future__ import annotations

import hashlib

import orjson

from flowbuilder.types import JsonValue


def fingerprint(value: JsonValue) -> str:
    """Return the SHA-256 of a value's canonical JSON, 64 hex digits."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()
