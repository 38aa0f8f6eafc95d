"""Options of buckets: which there are, and what they may say.

The library that talks to buckets ends in a panic on an address that is none, and on options of the
connection that it wants given otherwise. So they are checked before it sees them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

_SWITCHES = frozenset(
    {
        *("virtual_hosted_style_request", "unsigned_payload", "imdsv1_fallback", "s3_express"),
        *("skip_signature", "disable_tagging", "disable_bulk_delete", "sse_bucket_key_enabled"),
    }
)
_ADDRESSES = frozenset(
    {
        *("endpoint", "endpoint_url", "endpoint_url_sts", "metadata_endpoint"),
        "container_credentials_full_uri",
    }
)
_NAMES = frozenset({"region", "default_region", "bucket", "bucket_name"})
_FILES = frozenset({"web_identity_token_file", "container_authorization_token_file"})
_CHOICES = {
    "checksum_algorithm": ("sha256", "crc64nvme"),
    "server_side_encryption": ("AES256", "aws:kms", "aws:kms:dsse", "sse-c"),
}
_TEXTS = frozenset(
    {
        *("access_key_id", "secret_access_key", "token", "session_token", "role_arn"),
        *("role_session_name", "container_credentials_relative_uri", "copy_if_not_exists"),
        *("conditional_put", "request_payer", "sse_kms_key_id", "sse_customer_key_base64"),
    }
)
_KNOWN = _SWITCHES | _ADDRESSES | _NAMES | _FILES | _TEXTS | frozenset(_CHOICES)
_SWITCH = re.compile(r"1|true|on|yes|y|0|false|off|no|n", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9._-]+")
#: What may stand in a header, as most options do.
_PLAIN = re.compile(r"[\x20-\x7e]*")


def wrong_name(options: Mapping[str, str]) -> str | None:
    """Return which option a bucket does not have, and why; None if all are well."""
    seen: set[str] = set()
    for option in options:
        name = _bare(option)
        if name == "allow_http":
            return "allow_http stands beside options, not in them"
        if name not in _KNOWN:
            return f"{option[:80]!r} is no option of a bucket"
        if name in seen:
            return f"{name} is given twice"
        seen.add(name)
    return None


def wrong_value(option: str, value: str) -> str | None:
    """Return what is wrong with an option's value, without the value; None if it is well."""
    name = _bare(option)
    if name in _SWITCHES and not _SWITCH.fullmatch(value):
        return f"{option} is true or false"
    if name in _ADDRESSES and not _is_address(value):
        return f"{option} is an address, https://name"
    if name in _NAMES and not _NAME.fullmatch(value):
        return f"{option} has letters, digits, dots and hyphens"
    choices = _CHOICES.get(name)
    if choices is not None and value.lower() not in (choice.lower() for choice in choices):
        return f"{option} is one of {', '.join(choices)}"
    if name not in _FILES and not _PLAIN.fullmatch(value):
        return f"{option} has a line break or another character that cannot be sent"
    return None


def _bare(option: str) -> str:
    return option.lower().removeprefix("aws_")


def _is_address(value: str) -> bool:
    if not _PLAIN.fullmatch(value) or " " in value:
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
