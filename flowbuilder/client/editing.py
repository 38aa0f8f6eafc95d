"""Plans taken further and stored flows changed: by answers, and by words."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from flowbuilder.client import drafts
from flowbuilder.client.checking import limits_of
from flowbuilder.client.modelless import told_of_models
from flowbuilder.client.planning import make_plan, require_valid, store_whole
from flowbuilder.client.policies import policies_in_force, with_refusals
from flowbuilder.client.session import Session
from flowbuilder.diff import same
from flowbuilder.errors import Conflict, FlowBuilderError, PlanningError
from flowbuilder.executor.records import VersionRow
from flowbuilder.flow import Flow
from flowbuilder.plan import LONGEST_EDIT, Plan
from flowbuilder.planner.answering import answered
from flowbuilder.planner.base import PlanEvent, PlanEventType, Planner
from flowbuilder.planner.editing import Editor, EditRequest, proposal
from flowbuilder.planner.telling import completed, failed
from flowbuilder.strictjson import check
from flowbuilder.types import JsonObject


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the plans of an open FlowBuilder are taken further."""

    session: Session
    planner: Planner

    async def answer(self, plan: Plan, answers: Mapping[str, Any]) -> Plan:
        """Return the stored plan in which questions are answered.

        Raises:
            DefinitionError, PlanningError: As `planner.answering.answered`.
        """
        session = self.session
        policies = await policies_in_force(session)
        made = answered(
            plan,
            answers,
            session.registry,
            id=str(uuid.uuid4()),
            limits=limits_of(session.settings),
            flows=await self._flows(),
            policies=policies,
        )
        made = with_refusals(made, session.registry, policies)
        made = replace(told_of_models(made, session.registry, session.settings), desk=self)
        await store_whole(session, made, [_started(made), completed(made)])
        return made

    async def edit(self, plan: Plan, words: str) -> Plan:
        """Return the stored plan that words make of another one.

        Raises:
            PlanningError, ModelError: Nothing came of it; nothing is stored.
        """
        return await make_plan(self.edit_plan_stream(plan, words))

    async def edit_plan_stream(self, plan: Plan, words: str) -> AsyncIterator[PlanEvent]:
        """Change a plan, event by event. Raises: as `edit`."""
        if plan.flow is None:
            raise PlanningError("this plan has no steps that could be changed", code="plan_empty")
        request = EditRequest(
            id=str(uuid.uuid4()),
            words=checked_words(words),
            document=plan.flow.document(),
            registry=self.session.registry,
            goal=plan.goal,
            input=plan.input,
            flows=tuple(await self._flows()),
            plan=plan,
            changes=plan.changes,
            policies=await policies_in_force(self.session),
        )
        async for event in self._edited(request):
            yield event

    async def edit_flow_stream(self, slug: str, words: str) -> AsyncIterator[PlanEvent]:
        """Change a stored flow's draft, event by event; nothing but the proposal is stored.

        Raises:
            NotFound: There is no such flow.
            PlanningError, ModelError: Nothing came of it.
        """
        row = await self.session.store.get_flow(slug)
        flow = await drafts.checked_draft(self.session, row.draft)
        if not flow.steps:
            raise PlanningError(f"the flow {row.slug} has no steps yet", code="plan_empty")
        request = EditRequest(
            id=str(uuid.uuid4()),
            words=checked_words(words),
            document=flow.document(),
            registry=self.session.registry,
            flows=tuple(await self._flows()),
            changes=row.slug,
            policies=await policies_in_force(self.session),
        )
        async for event in self._edited(request):
            yield event

    async def accept_edit(self, plan: Plan) -> VersionRow:
        """Make a version of the flow that an edit proposes; accepted again, it is the same one.

        Raises:
            DefinitionError: It has problems or questions (plan_not_ready).
            Conflict: The flow has been changed since the edit was proposed (draft_changed).
            PlanningError: The plan changes no stored flow (no_edit).
        """
        if plan.changes is None:
            raise PlanningError("this plan changes no stored flow", code="no_edit")
        flow = await drafts.checked(self.session, require_valid(plan))
        row = await self.session.store.get_flow(plan.changes)
        present = Flow.model_validate(row.draft).document()
        if not same(present, flow.document()):
            if not same(present, plan.base):
                raise Conflict(
                    f"the flow {row.slug} has been changed since this edit was proposed",
                    code="draft_changed",
                    hint="Propose the edit again.",
                )
            row = await self.session.store.save_draft(flow.document(), revision=row.revision)
        version = await self.session.store.register_version(
            flow, self.session.registry, revision=row.revision
        )
        await self.session.store.accept_plan(plan.id, None)
        return version

    async def _edited(self, request: EditRequest) -> AsyncIterator[PlanEvent]:
        editor = editor_of(self.planner, self.session)
        told: JsonObject = {
            "goal": request.goal or request.words,
            "planner": editor.name,
            "model": None,
            "words": request.words,
            "parent": request.plan.id if request.plan is not None else None,
            "changes": request.changes,
        }
        seen = [PlanEvent(type=PlanEventType.STARTED, data=told, stream=request.id)]
        yield seen[0]
        try:
            made = proposal(request, await editor.edit(request), planner=editor.name)
        except FlowBuilderError as error:
            yield replace(failed(error), stream=request.id)
            raise
        made = with_refusals(made, request.registry, request.policies)
        plan = replace(told_of_models(made, request.registry, self.session.settings), desk=self)
        for made_known in (*_steps_added(plan), completed(plan)):
            event = replace(made_known, stream=request.id)
            seen.append(event)
            if event.plan is not None:
                await store_whole(self.session, plan, seen)
            yield event

    async def _flows(self) -> list[str]:
        return [row.slug for row in await self.session.store.list_flows()]


def editor_of(planner: Planner, session: Session) -> Editor:
    """Return who reads an edit's words: the planner where it can, else the one by rules."""
    if callable(getattr(planner, "edit", None)):
        return cast("Editor", planner)
    from flowbuilder.planner.rules import RulePlanner

    return RulePlanner(session.settings)


def checked_words(words: str) -> str:
    """Return the words of an edit. Raises: PlanningError (edit_empty, edit_too_long)."""
    given: object = words  # whatever a caller without a type checker hands in
    text = given.strip() if isinstance(given, str) else ""
    if not text:
        raise PlanningError(
            "the edit says nothing", code="edit_empty", hint="Say what is to be different."
        )
    if len(text) > LONGEST_EDIT:
        raise PlanningError(
            f"the edit has {len(text)} characters, at most {LONGEST_EDIT} are read",
            code="edit_too_long",
        )
    try:
        check(text)
    except FlowBuilderError as error:
        raise PlanningError(f"the edit is no text: {error.message}", code="edit_invalid") from None
    return text


def _started(plan: Plan) -> PlanEvent:
    told: JsonObject = {
        "goal": plan.goal,
        "planner": plan.planner,
        "model": plan.model,
        "parent": plan.parent,
    }
    return PlanEvent(type=PlanEventType.STARTED, data=told)


def _steps_added(plan: Plan) -> list[PlanEvent]:
    """Return an event for each step that is new or changed."""
    assert plan.flow is not None
    difference = plan.diff
    touched = difference.touched if difference is not None else frozenset()
    document: Any = plan.flow.document()
    return [
        PlanEvent(
            type=PlanEventType.STEP_ADDED,
            data={"step": step, "position": position, "problems": []},
        )
        for position, step in enumerate(document.get("steps", []))
        if step["id"] in touched
    ]
