"""One run planned anew: read, planned, guarded by policy, and stored as a version of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from flowbuilder.client.budgets import spent_on
from flowbuilder.client.policies import policies_in_force
from flowbuilder.client.session import Session
from flowbuilder.diff import diff_flows
from flowbuilder.errors import (
    Conflict,
    DefinitionError,
    FlowBuilderError,
    InvalidValue,
    ModelError,
    PlanningError,
)
from flowbuilder.executor.graphs import FUNCTION_PREFIX
from flowbuilder.executor.replacing import new_rest
from flowbuilder.executor.states import StepStatus
from flowbuilder.executor.store.replanning import Claim, ReplanContext
from flowbuilder.plan import Usage
from flowbuilder.planner.base import Planner
from flowbuilder.planner.replanning import (
    Edit,
    FailedStep,
    RePlanner,
    ReplanRequest,
    edited,
    guarded,
    judged,
)
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

#: How often a plan is made anew because the run has gone on meanwhile.
TRIES = 5
_LONGEST_REASON = 1000


class Lost(FlowBuilderError):
    """The run is not this re-planner's any more."""

    default_code = "replan_lost"


class Repair:
    """Plans the rest of one run anew."""

    def __init__(self, session: Session, planner: Planner) -> None:
        self._session, self._planner = session, planner

    async def carry_on(self, claim: Claim) -> None:
        """Plan the rest of a run anew, or let it fail with the reason why not.

        Raises:
            Lost: The run is somebody else's by now.
            InvalidTransition: It has ended.
        """
        spent = Usage()
        try:
            await self._count(claim)
            for _ in range(TRIES):
                spent, stored = await self._once_over(claim, spent)
                if stored:
                    return
            raise PlanningError("the run goes on faster than it can be planned anew")
        except (PlanningError, ModelError, DefinitionError, InvalidValue) as error:
            await self._refuse(claim, error, spent)

    async def _count(self, claim: Claim) -> None:
        """Count a re-plan against the run's budget, if it has one.

        Raises:
            PlanningError: There is no room for another one (budget_exceeded).
        """
        try:
            await self._session.store.spend_budget(claim.run_id, replans=1)
        except Conflict as error:
            raise PlanningError(error.message, code=error.code) from None

    async def _once_over(self, claim: Claim, spent: Usage) -> tuple[Usage, bool]:
        """Plan and store; what was spent in all, and whether it is stored.

        It is not when the run has gone on meanwhile, so that it has to be looked at anew.
        """
        store = self._session.store
        context = await store.replan_context(claim)
        if context is None:
            raise _lost()
        request = await self._request(context)
        name, edit = await self._edit(request)
        spent += edit.usage
        await store.spend_budget(claim.run_id, spent_on(edit.usage))
        if problems := judged(request, edit):  # whoever has made it
            raise PlanningError(
                f"the new plan cannot be used: {problems[0].message}", problems=problems
            )
        flow, document, notes = guarded(request, edited(request, edit))
        told = _told(request, edit, document, name, [*edit.notes, *notes])
        try:
            await store.replan_run(
                claim,
                new_rest(
                    context, flow, self._registry(request.registry), document=document, told=told
                ),
                base=context.version_id,
                failed=[step.id for step in request.failed],
                usage=spent.as_json(),
            )
        except Conflict as error:
            if error.code == "replan_lost":
                raise _lost() from None
            if error.code != "run_changed":
                raise
            return spent, False
        return spent, True

    async def _request(self, context: ReplanContext) -> ReplanRequest:
        document = context.document
        known = await self._session.store.list_flows() if _calls_flows(document) else []
        started = {
            step.id
            for step in context.steps
            if step.status not in (StepStatus.PENDING, StepStatus.FAILED)
        }
        return ReplanRequest(
            goal=context.goal or str(document.get("description") or ""),
            document=document,
            started=frozenset(started),
            failed=tuple(_failed(context)),
            registry=_without_functions(self._session.registry),
            input=context.input,
            flows=(*(row.slug for row in known), str(document["flow"])),
            max_steps=self._session.settings.max_steps,
            policies=await policies_in_force(self._session, fresh=True),
        )

    async def _edit(self, request: ReplanRequest) -> tuple[str, Edit]:
        """Return an edit and who made it; where the model cannot be reached, that of the rules."""
        planner = replanner_of(self._planner, self._session)
        try:
            return planner.name, await planner.replan(request)
        except ModelError as error:
            if planner.name == "rules":
                raise
            rules = _rules(self._session)
            try:
                edit = await rules.replan(request)
            except PlanningError as other:
                raise PlanningError(
                    f"{error.message} Without the model: {other.message}", code=error.code
                ) from None
            note = f"The model could not be asked ({error.code})."
            return rules.name, replace(edit, notes=(*edit.notes, note))

    async def _refuse(self, claim: Claim, error: FlowBuilderError, spent: Usage) -> None:
        reason: JsonObject = {"code": error.code, "message": error.message[:_LONGEST_REASON]}
        last: Any = getattr(error, "usage", None)
        store = self._session.store
        if last:
            spent += Usage(**last)
            await store.spend_budget(claim.run_id, spent_on(Usage(**last)))
        if not await store.refuse_replan(claim, reason, usage=spent.as_json()):
            raise _lost()

    def _registry(self, registry: ToolRegistry) -> ToolRegistry:
        """Return the tools with those that were made of functions of this process."""
        return ToolRegistry([*registry, *self._session.functions])


def _lost() -> Lost:
    return Lost("somebody else plans this run anew, or nobody has to any more")


def replanner_of(planner: Planner, session: Session) -> RePlanner:
    """Return who plans anew for those whose goals this planner plans.

    A planner that has a `replan` of its own does; one with a model asks that; else the rules do.
    """
    if callable(getattr(planner, "replan", None)):
        return cast(RePlanner, planner)
    model = getattr(planner, "model", None)
    if model is None:
        return _rules(session)
    from flowbuilder.planner.replanning_model import ModelRePlanner

    return ModelRePlanner(session.settings, model)


def _rules(session: Session) -> RePlanner:
    from flowbuilder.planner.replanning_rules import RuleRePlanner

    return RuleRePlanner(session.settings)


def _without_functions(registry: ToolRegistry) -> ToolRegistry:
    return ToolRegistry([tool for tool in registry if not tool.name.startswith(FUNCTION_PREFIX)])


def _failed(context: ReplanContext) -> list[FailedStep]:
    """Return the failed steps, the one that was told first before the others."""
    found = [
        FailedStep(
            id=step.id,
            tool=_name(step.tool),
            code=str((step.error or {}).get("code") or "failed"),
            message=str((step.error or {}).get("message") or ""),
            tried=frozenset(_name(tool) for tool in context.tried.get(step.id, [])),
        )
        for step in context.steps
        if step.status is StepStatus.FAILED
    ]
    return sorted(found, key=lambda step: step.id != context.error.get("step"))


def _name(tool: str) -> str:
    return tool.partition("@")[0]


def _calls_flows(document: JsonObject) -> bool:
    return "flow.run" in str(document["steps"])


def _told(
    request: ReplanRequest, edit: Edit, document: JsonObject, planner: str, notes: list[str]
) -> JsonObject:
    """Return what the run's stream is told of a new plan."""
    shown = diff_flows(request.document, document, renames=False).as_json()
    listed: Any = document["steps"]
    standing = {*request.started, *request.waiting}
    added: list[JsonValue] = [
        step["id"]
        for step in listed
        if step["id"] not in standing or request.steps.get(step["id"]) != step
    ]
    failed: list[JsonValue] = [
        {"step": step.id, "tool": step.tool, "code": step.code} for step in request.failed
    ]
    return {
        "added": added,
        "planner": planner,
        "model": edit.model,
        "failed": failed,
        "diff": shown,
        "notes": list[JsonValue](notes),
    }
