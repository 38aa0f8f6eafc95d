"""What is made of plans and flows: answers, edits by words, reviews, differences."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Response

from flowbuilder.api.body import body_schema, json_body
from flowbuilder.api.dependencies import Builder, FlowSlug, PlanId
from flowbuilder.api.events import MEDIA_TYPE, wants_stream
from flowbuilder.api.plan_schemas import DiffOut, PlanOut, ReviewOut
from flowbuilder.api.plan_streams import PlanStreams
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.rate_limits import PLANS
from flowbuilder.api.requests import AnswersBody, EditBody
from flowbuilder.client import FlowBuilder
from flowbuilder.plan import Plan

router = APIRouter()

Answers = Annotated[AnswersBody, Depends(json_body(AnswersBody))]
Edit = Annotated[EditBody, Depends(json_body(EditBody))]
Accept = Annotated[str | None, Header()]
Streaming = Annotated[PlanStreams, Depends()]
MARKDOWN = "text/markdown"
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "With `Accept: text/event-stream`: the plan's events while it is made.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
    }
}


@router.post(
    "/plans/{plan_id}/answers",
    tags=["plans"],
    summary="Answer a plan's questions",
    status_code=201,
    responses=documented(400, 404, 413, 415),
    openapi_extra=body_schema("AnswersBody"),
)
async def answer_plan(
    builder: Builder, plan_id: PlanId, body: Answers, response: Response
) -> PlanOut:
    """Make a new plan of it, in which nothing else has changed. The plan that asked stays."""
    return _made(await builder.answer_plan(plan_id, body.answers), response)


@router.post(
    "/plans/{plan_id}/edit",
    tags=["plans"],
    summary="Change a plan by words",
    status_code=201,
    response_model=PlanOut,
    responses={**STREAMED, **documented(400, 404, 413, 415, 429, 502, 504)},
    openapi_extra=body_schema("EditBody"),
    dependencies=[PLANS],
)
async def edit_plan(
    builder: Builder,
    streams: Streaming,
    plan_id: PlanId,
    body: Edit,
    response: Response,
    accept: Accept = None,
) -> PlanOut | Response:
    """Make a new plan of it; what the words do not mention stays as it is."""
    plan = await builder.get_plan(plan_id)
    return await _edited(builder, streams, plan, body.words, response, accept)


@router.post(
    "/flows/{slug}/edit",
    tags=["flows"],
    summary="Propose a change of a flow by words",
    status_code=201,
    response_model=PlanOut,
    responses={**STREAMED, **documented(400, 404, 413, 415, 429, 502, 504)},
    openapi_extra=body_schema("EditBody"),
    dependencies=[PLANS],
)
async def edit_flow(
    builder: Builder,
    streams: Streaming,
    slug: FlowSlug,
    body: Edit,
    response: Response,
    accept: Accept = None,
) -> PlanOut | Response:
    """Return a plan with the changed flow and its `diff`; the flow itself stays as it is.

    `POST /plans/{id}/accept` makes a new version of it.
    """
    return await _edited(builder, streams, slug, body.words, response, accept)


@router.get(
    "/plans/{plan_id}/review",
    tags=["plans"],
    summary="Review a plan",
    response_model=ReviewOut,
    responses={
        200: {
            "description": "With `Accept: text/markdown`: the same as a page to read.",
            "content": {MARKDOWN: {"schema": {"type": "string"}}},
        },
        **documented(404),
    },
)
async def review_plan(
    builder: Builder, plan_id: PlanId, accept: Accept = None
) -> ReviewOut | Response:
    """Return what a plan does in plain words, its graph, effects, estimate, questions, diff."""
    found = await builder.review(plan_id)
    headers = {"Vary": "Accept", "X-Content-Type-Options": "nosniff"}
    if wants_markdown(accept):
        return Response(
            found.as_markdown(), media_type=f"{MARKDOWN}; charset=utf-8", headers=headers
        )
    return ReviewOut.model_validate(found.as_json())


@router.get(
    "/flows/{slug}/versions/{number}/diff",
    tags=["flows"],
    summary="Compare two versions",
    responses=documented(404),
)
async def diff_versions(
    builder: Builder,
    slug: FlowSlug,
    number: Annotated[int, Path(ge=1, le=2_147_483_647, description="The newer version.")],
    base: Annotated[
        int | None,
        Query(ge=0, le=2_147_483_647, description="The other one; by default the one before."),
    ] = None,
) -> DiffOut:
    """Return what leads from one version to another, step by step; 0 stands for no version."""
    found = await builder.diff_versions(slug, number, base=base)
    before = number - 1 if base is None else base
    return DiffOut(slug=slug, base=before, version=number, text=found.as_text(), **found.as_json())


def wants_markdown(accept: str | None) -> bool:
    """Say whether a client asks for Markdown before JSON."""
    listed = [item.split(";")[0].strip() for item in (accept or "").lower().split(",")]
    if MARKDOWN not in listed:
        return False
    return "application/json" not in listed[: listed.index(MARKDOWN)]


async def _edited(
    builder: FlowBuilder,
    streams: Streaming,
    subject: str | Plan,
    words: str,
    response: Response,
    accept: str | None,
) -> PlanOut | Response:
    if wants_stream(accept, None):
        streams.check()
        return await streams.plan(builder.edit_stream(subject, words))
    return _made(await builder.edit(subject, words), response)


def _made(plan: Plan, response: Response) -> PlanOut:
    response.headers["Location"] = f"/api/v1/plans/{plan.id}"
    return PlanOut.of(plan)
