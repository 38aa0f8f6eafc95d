"""Logging in and out, and who is calling."""

from __future__ import annotations

import base64
import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse

from flowbuilder.api.auth.forms import MEDIA_TYPE, read_form
from flowbuilder.api.auth.tokens import Tokens
from flowbuilder.api.body import body_schema, json_body
from flowbuilder.api.dependencies import Caller, Users
from flowbuilder.api.identities import (
    InvitationBody,
    InvitedOut,
    MeOut,
    PasswordBody,
    TokenOut,
)
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.problems import BadRequest
from flowbuilder.api.refusals import Forbidden
from flowbuilder.client.accounts import Accounts, LoggedIn
from flowbuilder.errors import Conflict
from flowbuilder.executor.store.users import Doer

router = APIRouter(prefix="/auth", tags=["auth"])
#: The routes of somebody who cannot say yet who they are.
public = APIRouter(prefix="/auth", tags=["auth"])

_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {"type": "string", "enum": ["password", "refresh_token"]},
                        "username": {"type": "string"},
                        "password": {"type": "string", "format": "password"},
                        "refresh_token": {"type": "string"},
                        "scope": {"type": "string"},
                    },
                }
            }
        },
    }
}
_SCRIPT = """
const form = document.forms[0], said = document.querySelector("output");
form.token.value = location.hash.slice(1);
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = JSON.stringify({token: form.token.value, password: form.password.value});
  const answer = await fetch("invitation",
    {method: "POST", headers: {"Content-Type": "application/json"}, body});
  const told = await answer.json();
  said.textContent = answer.ok ? "Done. You can log in as " + told.name + "." : told.detail;
});
"""
_PAGE = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Set your password</title>
<form><p><label>Invitation <input name="token" required autocomplete="off"></label>
<p><label>New password <input name="password" type="password" required minlength="12"
 autocomplete="new-password"></label>
<p><button>Set the password</button></form><p><output></output>
<script>{_SCRIPT}</script>
"""
_SCRIPT_HASH = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
_PAGE_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; script-src 'sha256-{_SCRIPT_HASH}'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@public.post(
    "/token",
    summary="Log in, or go on with a session",
    responses=documented(400, 401, 413, 415),
    openapi_extra=_FORM,
)
async def token(request: Request, accounts: Users, response: Response) -> TokenOut:
    """Give an access token for name and password, or for a refresh token (`grant_type`)."""
    tokens: Tokens | None = request.app.state.tokens
    if tokens is None:
        raise Forbidden("Nobody has to log in here.", code="no_users")
    fields = await read_form(request)
    logged_in = await _grant(accounts, fields, _address(request))
    response.headers["Cache-Control"] = "no-store"
    return TokenOut(
        access_token=tokens.issue(logged_in.user_id, logged_in.session_id),
        expires_in=int(tokens.life.total_seconds()),
        refresh_token=logged_in.refresh_token,
    )


async def _grant(accounts: Accounts, fields: dict[str, str], address: str | None) -> LoggedIn:
    kind = fields.get("grant_type", "password" if "username" in fields else "")
    if kind == "password":
        name, password = _field(fields, "username"), _field(fields, "password")
        return await accounts.log_in(name, password, address=address)
    if kind == "refresh_token":
        return await accounts.refresh(_field(fields, "refresh_token"), address=address)
    raise BadRequest("grant_type is `password` or `refresh_token`.", code="grant_type_unsupported")


def _field(fields: dict[str, str], name: str) -> str:
    if name not in fields:
        raise BadRequest(f"The form lacks {name}.", code="form_invalid")
    return fields[name]


def _address(request: Request) -> str | None:
    return request.client.host if request.client else None


@public.get(
    "/invitation",
    summary="The page on which a new user sets the password",
    response_class=HTMLResponse,
)
async def invitation_page() -> HTMLResponse:
    """Show a form. Looking at it uses nothing up: the token stands behind `#` and is not sent."""
    return HTMLResponse(_PAGE, headers=_PAGE_HEADERS)


@public.post(
    "/invitation",
    summary="Set a password by an invitation",
    responses=documented(400, 401, 413, 415),
    openapi_extra=body_schema("InvitationBody"),
)
async def accept_invitation(
    request: Request,
    accounts: Users,
    body: Annotated[InvitationBody, Depends(json_body(InvitationBody))],
) -> InvitedOut:
    """Set the password of whoever the one-time token was made for. It counts once."""
    by = Doer(actor="user:invited", channel="invitation", address=_address(request))
    return InvitedOut(name=await accounts.accept_invitation(body.token, body.password, by=by))


@router.post("/logout", summary="Log out", status_code=204)
async def log_out(accounts: Users, caller: Caller) -> None:
    """End the session: its access and refresh tokens count nowhere from now on."""
    if caller.session_id is not None:
        await accounts.log_out(caller.session_id, by=caller.doer())


@router.get("/me", summary="Say who is calling")
async def me(caller: Caller) -> MeOut:
    """Return who is calling, and what they are in the workspace of this request."""
    return MeOut(
        name=caller.user,
        admin=caller.instance_admin,
        channel=caller.doer().channel,
        workspace=caller.workspace_name,
        roles=sorted(role.value for role in caller.roles),
        scopes=sorted(caller.scopes) if caller.key_id else None,
    )


@router.post(
    "/password",
    summary="Change one's own password",
    status_code=204,
    responses=documented(400, 413, 415, 429),
    openapi_extra=body_schema("PasswordBody"),
)
async def change_password(
    accounts: Users,
    caller: Caller,
    body: Annotated[PasswordBody, Depends(json_body(PasswordBody))],
) -> None:
    """Set a new password, knowing the old one. All other sessions end."""
    if caller.session_id is None:
        raise Conflict("Nobody is logged in here.", code="no_users")
    await accounts.change_password(
        caller.user,
        body.old_password,
        body.new_password,
        session_id=caller.session_id,
        by=caller.doer(),
    )
