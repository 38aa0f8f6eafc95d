"""Adding a step to a run that is under way: checked as any flow, and as a version of the run's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flowbuilder.client.checking import check_document
from flowbuilder.client.drafts import refused
from flowbuilder.client.functions import with_function_tools
from flowbuilder.client.session import Session
from flowbuilder.errors import Conflict, InvalidTransition, InvalidValue, Problem, Severity
from flowbuilder.executor.graphs import compile_step
from flowbuilder.executor.records import VersionRow
from flowbuilder.flow import Flow
from flowbuilder.policy import apply_policy
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

#: How often a step is fitted in anew because another one was added meanwhile.
TRIES = 50

Function = Callable[..., Any]


async def add_step(
    session: Session,
    run_id: str,
    step: JsonObject,
    *,
    function: Function | None = None,
    by: str | None = None,
) -> VersionRow:
    """Add a step to a live run and return the version that the run executes from then on.

    Raises:
        NotFound: `run_not_found`.
        InvalidTransition: The run has ended.
        InvalidValue: There are both a tool and a function.
        DefinitionError: With every problem of the step; the run stays as it was.
        Conflict: Others added steps all the time (run_changed).
    """
    if function is not None and "tool" in step:
        raise InvalidValue(
            "a step has a tool or a function, not both", pointer="/tool", code="step_invalid"
        )
    for _ in range(TRIES - 1):
        try:
            return await _add_once(session, run_id, step, function, by)
        except Conflict as error:
            if error.code != "run_changed":
                raise
    return await _add_once(session, run_id, step, function, by)


async def add_checked_step(
    session: Session, run_id: str, base: VersionRow, flow: Flow, *, by: str | None = None
) -> VersionRow:
    """Add the last step of a flow, which was checked with those before it, to a run of these.

    Policy asks nothing of the step. `base` is what the run executes, as far as the caller knows.

    Raises:
        InvalidTransition: The run has ended.
        Conflict: It has grown meanwhile (run_changed); `add_step` reads it anew.
    """
    listed: Any = base.document.get("steps")
    return await session.store.grow_run(
        run_id,
        base=base.id,
        document={**base.document, "steps": [*listed, _last(flow.document())]},
        content_hash=flow.content_hash(),
        compiled=compile_step(flow, len(flow.steps) - 1, session.registry),
        actor=by,
    )


async def _add_once(
    session: Session, run_id: str, step: JsonObject, function: Function | None, by: str | None
) -> VersionRow:
    async with session.draft_lock(f"run {run_id}"):
        run = await session.store.get_run(run_id)
        if run.status.terminal:
            raise InvalidTransition(f"cannot add a step to a run that is {run.status.value}")
        base = await session.store.get_version_by_id(run.version_id)
        grown = await _grown(session, base.document, step, function)
        return await session.store.grow_run(
            run_id,
            base=base.id,
            document=grown.document,
            content_hash=grown.flow.content_hash(),
            compiled=compile_step(grown.flow, len(grown.flow.steps) - 1, grown.registry),
            owner=grown.owner,
            actor=by,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Grown:
    """A run's flow with one step more."""

    flow: Flow
    document: JsonObject
    """As stored, but for the last step."""
    registry: ToolRegistry
    owner: str | None


async def _grown(
    session: Session, document: JsonObject, step: JsonObject, function: Function | None
) -> _Grown:
    """Return the flow with the step, which is valid and has the approval that policy asks for.

    Raises:
        DefinitionError: With every problem of the step.
    """
    listed: Any = document.get("steps")
    known: list[JsonValue] = [*listed]
    longer: JsonObject = {**document, "steps": [*known, step]}
    registry, owner = session.registry, None
    if function is not None:
        name = str(step.get("id"))
        longer, registry, owner = await with_function_tools(session, longer, {name: function})
        longer = {**longer, "steps": [*known, _last(longer)]}  # only the new one is meant
    found = await check_document(session, longer, registry=registry)
    problems = _of_the_step(found.problems, len(known))
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise refused(problems)
    flow, _ = apply_policy(Flow.model_validate(longer), registry)
    return _Grown(
        flow=flow,
        document={**longer, "steps": [*known, _last(flow.document())]},
        registry=registry,
        owner=owner,
    )


def _last(document: JsonObject) -> JsonValue:
    steps: Any = document["steps"]
    last: JsonValue = steps[-1]
    return last


def _of_the_step(problems: Sequence[Problem], place: int) -> list[Problem]:
    """Leave out what is said of the steps that run already: this process may lack their tools."""
    own = f"/steps/{place}"
    return [
        problem
        for problem in problems
        if problem.pointer in ("", "/steps", own) or problem.pointer.startswith(f"{own}/")
    ]
