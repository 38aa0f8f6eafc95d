"""Problems as the OpenAPI document shows them: what each status means, its headers, the schema."""

from __future__ import annotations

from flowbuilder.api.problems import MEDIA_TYPE
from flowbuilder.types import JsonObject

_RETRY: JsonObject = {
    "description": "Seconds after which to come again.",
    "required": True,
    "schema": {"type": "integer", "minimum": 1},
}
#: By status: a header that it always has, and what is said of it.
SENT_HEADERS: dict[int, tuple[str, JsonObject]] = {
    401: (
        "WWW-Authenticate",
        {"description": "`Bearer`.", "required": True, "schema": {"type": "string"}},
    ),
    429: ("Retry-After", _RETRY),
    503: ("Retry-After", _RETRY),
}

DESCRIPTIONS = {
    400: "The request cannot be read: no JSON, or a malformed header.",
    401: "Nobody is logged in, or the token or key does not count any more.",
    403: "Whoever is calling may not do this.",
    404: "There is none of that name or id.",
    409: "The present state does not allow this, or it exists already.",
    410: "It was there, and is deleted or over; of events, `first` is the first number left.",
    412: "It has changed since it was read.",
    413: "The body is too large.",
    415: "The body is not declared as JSON.",
    422: "The request was read and is wrong; `errors` lists every finding.",
    429: "There were too many; `Retry-After` says when to come again.",
    500: "Something went wrong inside.",
    502: "The model provider, or what is connected, failed.",
    503: "The database cannot be reached, or too many streams are open.",
    504: "The model provider did not answer in time.",
}

PROBLEM_SCHEMA: JsonObject = {
    "title": "Problem",
    "description": "A problem document (RFC 9457). Further members depend on the code.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "instance", "errors"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stable and machine-readable."},
        "instance": {"type": "string", "description": "Names this occurrence; also in the log."},
        "request_id": {"type": "string", "description": "The header X-Request-Id's."},
        "hint": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "message"],
                "properties": {
                    "pointer": {"type": "string", "description": "RFC 6901, into the body."},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                    "hint": {"type": ["string", "null"]},
                    "severity": {"enum": ["error", "warning"]},
                    "in": {"type": "string", "description": "`query` or `header`."},
                    "parameter": {"type": "string"},
                },
            },
        },
        "decision": {"type": ["string", "null"], "description": "With `already_decided`."},
        "decided_by": {"type": ["string", "null"], "description": "With `already_decided`."},
        "decided_at": {"type": ["string", "null"], "description": "With `already_decided`."},
        "first": {"type": "integer", "description": "With `events_pruned`."},
        "details": {"type": "object"},
    },
}


def documented(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Return the `responses` of a route that may answer with these problems."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    found: dict[int | str, dict[str, object]] = {}
    for status in statuses:
        found[status] = {"description": DESCRIPTIONS[status], "content": {MEDIA_TYPE: schema}}
        if status in SENT_HEADERS:
            name, header = SENT_HEADERS[status]
            found[status]["headers"] = {name: header}
    return found
