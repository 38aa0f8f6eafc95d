"""What the OpenAPI document says about who may call what; it comes from the table of access."""

from __future__ import annotations

from typing import Any

from flowbuilder.api.auth.access import ACCESS, PREFIX, Level
from flowbuilder.api.problem_documents import documented

_SCHEMES: dict[str, Any] = {
    "session": {
        "type": "oauth2",
        "description": "An access token, got by name and password or by a refresh token.",
        "flows": {
            "password": {
                "tokenUrl": f"{PREFIX}/auth/token",
                "refreshUrl": f"{PREFIX}/auth/token",
                "scopes": {},
            }
        },
    },
    "key": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "fb_<prefix>_<secret>",
        "description": "An API key, for programs.",
    },
}


def show_access(document: dict[str, Any]) -> None:
    """Write into the document which operations take a log-in or a key, and which role."""
    document["components"]["securitySchemes"] = _SCHEMES
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            access = ACCESS.get(f"{method.upper()} {path}")
            if access is not None and access.level is Level.PUBLIC:
                operation["security"] = []
                continue
            sessions_only = access is not None and (
                access.session or access.level in (Level.SESSION, Level.INSTANCE)
            )
            operation["security"] = [{"session": []}]
            if not sessions_only:
                operation["security"].append({"key": []})
            operation["x-role"] = "nobody" if access is None else access.name
            for status, answer in documented(401, 403).items():
                operation["responses"].setdefault(str(status), answer)
