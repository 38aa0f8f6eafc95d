"""The OpenAPI document: what FastAPI finds, with problems, bodies of our own gate, and access.

`docs/openapi.json` holds it as it is to be; a test compares both, so that no change of the surface
goes unseen.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from flowbuilder.api.auth.documenting import show_access
from flowbuilder.api.body import MODELS
from flowbuilder.api.problem_documents import PROBLEM_SCHEMA
from flowbuilder.flow import Flow

#: Where the document is checked in, and how it gets there.
FILE = "docs/openapi.json"
REFRESH = f"make surface (flowbuilder openapi > {FILE})"


def document_of(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of the service."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
    )
    models: list[type[BaseModel]] = sorted({*MODELS, Flow}, key=lambda model: model.__name__)
    _, bodies = models_json_schema(
        [(model, "validation") for model in models],
        ref_template="#/components/schemas/{model}",
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(bodies["$defs"])
    schemas["Problem"] = PROBLEM_SCHEMA
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    show_access(document)
    return document


def as_text(document: dict[str, Any]) -> str:
    """Return the document as it is checked in: sorted, so that two changes seldom meet."""
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
