"""Flow documents in and out of the service, one or many at a time."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, cast

import yaml
from fastapi import APIRouter, Depends, Query, Request, Response

from flowbuilder.api.auth.changes import note_change
from flowbuilder.api.body import read_bytes, read_json
from flowbuilder.api.dependencies import Builder, FlowSlug
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.problems import BadRequest, pointer_of
from flowbuilder.api.schemas import FlowList, FlowOut
from flowbuilder.client import FlowBuilder
from flowbuilder.errors import Conflict, DefinitionError, InvalidValue, NotFound, Problem, Severity
from flowbuilder.strictjson import load_document
from flowbuilder.types import JsonObject

router = APIRouter(prefix="/flows", tags=["flows"])

YAML = "application/yaml"
#: Documents of one import.
MOST_FLOWS = 200
_SCHEMA = {"$ref": "#/components/schemas/Flow"}
_MANY = {
    "type": "object",
    "required": ["flows"],
    "additionalProperties": False,
    "properties": {"flows": {"type": "array", "items": _SCHEMA, "maxItems": MOST_FLOWS}},
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"anyOf": [_SCHEMA, _MANY]}},
            YAML: {"schema": {"anyOf": [_SCHEMA, _MANY]}},
        },
    }
}


@router.get(
    "/{slug}/export",
    summary="Export a flow",
    response_class=Response,
    responses={
        200: {
            "description": "The flow document alone, which an import takes.",
            "content": {
                "application/json": {"schema": _SCHEMA},
                YAML: {"schema": _SCHEMA},
            },
        },
        **documented(404),
    },
)
async def export_flow(
    builder: Builder,
    slug: FlowSlug,
    version: Annotated[
        int | None, Query(ge=1, le=2_147_483_647, description="A version; default: the draft.")
    ] = None,
    format: Annotated[Literal["json", "yaml"], Query()] = "json",
) -> Response:
    """Return a flow document. Secrets stand in it by name only, as everywhere."""
    if version is None:
        document = (await builder.get_flow(slug)).row.draft
    else:
        document = (await builder.get_version(slug, version)).document
    named = {
        "Content-Disposition": f'attachment; filename="{slug}.{format}"',
        "X-Content-Type-Options": "nosniff",
    }
    if format == "yaml":
        text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
        return Response(text, media_type=YAML, headers=named)
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    return Response(text, media_type="application/json", headers=named)


async def _imported(request: Request) -> list[JsonObject]:
    """Return the documents of a body, JSON or YAML: one, or `{"flows": [...]}`."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    given: Any
    if media == YAML:
        try:
            given = load_document((await read_bytes(request)).decode(), name="the body")
        except UnicodeDecodeError:
            raise BadRequest("The body is not in UTF-8.", code="bad_request") from None
        except InvalidValue as error:
            raise BadRequest(error.message, pointer=error.pointer, code=error.code) from None
    else:
        given = await read_json(request)
    many = isinstance(given, dict) and given.keys() == {"flows"}
    documents = given["flows"] if many else [given]
    right = isinstance(documents, list) and all(isinstance(one, dict) for one in documents)
    if not right or len(documents) > MOST_FLOWS:
        raise DefinitionError(
            f"A flow document is needed, or up to {MOST_FLOWS} of them under `flows`.",
            problems=[Problem(code="document_not_object", pointer="", message="no documents")],
            code="document_not_object",
        )
    return cast("list[JsonObject]", documents)


@router.post(
    "/import",
    summary="Import flows",
    status_code=201,
    responses=documented(400, 409, 413, 415),
    openapi_extra=_BODY,
)
async def import_flows(
    request: Request,
    builder: Builder,
    documents: Annotated[list[JsonObject], Depends(_imported)],
    replace: Annotated[
        bool, Query(description="Replace the drafts of flows that are there already.")
    ] = False,
) -> FlowList:
    """Store flow documents as drafts: all of them, or none when one has errors or is there."""
    await _check(builder, documents)
    if not replace:
        await _require_new(builder, documents)
    for document in documents:
        await note_change(request, "flow", str(document.get("flow")))
    saved = [await builder.save_flow(document) for document in documents]
    return FlowList(items=[FlowOut.of(handle.row) for handle in saved])


async def _check(builder: FlowBuilder, documents: list[JsonObject]) -> None:
    """Refuse documents with errors; those of one import may name each other."""
    problems: list[Problem] = []
    names = [document.get("flow") for document in documents]
    for place, document in enumerate(documents):
        prefix = pointer_of(["flows", place]) if len(documents) > 1 else ""
        found = [
            problem
            for problem in await builder.validate(document)
            if problem.severity is Severity.ERROR and not _is_mutual(problem, names)
        ]
        problems += [_moved(problem, prefix) for problem in found]
        if names.index(document.get("flow")) != place:
            problems.append(
                Problem(
                    code="flow_twice", pointer=f"{prefix}/flow", message="this name comes twice"
                )
            )
    if problems:
        raise DefinitionError(f"The import has {len(problems)} problems.", problems=problems)


def _is_mutual(problem: Problem, names: list[Any]) -> bool:
    """Say whether a flow is missed that comes with the same import."""
    return problem.code == "unknown_flow" and any(repr(name) in problem.message for name in names)


def _moved(problem: Problem, prefix: str) -> Problem:
    return Problem(
        code=problem.code,
        pointer=prefix + problem.pointer,
        message=problem.message,
        hint=problem.hint,
        severity=problem.severity,
        fix=problem.fix,
    )


async def _require_new(builder: FlowBuilder, documents: list[JsonObject]) -> None:
    for document in documents:
        try:
            await builder.get_flow(str(document.get("flow")))
        except NotFound:
            continue
        raise Conflict(
            f"there is a flow {document.get('flow')} already",
            code="flow_exists",
            hint="Import with replace=true to replace drafts.",
        )
