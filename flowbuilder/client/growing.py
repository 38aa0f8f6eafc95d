"""Adding a step to a run that is under way: checked as any flow, and as a version of the run's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from flowbuilder.client import appending
from flowbuilder.client.checking import CHILD_TOOL, check_document
from flowbuilder.client.drafts import refused
from flowbuilder.client.functions import WithFunctions, with_function_tools
from flowbuilder.client.policies import policies_in_force
from flowbuilder.client.session import Session
from flowbuilder.errors import Conflict, InvalidTransition, InvalidValue, Problem, Severity
from flowbuilder.executor.graphs import compile_step
from flowbuilder.executor.records import VersionRow
from flowbuilder.executor.replacing import grown_places
from flowbuilder.flow import Flow
from flowbuilder.policy import apply_policy
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonValue
from flowbuilder.validation.growing import GrowingFlow

#: How often a step is fitted in anew because another one was added meanwhile.
TRIES = 50
#: Runs whose flows a session remembers.
MOST_RUNS = 8

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
    async with session.draft_lock(f"run {run_id}"), AsyncExitStack() as stack:
        run = await session.store.get_run(run_id)
        if run.status.terminal:
            raise InvalidTransition(f"cannot add a step to a run that is {run.status.value}")
        base = await session.store.get_version_by_id(run.version_id)
        known = session.growing.pop(run_id, None)
        fits = known if known is not None and known.version_id == base.id else None
        given = None
        if function is not None:
            longer, name = _with_step(base.document, step), str(step.get("id"))
            given = await stack.enter_async_context(
                with_function_tools(session, longer, {name: function})
            )
            given.run_id = run_id
        grown = await _grown(session, base.document, step, given, fits)
        version = await session.store.grow_run(
            run_id,
            base=base.id,
            document=grown.document,
            content_hash=grown.flow.content_hash(),
            compiled=compile_step(
                grown.flow,
                len(grown.flow.steps) - 1,
                grown.registry,
                places=grown_places(base, str(step.get("id"))),
            ),
            owner=None if given is None else given.owner,
            actor=by,
        )
        if grown.growing is not None:
            _remember(session, run_id, KnownRun(version_id=version.id, flow=grown.growing))
        return version


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownRun:
    """What validation knows of a run's flow, as this process has left it."""

    version_id: str
    flow: GrowingFlow


def _remember(session: Session, run_id: str, known: KnownRun) -> None:
    session.growing[run_id] = known
    while len(session.growing) > MOST_RUNS:
        del session.growing[next(iter(session.growing))]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Grown:
    """A run's flow with one step more."""

    flow: Flow
    document: JsonObject
    """As stored, but for the last step."""
    registry: ToolRegistry
    growing: GrowingFlow | None
    """By which a further step can be judged by itself; None when others have problems here."""


async def _grown(
    session: Session,
    document: JsonObject,
    step: JsonObject,
    given: WithFunctions | None,
    known: KnownRun | None,
) -> _Grown:
    """Return the flow with the step, which is valid and has the approval that policy asks for.

    What is known of the flow judges the step alone; in any doubt all of it is looked at.

    Raises:
        DefinitionError: With every problem of the step.
    """
    listed: Any = document.get("steps")
    longer, registry = _with_step(document, step), session.registry
    if given is not None:
        registry = given.registry
        longer = _with_step(document, _last(given.document))  # only the new one is meant
    growing = _judged_alone(known, step) if given is None else None
    if growing is None:
        found = await check_document(session, longer, registry=registry)
        problems = _of_the_step(found.problems, len(listed))
        if any(problem.severity is Severity.ERROR for problem in problems):
            raise refused(problems)
        if found.flow is not None and given is None:
            growing = appending.growing_flow(session, found.flow)
    flow, _ = apply_policy(Flow.model_validate(longer), registry, await policies_in_force(session))
    return _Grown(
        flow=flow,
        document={**longer, "steps": [*listed, _last(flow.document())]},
        registry=registry,
        growing=growing,
    )


def _judged_alone(known: KnownRun | None, step: JsonObject) -> GrowingFlow | None:
    """Return what is known with the step; None when it takes a look at the whole to judge it.

    Which flows there are, for a child run, is not known here.
    """
    if known is None or str(step.get("tool")).partition("@")[0] == CHILD_TOOL:
        return None
    return known.flow if known.flow.add(step) is not None else None


def _with_step(document: JsonObject, step: JsonValue) -> JsonObject:
    listed: Any = document.get("steps")
    return {**document, "steps": [*listed, step]}


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
