"""The policy of the workspace: what runs may do by themselves."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from flowbuilder.api.administration import PolicyChecked, PolicyHistory, PolicyOut, PolicySet
from flowbuilder.api.body import MODELS, body_schema, json_object
from flowbuilder.api.dependencies import Builder, Caller
from flowbuilder.api.problem_documents import documented
from flowbuilder.policy import Policy

MODELS.add(Policy)
router = APIRouter(prefix="/policy", tags=["policy"])

Document = Annotated[dict[str, Any], Depends(json_object)]
Base = Annotated[
    int | None,
    Query(ge=0, le=2**63 - 1, description="Only if the policy of this id still holds; 0: none."),
]


@router.get("", summary="Show the policy")
async def get_policy(builder: Builder) -> PolicyOut:
    """Return the policy that holds, with its rules in the order in which they are read."""
    return PolicyOut.of(await builder.policy.get())


@router.put(
    "",
    summary="Set the policy",
    responses=documented(400, 409, 413, 415),
    openapi_extra=body_schema("Policy"),
)
async def set_policy(
    builder: Builder, caller: Caller, document: Document, base: Base = None
) -> PolicyOut:
    """Set the policy, in the place of the one before, for runs under way too."""
    return PolicyOut.of(await builder.policy.set(document, by=caller.name, base=base))


@router.delete("", summary="Take the policy back", responses=documented(409))
async def clear_policy(builder: Builder, caller: Caller, base: Base = None) -> PolicyOut:
    """Take back what was said: the default holds again."""
    return PolicyOut.of(await builder.policy.clear(by=caller.name, base=base))


@router.post(
    "/check",
    summary="Check a policy",
    responses=documented(400, 413, 415),
    openapi_extra=body_schema("Policy"),
)
async def check_policy(builder: Builder, document: Document) -> PolicyChecked:
    """Check a policy without setting it. Errors give a 422 that lists every one."""
    return PolicyChecked(policy=builder.policy.check(document).document())


@router.get("/history", summary="List what was said")
async def policy_history(
    builder: Builder, limit: Annotated[int, Query(ge=1, le=1000)] = 50
) -> PolicyHistory:
    """Return the policies that were set, newest first; one without a document took them back."""
    rows = await builder.policy.history(limit=limit)
    return PolicyHistory(items=[PolicySet.model_validate(row) for row in rows])
