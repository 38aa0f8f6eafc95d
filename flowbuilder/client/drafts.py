"""Changes of a flow's draft: each is checked at once, and none is lost to another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flowbuilder.client import appending
from flowbuilder.client.checking import Document, check_document
from flowbuilder.client.session import Session
from flowbuilder.errors import Conflict, DefinitionError, Problem, Severity
from flowbuilder.executor.records import FlowRow, VersionRow
from flowbuilder.executor.store.base import as_name
from flowbuilder.flow import (
    ApprovalPolicy,
    Compensation,
    Flow,
    LimitPolicy,
    OnError,
    RetryPolicy,
    TriggerRule,
)
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

Change = Callable[[JsonObject], JsonObject]
#: How often a change is made anew because another process changed the draft meanwhile.
TRIES = 50
#: The problem of a flow without steps, which a draft may have.
NO_STEPS = "no_steps"


def new_document(
    slug: str, input_schema: JsonSchema | None, description: str | None, output: JsonValue
) -> JsonObject:
    """Return the document of a flow without steps."""
    document: JsonObject = {"flow": slug}
    if description is not None:
        document["description"] = description
    if input_schema is not None:
        document["input"] = input_schema
    if output is not None:
        document["output"] = output
    return document


def step_document(
    step_id: str,
    tool: str | None,
    *,
    args: Mapping[str, Any] | None = None,
    depends_on: Iterable[str] = (),
    for_each: str | list[Any] | None = None,
    when: str | None = None,
    retry: RetryPolicy | Mapping[str, Any] | int | None = None,
    timeout: object = None,
    on_error: OnError | str | None = None,
    trigger_rule: TriggerRule | str | None = None,
    approval: ApprovalPolicy | Mapping[str, Any] | bool | None = None,
    limit: LimitPolicy | Mapping[str, Any] | None = None,
    concurrency: int | None = None,
    compensate: Compensation | Mapping[str, Any] | None = None,
    description: str | None = None,
) -> JsonObject:
    """Return a step of the flow document from the arguments of `add_step`."""
    given: dict[str, Any] = {
        "id": step_id,
        "tool": tool,
        "args": dict(args) if isinstance(args, Mapping) else args,
        "depends_on": _names(depends_on),
        "for_each": for_each,
        "when": when,
        "retry": _policy({"max_attempts": retry} if isinstance(retry, int) else retry),
        "timeout": timeout,
        "on_error": on_error,
        "trigger_rule": trigger_rule,
        "approval": _policy({} if approval is True else approval or None),
        "limit": _policy(limit),
        "concurrency": concurrency,
        "compensate": _policy(compensate),
        "description": description,
    }
    return {key: value for key, value in given.items() if value is not None}


def _names(given: object) -> object:
    """Return names as a list, None for no names; what is no list is left to validation."""
    if isinstance(given, str):
        return [given]
    return list(given) or None if isinstance(given, Iterable) else given


def _policy(
    value: RetryPolicy | ApprovalPolicy | Compensation | LimitPolicy | Mapping[str, Any] | None,
) -> object:
    if isinstance(value, RetryPolicy | ApprovalPolicy | Compensation | LimitPolicy):
        return value.model_dump(mode="json", exclude_defaults=True)
    return dict(value) if isinstance(value, Mapping) else value


async def change(session: Session, slug: str, apply: Change) -> FlowRow:
    """Read the draft, change it, check it and store it, again when somebody else was faster.

    Raises:
        NotFound: There is no such flow.
        DefinitionError: The changed draft has problems; the stored one stays as it was.
        Conflict: Others changed it all the time (draft_changed).
    """
    for _ in range(TRIES - 1):
        try:
            return await _change_once(session, slug, apply)
        except Conflict as error:
            if error.code != "draft_changed":
                raise
    return await _change_once(session, slug, apply)


async def _change_once(session: Session, slug: str, apply: Change) -> FlowRow:
    async with session.draft_lock(str(slug)):
        row = await session.store.get_flow(slug)
        flow = await checked_draft(session, apply(row.draft))
        saved = await session.store.save_draft(flow.document(), revision=row.revision)
        if flow.steps:  # before the first one, nothing is known of what the output refers to
            appending.remember(session, saved, flow)
        return saved


async def add_step(session: Session, slug: str, step: JsonObject) -> FlowRow:
    """Add a step at the end of a draft."""
    name = as_name(slug)
    async with session.draft_lock(name):
        row = await appending.append(session, name, step)
    if row is not None:
        return row
    return await change(session, slug, lambda document: _with_step(document, step))


async def set_output(session: Session, slug: str, output: JsonValue) -> FlowRow:
    """Set what a run of a flow returns."""
    return await change(session, slug, lambda document: {**document, "output": output})


async def save(
    session: Session, document: Document | str, *, revision: str | None = None
) -> FlowRow:
    """Create a flow or replace its draft, all of it valid; with `revision` only that draft.

    Raises:
        DefinitionError: With every problem; nothing is stored.
        NotFound: With a revision: there is no such flow.
        Conflict: The draft is of another revision (draft_changed).
    """
    flow = await checked(session, document, children=False)
    if revision is not None:
        return await session.store.save_draft(flow.document(), revision=revision)
    try:
        return await session.store.create_flow(flow.document())
    except Conflict:
        return await session.store.save_draft(flow.document())


async def publish(session: Session, slug: str) -> VersionRow:
    """Make a version of the draft; the same content gives the same version again.

    Raises:
        NotFound: There is no such flow.
        DefinitionError: The draft has problems.
        Conflict: Others changed it all the time (draft_changed).
    """
    for _ in range(TRIES - 1):
        try:
            return await _publish_once(session, slug)
        except Conflict as error:
            if error.code != "draft_changed":
                raise
    return await _publish_once(session, slug)


async def _publish_once(session: Session, slug: str) -> VersionRow:
    row = await session.store.get_flow(slug)
    require_unarchived(row)
    flow = await checked(session, row.draft)
    return await session.store.register_version(flow, session.registry, revision=row.revision)


def require_unarchived(row: FlowRow) -> None:
    """Refuse an archived flow. Raises: Conflict (flow_archived)."""
    if row.archived_at is not None:
        raise Conflict(
            f"the flow {row.slug} is archived",
            code="flow_archived",
            hint="Take it out of the archive first.",
        )


async def checked(
    session: Session,
    document: Document | str,
    *,
    registry: ToolRegistry | None = None,
    children: bool = True,
) -> Flow:
    """Return the flow of a document that could run. Raises: DefinitionError with every problem."""
    found = await check_document(session, document, registry=registry, children=children)
    if found.flow is None:
        raise refused(found.problems)
    return found.flow


async def checked_draft(session: Session, document: JsonObject) -> Flow:
    """Return the flow of a draft: it may lack steps, what it has is right.

    Raises:
        DefinitionError: With every problem.
    """
    found = await check_document(session, document, children=False)
    if found.flow is not None:
        return found.flow
    problems = [item for item in found.problems if item.code != NO_STEPS]
    if any(item.severity is Severity.ERROR for item in problems):
        raise refused(problems)
    return Flow.model_validate(document)


def refused(problems: Iterable[Problem]) -> DefinitionError:
    """Return the error that carries the problems of a document."""
    errors = [item for item in problems if item.severity is Severity.ERROR]
    return DefinitionError(_summary(errors), problems=errors)


def _with_step(document: JsonObject, step: JsonObject) -> JsonObject:
    steps = document.get("steps") or []
    return {**document, "steps": [*(steps if isinstance(steps, list) else []), step]}


def _summary(problems: list[Problem]) -> str:
    if len(problems) == 1:
        where = f" ({problems[0].pointer})" if problems[0].pointer else ""
        return problems[0].message + where
    return f"the flow has {len(problems)} problems"
