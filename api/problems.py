"""Problem documents (RFC 9457): every answer that is no success looks the same.

`{type, title, status, detail, code, instance, errors: [{pointer, code, message, hint}]}`. `code`
is stable; `instance` names this one occurrence and stands in the log beside the cause. What the
cause was (a stack, a statement, an address) never leaves the process.
"""

from __future__ import annotations

import json
import logging
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowbuilder.api.methods import allowed_methods
from flowbuilder.api.refusals import Forbidden
from flowbuilder.errors import (
    Conflict,
    DatabaseError,
    DatabaseUnavailable,
    DefinitionError,
    EmbeddedServerError,
    FlowBuilderError,
    InvalidTransition,
    InvalidValue,
    ModelError,
    ModelTimeout,
    NotFound,
    PlanningError,
    Problem,
    SettingsError,
    StaleTask,
    WaitTimeout,
)
from flowbuilder.metrics import AUTH_FAILURES
from flowbuilder.telemetry.logs import REQUEST_ID
from flowbuilder.types import JsonObject, JsonValue

log = logging.getLogger("flowbuilder.api")

MEDIA_TYPE = "application/problem+json"

#: Which HTTP status an error class means; the first class that fits counts.
_STATUS: tuple[tuple[type[FlowBuilderError], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (InvalidTransition, 409),
    (StaleTask, 409),
    (InvalidValue, 422),
    (DefinitionError, 422),
    (PlanningError, 422),
    (ModelTimeout, 504),
    (ModelError, 502),
    (WaitTimeout, 504),
    (DatabaseUnavailable, 503),
    (EmbeddedServerError, 503),
    (DatabaseError, 500),
    (SettingsError, 500),
)
#: Codes that say more than their class.
_STATUS_BY_CODE = {
    "approver_not_allowed": 403,
    "separate_duties": 403,
    "approval_expired": 410,
    "json_size": 413,
    "body_too_large": 413,
    "media_type_unsupported": 415,
    "idempotency_key_invalid": 400,
    "last_event_id_invalid": 400,
    "too_many_streams": 503,
    "stream_limit_reached": 429,
    "events_pruned": 410,
    "unauthorized": 401,
    "login_refused": 401,
    "too_many_requests": 429,
    "too_many_plannings": 429,
    "quota_runs_per_day": 429,
    "quota_plans_per_hour": 429,
    "parameter_invalid": 422,
    "connection_failed": 502,
    "precondition_failed": 412,
    "statement_timeout": 503,
    "lock_timeout": 503,
    "transaction_conflict": 503,
}
_OAUTH = {
    "login_refused": "invalid_grant",
    "grant_type_unsupported": "unsupported_grant_type",
    "form_invalid": "invalid_request",
}
_HTTP_CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed"}
#: Details of these could name hosts, users or statements: the log has them, the client has not.
_WITHHELD = {
    500: "Something went wrong inside; the log has it under the id in `instance`.",
    503: "The database cannot take this at present; try again shortly.",
}


class BadRequest(InvalidValue):
    """The request itself cannot be read: not JSON, too large, a malformed header."""

    default_code = "bad_request"


class Unavailable(FlowBuilderError):
    """The service is up but cannot take this now; later it may."""

    default_code = "unavailable"


def problem_response(
    status: int,
    *,
    code: str,
    detail: str,
    instance: str | None = None,
    errors: Sequence[JsonObject] = (),
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, JsonValue] | None = None,
) -> Response:
    """Build a problem+json answer. `extra` adds members; it cannot replace the standard ones."""
    body: JsonObject = {
        **(extra or {}),
        "type": f"urn:flowbuilder:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "instance": instance or new_instance(),
        "errors": list(errors),
    }
    if (request_id := REQUEST_ID.get()) is not None:
        body["request_id"] = request_id
    sent = {"Cache-Control": "no-store", **(headers or {})}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        sent.setdefault("Retry-After", "1")
    content = json.dumps(body, ensure_ascii=True, allow_nan=False)
    return Response(content, status_code=status, headers=sent, media_type=MEDIA_TYPE)


def new_instance() -> str:
    """Return a fresh id for one occurrence of a problem."""
    return f"urn:uuid:{uuid.uuid4()}"


def problem_of(error: FlowBuilderError) -> Response:
    """Answer an error that was raised on purpose."""
    status = status_of(error)
    instance = new_instance()
    detail = error.message
    errors = list(getattr(error, "entries", ())) or [entry(one) for one in _findings(error)]
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        AUTH_FAILURES.add(1, error.code)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("%s: %s: %s", instance, error.code, error.message)
    if isinstance(error, DatabaseError | SettingsError):
        detail, errors = _WITHHELD[503 if status == HTTPStatus.SERVICE_UNAVAILABLE else 500], []
    extra = _extra(error) if not isinstance(error, DatabaseError | SettingsError) else {}
    return problem_response(
        status,
        code=error.code,
        detail=detail,
        instance=instance,
        errors=errors,
        headers=_headers(error, status),
        extra=extra,
    )


def _headers(error: FlowBuilderError, status: int) -> dict[str, str]:
    if status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        details: JsonObject = error.details if isinstance(error, Conflict) else {}
        told = getattr(error, "seconds", details.get("retry_after"))
        seconds = told if isinstance(told, int | float) else 1.0
        return {"Retry-After": str(max(1, math.ceil(seconds)))}
    return {}


def status_of(error: FlowBuilderError) -> int:
    """Return the HTTP status for an error; 500 for what has no entry."""
    if error.code in _STATUS_BY_CODE:
        return _STATUS_BY_CODE[error.code]
    if isinstance(error, BadRequest):
        return 400
    if isinstance(error, Forbidden):
        return 403
    if isinstance(error, Unavailable):
        return 503
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def _findings(error: FlowBuilderError) -> Sequence[Problem]:
    problems: Sequence[Problem] = getattr(error, "problems", ())
    if problems:
        return problems
    return [error.as_problem()] if isinstance(error, InvalidValue) else []


def _extra(error: FlowBuilderError) -> JsonObject:
    extra: JsonObject = {}
    if error.hint:
        extra["hint"] = error.hint
    if error.code in _OAUTH:  # as clients of RFC 6749 look for it
        extra["error"] = _OAUTH[error.code]
    if isinstance(error, Conflict) and error.details:
        extra["details"] = error.details
        for name in ("decision", "decided_by", "decided_at", "first"):
            if name in error.details:
                extra[name] = error.details[name]
    return extra


def entry(problem: Problem) -> JsonObject:
    """Return one member of `errors`."""
    return {
        "pointer": problem.pointer,
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
        "severity": problem.severity.value,
    }


def pointer_of(location: Sequence[int | str]) -> str:
    """Turn the parts of a place in a document into an RFC 6901 pointer."""
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in location)
    return "".join(f"/{part}" for part in parts)


def moved(error: DefinitionError | InvalidValue, prefix: str) -> FlowBuilderError:
    """Return the error with its pointers going into the body, where its value stood at `prefix`."""
    if isinstance(error, InvalidValue):
        return InvalidValue(
            error.message, pointer=prefix + error.pointer, code=error.code, hint=error.hint
        )
    problems = [replace(item, pointer=prefix + item.pointer) for item in error.problems]
    return DefinitionError(error.message, problems=problems, code=error.code, hint=error.hint)


# -- handlers -------------------------------------------------------------------------------


def install(app: FastAPI) -> None:
    """Make every error of the app a problem document."""
    app.add_exception_handler(FlowBuilderError, _on_flowbuilder_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_parameters)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_middleware(UnexpectedErrors)


async def _on_flowbuilder_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, FlowBuilderError)
    return problem_of(error)


async def _on_invalid_parameters(_request: Request, error: Exception) -> Response:
    """Answer wrong query parameters and headers; bodies have a gate of their own."""
    assert isinstance(error, RequestValidationError)
    errors: list[JsonObject] = []
    for found in error.errors():
        place, *path = found["loc"]
        name = ".".join(str(part) for part in path)
        errors.append(parameter_problem(str(place), name, str(found["msg"])))
    named = ", ".join(f"{item['parameter']}: {item['message']}" for item in errors)
    return problem_response(
        422, code="parameter_invalid", detail=f"A parameter is wrong: {named}.", errors=errors
    )


def parameter_problem(place: str, name: str, message: str) -> JsonObject:
    """Return one member of `errors` about a part of the address or a header."""
    return {
        "pointer": "",
        "in": place,
        "parameter": name,
        "code": "parameter_invalid",
        "message": message,
        "hint": None,
    }


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code
    headers = dict(error.headers or {})
    detail = str(error.detail)
    extra: dict[str, JsonValue] = {}
    path = request.scope["path"]
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(allowed_methods(request.app, path))
        detail = f"{request.method} is not supported here; supported: {headers['Allow']}."
    elif status == HTTPStatus.NOT_FOUND:
        detail = "There is nothing at this address."
        if path != "/" and path.endswith("/"):
            detail += " Addresses have no slash at their end."
        extra["hint"] = "GET /openapi.json lists all addresses; most begin with /api/v1."
    code = _HTTP_CODES.get(status, HTTPStatus(status).phrase.lower().replace(" ", "_"))
    return problem_response(status, code=code, detail=detail, headers=headers, extra=extra)


class UnexpectedErrors:
    """Answers what nobody foresaw with a bare 500, and logs it under the same id."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app; turn an exception into a problem if nothing was sent yet."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            return
        except Exception:
            instance = new_instance()
            log.exception("%s: %s %s failed", instance, scope["method"], scope["path"])
            if started:
                raise
            answer = problem_response(
                500, code="internal_error", detail=_WITHHELD[500], instance=instance
            )
            await answer(scope, receive, send)
