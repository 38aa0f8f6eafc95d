"""Starting runs: of a flow, of a plan, of a graph that is not saved."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from flowbuilder.budget import Spending
from flowbuilder.client import drafts
from flowbuilder.client.batching import parts_of
from flowbuilder.client.budgets import Bounds, spent_on
from flowbuilder.client.checking import (
    Document,
    check_doer,
    checked_key,
    fitting_input,
    parse_document,
)
from flowbuilder.client.functions import with_function_tools
from flowbuilder.client.planning import plan_from_json, require_valid
from flowbuilder.client.remembering import note
from flowbuilder.client.runs import Run
from flowbuilder.client.session import Head, Session
from flowbuilder.client.start import Start, run_limit
from flowbuilder.client.subflows import publish_parts
from flowbuilder.errors import Conflict, InvalidValue, NotFound
from flowbuilder.executor.records import RunRow, Started, VersionRow
from flowbuilder.executor.states import RunStatus
from flowbuilder.flow import Flow
from flowbuilder.limits import Priority
from flowbuilder.plan import Plan
from flowbuilder.strictjson import dumps
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

Given = TypeVar("Given")


async def execute(
    session: Session,
    flow: str | Plan | Document,
    input: JsonValue = None,
    *,
    idempotency_key: str | None = None,
    version: int | None = None,
    timeout: str | float | None = None,
    priority: Priority | str | int = Priority.NORMAL,
    by: str | None = None,
    budget: Bounds = None,
    spent: Spending | None = None,
    replan: bool | None = None,
    published: bool = False,
) -> Run:
    """Start a run of a stored flow (by slug), a plan, or a document that is not saved.

    `spent` is charged to the budget besides the planning of a plan.
    """
    if isinstance(flow, Plan):
        return await _execute_plan(
            session,
            flow,
            input,
            idempotency_key,
            Start(
                timeout=timeout,
                by=by,
                priority=priority,
                plan_id=flow.id,
                budget=budget,
                spent=spent_on(flow.usage, spent),
                replan=replan,
            ),
        )
    [run] = await execute_many(
        session,
        flow,
        [input],
        idempotency_keys=[idempotency_key],
        version=version,
        timeout=timeout,
        priority=priority,
        by=by,
        budget=budget,
        replan=replan,
        published=published,
    )
    return run


async def execute_many(
    session: Session,
    flow: str | Document,
    inputs: Sequence[JsonValue],
    *,
    idempotency_keys: Sequence[str | None] | None = None,
    version: int | None = None,
    timeout: str | float | None = None,
    priority: Priority | str | int = Priority.NORMAL,
    by: str | None = None,
    budget: Bounds = None,
    replan: bool | None = None,
    published: bool = False,
) -> list[Run]:
    """Start a run for each input.

    `published`: of a flow by name its newest version, whatever its draft says by now.
    """
    inputs = _listed(inputs, "inputs")
    keys: list[str | None] = [None] * len(inputs)
    if idempotency_keys is not None:
        keys = _listed(idempotency_keys, "idempotency_keys")
    if len(keys) != len(inputs):
        raise InvalidValue("one key is needed for each input", pointer="/idempotency_keys")
    start = Start(
        timeout=timeout,
        by=by,
        priority=priority,
        exact=version is not None,
        budget=budget,
        replan=replan,
    )
    head = session.heads.get(flow) if isinstance(flow, str) and version is None else None
    if head is not None:
        try:
            return await start_all(session, head, inputs, keys, start)
        except Conflict as error:
            if error.code != "draft_changed":
                raise
    found = await _version_of(session, flow, version, published=published)
    return await start_all(session, found, inputs, keys, start)


def _listed(given: Iterable[Given], name: str) -> list[Given]:
    """Return what stands for one run each. Raises: InvalidValue."""
    known: object = given  # whatever a caller without a type checker hands in
    if isinstance(known, str | bytes | Mapping) or not isinstance(known, Iterable):
        raise InvalidValue(f"{name} is a list, with an element for each run", pointer=f"/{name}")
    return list(given)


async def _execute_plan(
    session: Session, plan: Plan, input: JsonValue, key: str | None, start: Start
) -> Run:
    flow = await publish_parts(session, plan, require_valid(plan))
    found = await _register_unsaved(session, flow)
    await _ensure_stored(session, plan)
    given = plan.input if input is None else input
    [run] = await start_all(session, Head.of(found), [given], [key], start)
    await session.store.accept_plan(plan.id, run.id)
    if run.created:
        await note(session, run.id, plan.id)
    return run


async def accept_plan(
    session: Session,
    plan: Plan | str,
    input: JsonValue = None,
    *,
    idempotency_key: str | None = None,
    priority: Priority | str | int = Priority.NORMAL,
    by: str | None = None,
    budget: Bounds = None,
    replan: bool | None = None,
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
    return await execute(
        session,
        stored,
        input,
        idempotency_key=key,
        priority=priority,
        by=by,
        budget=budget,
        replan=replan,
    )


async def execute_dynamic(
    session: Session,
    flow: str | Document,
    input: JsonValue = None,
    *,
    functions: Mapping[str, Callable[..., Any]],
    idempotency_key: str | None = None,
    timeout: str | float | None = None,
    priority: Priority | str | int = Priority.NORMAL,
    by: str | None = None,
    budget: Bounds = None,
    replan: bool | None = None,
) -> Run:
    """Start a run of a graph whose steps may be functions of this process."""
    document = await document_of(session, flow)
    start = Start(timeout=timeout, by=by, priority=priority, budget=budget, replan=replan)
    if not functions:
        found = await _register_unsaved(session, document)
        [run] = await start_all(session, Head.of(found), [input], [idempotency_key], start)
        return run
    async with with_function_tools(session, document, functions) as given:
        found = await _register_unsaved(session, given.document, given.registry, given.owner)
        [run] = await start_all(session, Head.of(found), [input], [idempotency_key], start)
        given.run_id = run.id
    return run


async def start_all(
    session: Session,
    head: Head,
    inputs: Sequence[JsonValue],
    keys: Sequence[str | None],
    start: Start,
) -> list[Run]:
    """Start a run of a stored version for each input, in batches; each batch starts or none of it.

    Raises:
        DefinitionError: An input does not fit the flow's input schema (input_invalid).
        InvalidValue: The time limit, an idempotency key or who starts them is none.
        Conflict: A key was used for something else, the flow was changed (draft_changed), or too
            many runs are open (too_many_runs).
    """
    check_doer(start.by, "who starts a run")
    flow = head.flow
    given = [fitting_input(value, flow.input, session.settings) for value in inputs]
    checked = [checked_key(key) for key in keys]
    limit = run_limit(start, flow, session.settings)
    terms = start.terms(session.settings)
    # A map may end its run while that starts, and nobody is told.
    heard = not any(step.for_each is not None for step in flow.steps)
    runs: list[Run] = []
    for part in parts_of(given):
        batch, batch_keys = given[part], checked[part]
        begun = time.monotonic()
        options: dict[str, Any] = {
            "timeout_seconds": limit.total_seconds(),
            "plan_id": start.plan_id,
            "actor": start.by,
            "exact": start.exact,
            "draft_at": head.draft_at,
            "terms": terms,
        }
        if len(inputs) == 1:
            [one], [key] = batch, batch_keys
            started = await session.start_run(head.version.id, one, key=key, **options)
        else:
            started = await session.start_runs(
                head.version.id, batch, idempotency_keys=batch_keys, **options
            )
        for (run_id, created), value, key in zip(started.runs, batch, batch_keys, strict=True):
            row = (
                await session.store.get_run(run_id)
                if not created
                else _new_row(head, start, started, run_id, value, key)
            )
            runs.append(
                Run(session, row, created=created, begun=begun if created and heard else None)
            )
    return runs


def _new_row(
    head: Head, start: Start, started: Started, run_id: str, value: JsonValue, key: str | None
) -> RunRow:
    """Return the row of a run as it was when it was started."""
    return RunRow(
        id=run_id,
        flow=head.version.slug,
        version=head.version.version,
        version_id=head.version.id,
        status=RunStatus.QUEUED,
        input=value,
        output=None,
        error=None,
        remaining_steps=len(head.flow.steps),
        last_seq=0,
        idempotency_key=key,
        parent_run_id=None,
        plan_id=start.plan_id,
        created_at=started.at,
        started_at=None,
        finished_at=None,
        deadline_at=started.deadline_at,
        priority=Priority.read(start.priority),
    )


async def _version_of(
    session: Session, flow: str | Document, version: int | None, *, published: bool
) -> Head:
    if not isinstance(flow, str):
        if version is not None:
            raise InvalidValue("a document has no versions", pointer="/version")
        return Head.of(await _register_unsaved(session, flow))
    if version is not None:
        head = Head.of(await session.store.get_version(flow, version))
        with suppress(NotFound):  # versions of a deleted flow may still be run
            drafts.require_unarchived(await session.store.get_flow(flow))
        return head
    if published:
        found = await session.store.get_version(flow)
    else:
        found = await drafts.publish(session, flow)
    row = await session.store.get_flow(flow)
    drafts.require_unarchived(row)
    if row.version != found.version or dumps(row.draft) != dumps(found.document):
        return Head.of(found)  # somebody changes it just now
    head = session.heads[flow] = replace(Head.of(found), draft_at=row.updated_at)
    return head


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


async def document_of(session: Session, flow: str | Document) -> JsonObject:
    """Return the document of a stored flow's draft, or what was given as one."""
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
