"""The page behind a link: one person looks at one approval, and decides it once.

Looking changes nothing, however often and by whatever program. A decision takes the form of the
page, which brings back what only the page has given it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from flowbuilder.api.auth.forms import MEDIA_TYPE, read_form
from flowbuilder.api.pages.approval import decision_page, ended, progress, proposal_of
from flowbuilder.api.pages.frame import notice, page
from flowbuilder.api.problem_documents import documented
from flowbuilder.approving.comparing import changes
from flowbuilder.approving.links import PATH, form_key, hash_of_link, is_form_key, without_links
from flowbuilder.client import FlowBuilder
from flowbuilder.client.tenancy import Tenants
from flowbuilder.errors import Conflict, DefinitionError, ExecutionError, InvalidValue, NotFound
from flowbuilder.executor.approval_records import ApprovalRow, LinkRow, Voter
from flowbuilder.strictjson import Limits, loads
from flowbuilder.types import JsonValue

router = APIRouter(tags=["approvals"])

Token = Annotated[str, Path(description="What the link ends with.")]
_GONE = {
    "approval_expired": (410, "Too late"),
    "already_decided": (409, "Decided already"),
    "link_used": (409, "Used already"),
}
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["csrf", "decision"],
                    "properties": {
                        "csrf": {"type": "string"},
                        "agreed": {"type": "string"},
                        "decision": {"type": "string", "enum": ["approve", "reject"]},
                        "comment": {"type": "string", "maxLength": 2000},
                        "edits": {"type": "string"},
                        "value": {"type": "string"},
                    },
                }
            }
        },
    }
}


def _pages(*statuses: int) -> dict[int | str, dict[str, object]]:
    told = {status: dict(answer) for status, answer in documented(*statuses).items()}
    for answer in told.values():
        answer["content"] = {"text/html": {"schema": {"type": "string"}}}
    return told


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """Whose link was opened, in which workspace, about what."""

    builder: FlowBuilder
    link: LinkRow
    row: ApprovalRow
    voter: Voter


@router.get(
    f"{PATH}{{token}}",
    summary="The page of a link to an approval",
    response_class=HTMLResponse,
    responses={**_pages(403, 404, 409, 410), **documented(422, 500, 503)},
)
async def show(request: Request, token: Token) -> HTMLResponse:
    """Show what is asked, and a form. Opening it decides nothing and uses nothing up."""
    place = await _place(request, token)
    if isinstance(place, HTMLResponse):
        return place
    key = form_key(token, place.row.id, place.row.args_hash)
    return page("An approval is asked of you", decision_page(place.row, place.voter.name, key))


@router.post(
    f"{PATH}{{token}}",
    summary="Decide by a link",
    response_class=HTMLResponse,
    responses={**_pages(403, 404, 409, 410, 422), **documented(400, 413, 415, 500, 503)},
    openapi_extra=_FORM,
)
async def decide(request: Request, token: Token) -> HTMLResponse:
    """Decide as the one whom the link was made for, once, by the form of its page."""
    limit = 4 * request.app.state.settings.max_value_bytes
    fields = await read_form(request, limit=limit)
    place = await _place(request, token)
    if isinstance(place, HTMLResponse):
        return place
    if not _is_own_form(request, fields, token, place.row):
        return notice(
            "Nothing was decided", "This did not come from the page of the link.", status=403
        )
    if fields.get("agreed", "") != (place.row.agreed_hash or ""):
        return notice(
            "Nothing was decided",
            "Somebody has agreed to something else meanwhile. Open the link again.",
            status=409,
        )
    try:
        row = await _decided(request, place, fields)
    except Conflict as error:
        status, title = _GONE.get(error.code, (409, "Nothing was decided"))
        return notice(title, error.message, status=status)
    except (DefinitionError, InvalidValue) as error:
        return notice("Nothing was decided", f"{error.code}: {error.message}", status=422)
    except ExecutionError as error:
        return notice("Nothing was decided", error.message, status=403)
    return notice("Thank you", ended(row) if row.decided_at else progress(row))


async def _place(request: Request, token: str) -> _Place | HTMLResponse:
    """Return what a link is about, or the page that says why nothing is to be decided by it."""
    engine: FlowBuilder = request.app.state.flowbuilder
    link = await engine.read_approval_link(token)
    if link is None:
        return _unknown()
    known = request.app.state.tokens is not None
    tenants: Tenants = request.app.state.tenants
    if known:
        builder = await tenants.of(link.workspace_id)
    else:
        builder = (
            engine if engine.workspace == link.workspace_id else engine.within(link.workspace_id)
        )
    voter = Voter(
        name=f"user:{link.user_name}" if known else link.user_name,
        known=known,
        channel="link",
        address=request.client.host if request.client else None,
        link=hash_of_link(token),
    )
    try:
        row = await builder.get_approval(link.approval_id)
    except NotFound:
        return _unknown()
    refusal = await builder.approval_mandate(row.id, by=voter)
    over = _over(row, link, refusal)
    return over or _Place(builder=builder, link=link, row=row, voter=voter)


def _over(row: ApprovalRow, link: LinkRow, refusal: str | None) -> HTMLResponse | None:
    if refusal == "decided":
        return notice("Nothing is to be decided", ended(row), status=409)
    if refusal == "over":
        said = "This has expired: nobody decided before the deadline."
        return notice("Too late", said, status=410)
    if refusal is not None:
        return notice("Not for you", "You may not decide this, or not any more.", status=403)
    if link.used_at is not None:
        return notice("Used already", "You have decided by this link.", progress(row), status=409)
    return None


def _unknown() -> HTMLResponse:
    return notice("Nothing here", "There is no such link, or not any more.", status=404)


def _is_own_form(request: Request, fields: dict[str, str], token: str, row: ApprovalRow) -> bool:
    """Whether a form is the one of the page, sent from there.

    The page sends no referrer, so browsers name no origin either; they say whether the form came
    from the same site.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    return is_form_key(fields.get("csrf", ""), token, row.id, row.args_hash)


async def _decided(request: Request, place: _Place, fields: dict[str, str]) -> ApprovalRow:
    comment = fields.get("comment") or None
    decision = fields.get("decision")
    if decision == "reject":
        return await place.builder.reject(place.row.id, by=place.voter, comment=comment)
    if decision != "approve":
        raise InvalidValue("the decision is approve or reject", code="decision_invalid")
    edits, value = _given(request, place.row, fields)
    if edits is not None and not isinstance(edits, dict):
        raise InvalidValue("the arguments are one JSON object", code="edits_invalid")
    return await place.builder.approve(
        place.row.id, by=place.voter, comment=comment, edits=edits, value=value
    )


def _given(
    request: Request, row: ApprovalRow, fields: dict[str, str]
) -> tuple[JsonValue, JsonValue]:
    """Return edited arguments and the value asked for, None for what was not given."""
    if row.kind == "input":
        return None, _parsed(request, fields.get("value", ""))
    if row.kind != "gate":
        return None, None
    edits = proposal_of(row)
    if fields.get("edits", "").strip():
        edits = _parsed(request, fields["edits"])
    return (edits if changes(row.args, edits) else None), None


def _parsed(request: Request, text: str) -> JsonValue:
    settings = request.app.state.settings
    limits = Limits(depth=settings.max_json_depth, bytes=settings.max_value_bytes)
    return loads(text.encode(), limits=limits)


class LinkPaths:
    """Keeps the tokens of links out of logs: whoever is outside sees no more than the path.

    Records that are written inside are cleaned by `_CleanRecords`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        for name in ("uvicorn.access", "uvicorn.error", "flowbuilder.api"):
            logger = logging.getLogger(name)
            if not any(isinstance(one, _CleanRecords) for one in logger.filters):
                logger.addFilter(_CleanRecords())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request."""
        inside = scope
        if scope["type"] == "http" and PATH in scope["path"]:
            inside = {**scope}
            scope["path"] = without_links(scope["path"])
            scope["raw_path"] = scope["path"].encode("ascii", "replace")
        await self.app(inside, receive, send)


class _CleanRecords(logging.Filter):
    """Takes the tokens of links out of what is logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, cleaned."""
        if isinstance(record.msg, str):
            record.msg = without_links(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(
                without_links(item) if isinstance(item, str) else item for item in record.args
            )
        return True
