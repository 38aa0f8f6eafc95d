"""Reading a form as OAuth 2.0 sends it: small, flat, each field once."""

from __future__ import annotations

from urllib.parse import parse_qsl

from fastapi import Request

from flowbuilder.api.body import read_bytes
from flowbuilder.api.problems import BadRequest

MEDIA_TYPE = "application/x-www-form-urlencoded"
#: A name and a password of the longest kind, every byte percent-encoded.
LARGEST_FORM = 16_384
_MOST_FIELDS = 12


async def read_form(request: Request, *, limit: int = LARGEST_FORM) -> dict[str, str]:
    """Read the body as a form.

    Raises:
        BadRequest: It is none (400, 415), too large (413), or a field comes twice.
    """
    media, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "").replace(" ", "")
    if media.strip().lower() != MEDIA_TYPE or charset not in ("", "charset=utf-8"):
        raise BadRequest(f"A form is needed: {MEDIA_TYPE}.", code="media_type_unsupported")
    raw = await read_bytes(request, limit=limit)
    try:
        fields = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise BadRequest("The form cannot be read.", code="form_invalid") from None
    found = dict(fields)
    if len(found) != len(fields):
        raise BadRequest("A field of the form comes twice.", code="form_invalid")
    return found
