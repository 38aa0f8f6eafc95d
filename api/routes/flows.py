"""Flows: drafts, their steps, their versions, and what is wrong with them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from flowbuilder.api.auth.changes import note_change
from flowbuilder.api.body import body_schema, json_body, json_object, optional_json_object
from flowbuilder.api.dependencies import Builder, FlowSlug
from flowbuilder.api.matching import (
    IfMatch,
    IfNoneMatch,
    checked_match,
    etag,
    names,
    present,
    stale_refused,
    tagged,
)
from flowbuilder.api.plan_schemas import RepairOut
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.requests import StepBody
from flowbuilder.api.schemas import (
    FlowList,
    FlowOut,
    ProblemOut,
    ValidationOut,
    VersionList,
    VersionOut,
)
from flowbuilder.client import FlowBuilder, FlowHandle
from flowbuilder.errors import DefinitionError, NotFound, Problem, Severity
from flowbuilder.types import JsonObject

router = APIRouter(prefix="/flows", tags=["flows"])

Document = Annotated[dict[str, Any], Depends(json_object)]
MaybeDocument = Annotated[dict[str, Any] | None, Depends(optional_json_object)]
NewStep = Annotated[StepBody, Depends(json_body(StepBody))]
Number = Annotated[int, Path(ge=1, le=2_147_483_647, description="The version's number.")]
Repairs = Annotated[
    bool,
    Query(
        description="Answer with the document after what needs no decision was mended, and what "
        "was done to it. Errors that are left give no 422 then."
    ),
]
#: What a draft without steps is made of.
DRAFT_KEYS = {"format", "flow", "description", "input", "steps"}


@router.get("", summary="List flows")
async def list_flows(
    builder: Builder,
    state: Annotated[
        Literal["draft", "active", "archived", "all"] | None,
        Query(description="Only those; by default all that are not archived."),
    ] = None,
) -> FlowList:
    """Return every flow with its draft."""
    found = [FlowOut.of(handle.row) for handle in await builder.list_flows()]
    if state is None:
        return FlowList(items=[flow for flow in found if flow.state != "archived"])
    return FlowList(items=[flow for flow in found if state in ("all", flow.state)])


@router.post(
    "",
    summary="Create a flow",
    status_code=201,
    responses=documented(400, 409, 413, 415),
    openapi_extra=body_schema("Flow"),
)
async def create_flow(
    request: Request,
    builder: Builder,
    document: Document,
    response: Response,
    draft: Annotated[
        bool, Query(description="Create a flow without steps, to which steps are added.")
    ] = False,
) -> FlowOut:
    """Store a whole document as a new flow, or nothing at all when it has errors."""
    await note_change(request, "flow", str(document.get("flow")))
    if draft:
        handle = await _create_empty(builder, document)
    else:
        await _require_valid(builder, document)
        # claims the name first, so that of two at once the second gets its conflict
        await builder.create_flow(cast(str, document["flow"]))
        handle = await builder.save_flow(document)
    response.headers["Location"] = f"/api/v1/flows/{handle.slug}"
    return tagged(handle, response)


async def _create_empty(builder: FlowBuilder, document: JsonObject) -> FlowHandle:
    problems = [
        Problem(code="unknown_key", pointer=f"/{key}", message="this key is not for a draft")
        for key in sorted(document.keys() - DRAFT_KEYS)
    ]
    if document.get("steps"):
        problems.append(
            Problem(
                code="steps_not_allowed",
                pointer="/steps",
                message="a draft is created without steps",
                hint="Leave `draft` out to store the whole document.",
            )
        )
    slug, about, schema = (document.get(key) for key in ("flow", "description", "input"))
    if not isinstance(slug, str):
        problems.append(Problem(code="key_missing", pointer="/flow", message="a name is needed"))
    if not isinstance(about, str | None):
        problems.append(
            Problem(code="value_invalid", pointer="/description", message="text is expected")
        )
    if not isinstance(schema, dict | None):
        problems.append(
            Problem(code="value_invalid", pointer="/input", message="a JSON Schema is expected")
        )
    if problems:
        raise DefinitionError("The draft is wrong.", problems=problems)
    return await builder.create_flow(
        cast(str, slug),
        description=cast("str | None", about),
        input_schema=cast("JsonObject | None", schema),
    )


@router.post(
    "/validate",
    summary="Validate a document",
    responses=documented(400, 413, 415),
    openapi_extra=body_schema("Flow"),
)
async def validate_document(
    builder: Builder, document: Document, repair: Repairs = False
) -> ValidationOut | RepairOut:
    """Check a document without storing it. Errors give a 422 that lists every one."""
    return await (_repaired if repair else _validation)(builder, document)


@router.get(
    "/{slug}",
    summary="Show a flow",
    response_model=FlowOut,
    responses={304: {"description": "It is still the one of `If-None-Match`."}, **documented(404)},
)
async def get_flow(
    builder: Builder, slug: FlowSlug, response: Response, if_none_match: IfNoneMatch = None
) -> FlowOut | Response:
    """Return a flow with its draft. Its `ETag` is another one after every change."""
    handle = await builder.get_flow(slug)
    if names(if_none_match, handle.row.revision):
        return Response(status_code=304, headers={"ETag": etag(handle.row.revision)})
    return tagged(handle, response)


@router.put(
    "/{slug}",
    summary="Replace or create a flow",
    responses={
        201: {"description": "The flow is new.", "model": FlowOut},
        **documented(400, 404, 409, 412, 413, 415),
    },
    openapi_extra=body_schema("Flow"),
)
async def put_flow(
    builder: Builder,
    slug: FlowSlug,
    document: Document,
    response: Response,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> FlowOut:
    """Replace the draft as a whole, or leave it as it was when the document has errors.

    With `If-Match` only the draft of that `ETag` is replaced, with `If-None-Match: *` none is.
    """
    named = _named(document, slug)
    row = await present(builder, slug)
    revision = checked_match(row, if_match, if_none_match)
    response.status_code = 201 if row is None else 200
    with stale_refused():
        return tagged(await builder.save_flow(named, revision=revision), response)


@router.delete("/{slug}", summary="Delete a flow", status_code=204, responses=documented(404, 412))
async def delete_flow(builder: Builder, slug: FlowSlug, if_match: IfMatch = None) -> None:
    """Delete the flow. Its runs and the versions that they use stay."""
    row = await present(builder, slug)
    revision = checked_match(row, if_match, None) if row is not None else None
    with stale_refused():
        if not await builder.delete_flow(slug, revision=revision):
            raise NotFound(f"there is no flow {slug!r}", code="flow_not_found")


@router.post("/{slug}/archive", summary="Archive a flow", responses=documented(404))
async def archive_flow(builder: Builder, slug: FlowSlug, response: Response) -> FlowOut:
    """Let no run of the flow be started any more. Runs under way go on."""
    return tagged(await builder.archive_flow(slug), response)


@router.post("/{slug}/restore", summary="Take a flow out of the archive", responses=documented(404))
async def restore_flow(builder: Builder, slug: FlowSlug, response: Response) -> FlowOut:
    """Let runs of an archived flow be started again."""
    return tagged(await builder.restore_flow(slug), response)


@router.post(
    "/{slug}/steps",
    summary="Add a step",
    status_code=201,
    responses=documented(400, 404, 409, 413, 415),
    openapi_extra=body_schema("StepBody"),
)
async def add_step(builder: Builder, slug: FlowSlug, step: NewStep) -> FlowOut:
    """Add a step to the draft. Pointers of problems go into the draft with the step in it."""
    policies = step.model_dump(exclude={"id"}, exclude_unset=True)
    return FlowOut.of((await builder.add_step(slug, step.id, **policies)).row)


@router.get("/{slug}/versions", summary="List versions", responses=documented(404))
async def list_versions(builder: Builder, slug: FlowSlug) -> VersionList:
    """Return the published versions, newest first."""
    return VersionList(items=[VersionOut.of(row) for row in await builder.versions(slug)])


@router.post(
    "/{slug}/versions",
    summary="Publish the draft",
    status_code=201,
    responses=documented(404, 409),
)
async def publish(builder: Builder, slug: FlowSlug) -> VersionOut:
    """Make an immutable version of the draft. The same content gives the same version again."""
    return VersionOut.of(await builder.publish(slug))


@router.get(
    "/{slug}/versions/{number}",
    summary="Show a version",
    response_model=VersionOut,
    responses={304: {"description": "It is the one of `If-None-Match`."}, **documented(404)},
)
async def get_version(
    builder: Builder,
    slug: FlowSlug,
    number: Number,
    response: Response,
    if_none_match: IfNoneMatch = None,
) -> VersionOut | Response:
    """Return one version with its document, which never changes; its `ETag` is its content's."""
    version = await builder.get_version(slug, number)
    headers = {"ETag": etag(version.content_hash)}
    if names(if_none_match, version.content_hash):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return VersionOut.of(version)


@router.post(
    "/{slug}/validate",
    summary="Validate a draft, or what is to replace it",
    responses=documented(400, 404, 413, 415),
    openapi_extra=body_schema("Flow", required=False),
)
async def validate_flow(
    builder: Builder, slug: FlowSlug, document: MaybeDocument, repair: Repairs = False
) -> ValidationOut | RepairOut:
    """Check the stored draft or, with a body, that document. Errors give a 422 with every one."""
    handle = await builder.get_flow(slug)
    given = handle.row.draft if document is None else _named(document, slug)
    return await (_repaired if repair else _validation)(builder, given)


def _named(document: JsonObject, slug: str) -> JsonObject:
    """Return the document under the name in the address. Raises: DefinitionError."""
    if document.setdefault("flow", slug) == slug:
        return document
    raise DefinitionError(
        "The document has another name than the address.",
        problems=[
            Problem(
                code="slug_mismatch",
                pointer="/flow",
                message=f"expected {slug!r}",
                hint="Leave `flow` out, or send it to the address of that name.",
            )
        ],
    )


async def _repaired(builder: FlowBuilder, document: JsonObject) -> RepairOut:
    found = await builder.repair(document)
    problems = [ProblemOut.model_validate(item) for item in found.problems]
    return RepairOut(
        valid=found.valid,
        document=cast("dict[str, Any]", found.document),
        changes=[change.as_json() for change in found.changes],
        problems=problems,
    )


async def _validation(builder: FlowBuilder, document: JsonObject) -> ValidationOut:
    problems = await _require_valid(builder, document)
    return ValidationOut(problems=[ProblemOut.model_validate(item) for item in problems])


async def _require_valid(builder: FlowBuilder, document: JsonObject) -> tuple[Problem, ...]:
    """Return the warnings of a document. Raises: DefinitionError when it has errors."""
    problems = await builder.validate(document)
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    if errors:
        raise DefinitionError(
            f"The flow has {errors} problem{'s' if errors > 1 else ''}.", problems=problems
        )
    return problems
