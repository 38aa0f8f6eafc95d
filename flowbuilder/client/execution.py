"""Starting runs: of a flow, of a plan, of a graph that is not saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from flowbuilder.client import drafts
from flowbuilder.client.checking import Document, fitting_input, parse_document
from flowbuilder.client.functions import with_function_tools
from flowbuilder.client.planning import plan_from_json, require_valid
from flowbuilder.client.runs import Run
from flowbuilder.client.session import Session
from flowbuilder.errors import InvalidValue, NotFound
from flowbuilder.executor.records import VersionRow
from flowbuilder.flow import Flow
from flowbuilder.plan import Plan
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonValue, parse_duration

#: Longer keys are no keys.
LONGEST_KEY = 255


async def execute(
    session: Session,
    flow: str | Plan | Document,
    input: JsonValue = None,
    *,
    idempotency_key: str | None = None,
    version: int | None = None,
    timeout: str | float | None = None,
    by: str | None = None,
) -> Run:
    """Start a run of a stored flow (by slug), a plan, or a document that is not saved."""
    if isinstance(flow, Plan):
        return await _execute_plan(
            session, flow, input, idempotency_key=idempotency_key, timeout=timeout, by=by
        )
    found = await _version_of(session, flow, version)
    return await start(
        session,
        found,
        input,
        idempotency_key=idempotency_key,
        timeout=timeout,
        by=by,
        exact=version is not None,
    )


async def _execute_plan(session: Session, plan: Plan, input: JsonValue, **options: Any) -> Run:
    found = await _register_unsaved(session, require_valid(plan))
    await _ensure_stored(session, plan)
    given = plan.input if input is None else input
    run = await start(session, found, given, plan_id=plan.id, **options)
    await session.store.accept_plan(plan.id, run.id)
    return run


async def accept_plan(
    session: Session,
    plan: Plan | str,
    input: JsonValue = None,
    *,
    idempotency_key: str | None = None,
    by: str | None = None,
) -> Run:
    """Start the run of a plan, once; accepted again, the plan gives the run it has."""
    if isinstance(plan, Plan):
        await _ensure_stored(session, plan)
    plan_id = plan if isinstance(plan, str) else plan.id
    row = await session.store.get_plan(plan_id)
    if row.run_id is not None:
        return Run(session, await session.store.get_run(row.run_id))
    key = idempotency_key or f"plan:{row.id}"
    stored = plan_from_json(row.document)
    return await execute(session, stored, input, idempotency_key=key, by=by)


async def execute_dynamic(
    session: Session,
    flow: str | Document,
    input: JsonValue = None,
    *,
    functions: Mapping[str, Callable[..., Any]],
    idempotency_key: str | None = None,
    timeout: str | float | None = None,
    by: str | None = None,
) -> Run:
    """Start a run of a graph whose steps may be functions of this process."""
    document = await _document_of(session, flow)
    if functions:
        document, registry, owner = await with_function_tools(session, document, functions)
        found = await _register_unsaved(session, document, registry, owner)
    else:
        found = await _register_unsaved(session, document)
    return await start(
        session, found, input, idempotency_key=idempotency_key, timeout=timeout, by=by
    )


async def start(
    session: Session,
    version: VersionRow,
    input: JsonValue,
    *,
    idempotency_key: str | None = None,
    timeout: str | float | None = None,
    by: str | None = None,
    plan_id: str | None = None,
    exact: bool = False,
) -> Run:
    """Start a run of a stored version.

    With `exact`, an idempotency key means this very version; otherwise any of the same flow.

    Raises:
        DefinitionError: The input does not fit the flow's input schema (input_invalid).
        InvalidValue: The time limit or the idempotency key is none.
        Conflict: The key was used for something else.
    """
    flow = Flow.model_validate(version.document)
    row, created = await session.store.start_run(
        version.id,
        fitting_input(input, flow.input, session.settings),
        idempotency_key=_checked_key(idempotency_key),
        timeout_seconds=_time_limit(session, flow, timeout).total_seconds(),
        plan_id=plan_id,
        actor=by,
        exact=exact,
    )
    await session.announce_run(row.id)
    return Run(session, row, created=created)


async def _version_of(session: Session, flow: str | Document, version: int | None) -> VersionRow:
    if not isinstance(flow, str):
        if version is not None:
            raise InvalidValue("a document has no versions", pointer="/version")
        return await _register_unsaved(session, flow)
    if version is not None:
        return await session.store.get_version(flow, version)
    return await drafts.publish(session, flow)


async def _register_unsaved(
    session: Session,
    document: Document,
    registry: ToolRegistry | None = None,
    owner: str | None = None,
) -> VersionRow:
    flow = await drafts.checked(session, document, registry=registry)
    return await session.store.register_version(
        flow, registry or session.registry, origin="dynamic", owner=owner
    )


async def _document_of(session: Session, flow: str | Document) -> JsonObject:
    if isinstance(flow, str):
        return dict((await session.store.get_flow(flow)).draft)
    return dict(
        flow.document() if isinstance(flow, Flow) else parse_document(flow, session.settings)
    )


async def _ensure_stored(session: Session, plan: Plan) -> None:
    try:
        await session.store.get_plan(plan.id)
    except NotFound:
        await session.store.save_plan(plan.as_json())


def _time_limit(session: Session, flow: Flow, timeout: str | float | None) -> timedelta:
    if timeout is None:
        return flow.timeout or session.settings.run_timeout
    try:
        limit = parse_duration(timeout)
    except ValueError as error:
        raise InvalidValue(str(error), pointer="/timeout", code="timeout_invalid") from None
    if not limit:
        raise InvalidValue("a run needs some time", pointer="/timeout", code="timeout_invalid")
    return limit


def _checked_key(key: str | None) -> str | None:
    usable = isinstance(key, str) and key.isprintable() and 0 < len(key) <= LONGEST_KEY
    if key is not None and not usable:
        raise InvalidValue(
            f"an idempotency key has 1 to {LONGEST_KEY} printable characters",
            pointer="/idempotency_key",
            code="idempotency_key_invalid",
        )
    return key
