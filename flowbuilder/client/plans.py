"""Planning as FlowBuilder offers it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flowbuilder.client import budgets, drafts, execution, planning
from flowbuilder.client.arguments import check_page
from flowbuilder.client.budgets import Bounds
from flowbuilder.client.checking import Document
from flowbuilder.client.editing import Desk
from flowbuilder.client.policies import policies_in_force
from flowbuilder.client.runs import Run
from flowbuilder.client.session import Connected
from flowbuilder.client.start import Start
from flowbuilder.client.subflows import publish_parts
from flowbuilder.costs import Estimate
from flowbuilder.executor.records import PlanRow, VersionRow
from flowbuilder.flow import Flow
from flowbuilder.limits import Priority
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanEvent, Planner
from flowbuilder.review import Review, review
from flowbuilder.types import JsonSchema, JsonValue

if TYPE_CHECKING:
    from flowbuilder.client.early import EarlyStart


class Plans(Connected):
    """From a goal to a plan, and from a plan to its run."""

    _planner: Planner | None

    @property
    def planner(self) -> Planner:
        """Who turns goals into plans."""
        if self._planner is None:
            self._planner = planning.choose_planner(self._session)
        return self._planner

    @property
    def _desk(self) -> Desk:
        return Desk(self._session, self.planner)

    async def plan(
        self,
        goal: str,
        *,
        input: JsonValue = None,
        input_schema: JsonSchema | None = None,
        pinned: Sequence[str] = (),
    ) -> Plan:
        """Turn a goal into a stored plan; it may carry problems or questions.

        Of a large catalogue the planner looks at the tools that fit the goal; those `pinned` by
        name are always among them.

        Raises:
            NotFound: There is no tool of a pinned name (tool_unknown).
            PlanningError: No plan came out (NoFittingTool: no tool does a part of it).
            ModelError: The model's provider failed. Nothing is stored then.
        """
        return await planning.make_plan(
            self.plan_stream(goal, input=input, input_schema=input_schema, pinned=pinned)
        )

    def plan_stream(
        self,
        goal: str,
        *,
        input: JsonValue = None,
        input_schema: JsonSchema | None = None,
        pinned: Sequence[str] = (),
    ) -> AsyncIterator[PlanEvent]:
        """Plan like `plan`, event by event; everything is stored before `plan_completed`."""
        return planning.stream_goal(
            self._session,
            self.planner,
            goal,
            input=input,
            input_schema=input_schema,
            pinned=pinned,
            desk=self._desk,
        )

    async def answer_plan(self, plan: Plan | str, answers: Mapping[str, Any]) -> Plan:
        """Answer a plan's questions by their ids, and return the new plan that is made of it.

        Nothing but what was asked for changes: all other steps stay as they are, byte for byte.
        Questions that are left out stay open. An answer is a value: text that looks like a
        reference means itself.

        Raises:
            NotFound: There is no such plan.
            DefinitionError: An answer does not fit (answer_invalid), or there is no such question
                (question_unknown), with a problem for each.
            PlanningError: The plan asks nothing (no_questions).
        """
        found = plan if isinstance(plan, Plan) else await self.get_plan(plan)
        return await self._desk.answer(found, answers)

    async def edit(self, flow: str | Plan, words: str) -> Plan:
        """Propose a change of a stored flow, or of a plan, in words: "also mail it to a@b.org".

        What the words do not mention stays as it is, byte for byte. The answer is a plan with the
        changed `flow`, its `diff`, `problems` and `questions`; of a stored flow, `accept_edit`
        makes a new version of it.

        Raises:
            NotFound: There is no such flow.
            PlanningError: The words say nothing that could be done (edit_not_understood), several
                things (edit_ambiguous), or what cannot be (edit_breaks, edit_value, edit_invalid).
            ModelError: The model's provider failed. Nothing is stored then.
        """
        return await planning.make_plan(self.edit_stream(flow, words))

    def edit_stream(self, flow: str | Plan, words: str) -> AsyncIterator[PlanEvent]:
        """Propose like `edit`, event by event; all is stored before `plan_completed`."""
        if isinstance(flow, Plan):
            return self._desk.edit_plan_stream(flow, words)
        return self._desk.edit_flow_stream(flow, words)

    async def accept_edit(self, plan: Plan | str) -> VersionRow:
        """Make a new version of the flow that a plan of `edit` changes; again, it is the same one.

        Raises:
            NotFound: There is no such plan, or its flow is gone.
            DefinitionError: It has problems or questions (plan_not_ready).
            Conflict: The flow has been changed since (draft_changed).
            PlanningError: The plan changes no stored flow (no_edit).
        """
        found = plan if isinstance(plan, Plan) else await self.get_plan(plan)
        return await self._desk.accept_edit(found)

    def start_early(
        self,
        goal: str,
        *,
        input: JsonValue = None,
        input_schema: JsonSchema | None = None,
        pinned: Sequence[str] = (),
        timeout: str | float | None = None,
        priority: Priority | str | int = "normal",
        by: str | None = None,
        budget: Bounds = None,
        replan: bool | None = None,
    ) -> EarlyStart:
        """Plan a goal and start its first steps while the plan is still being written.

        Only steps that change nothing, ask nobody and have all they need start early; everything
        else waits for `accept`. `async with fb.start_early(goal) as early:`, then iterate over
        the plan's events as those of `plan_stream`, and `run = await early.accept()`. A context
        that is left without that cancels what has started.

        Args:
            goal: What is to be done.
            input: The run's input.
            input_schema: Its shape, when it is not to be told from the input.
            pinned: Names of tools to be looked at in any case.
            timeout: When the run fails at the latest: `"10m"` or seconds.
            priority: `"high"` goes before `"normal"`, and that before `"low"`.
            by: Who starts it, for the record.
            budget: What planning and run may cost, as in `execute`.
            replan: Whether the rest may be planned anew when a step fails; see `execute`.

        Raises:
            InvalidValue: There is no such priority (priority_unknown), or the time limit is none.
        """
        from flowbuilder.client.early import EarlyStart, Goal

        start = Start(timeout=timeout, by=by, priority=priority, budget=budget, replan=replan)
        wanted = Goal(text=goal, input=input, input_schema=input_schema, pinned=pinned, start=start)
        return EarlyStart(self._session, self.planner, wanted)

    async def estimate(self, flow: str | Plan | Document, input: JsonValue = None) -> Estimate:
        """Say what a run of a stored flow, a plan or a document will take.

        By what its tools took in this workspace lately, else by what they declare or their kind
        takes. A model's price that is not known makes the cost None.

        Raises:
            NotFound: There is no such flow.
            DefinitionError: The document has problems, or the plan no flow.
        """
        if isinstance(flow, Plan):
            found, given = planning.require_valid(flow), flow.input if input is None else input
        else:
            document = await execution.document_of(self._session, flow)
            found, given = await drafts.checked(self._session, document), input
        return await budgets.estimate(self._session, found, given)

    async def get_plan(self, plan_id: str) -> Plan:
        """Return a stored plan. Raises: NotFound (plan_not_found)."""
        row = await self._session.store.get_plan(plan_id)
        return planning.plan_from_json(row.document, desk=self._desk)

    async def review(self, plan: Plan | str) -> Review:
        """Return what there is to know about a plan before it is accepted.

        Whom its runs will wait for is said by the policies that hold in the workspace now.

        Raises:
            NotFound: There is no such plan.
        """
        found = plan if isinstance(plan, Plan) else await self.get_plan(plan)
        policies = await policies_in_force(self._session, fresh=True)
        return review(found, self._session.registry, policies)

    async def publish_plan(self, plan: Plan | str) -> Flow:
        """Store the flows of a plan's parts and return the plan's own flow, which calls them.

        Of a plan without parts that is its flow as it stands.

        Raises:
            NotFound: There is no such plan.
            DefinitionError: The plan has problems or questions (plan_not_ready).
        """
        found = plan if isinstance(plan, Plan) else await self.get_plan(plan)
        return await publish_parts(self._session, found, planning.require_valid(found))

    async def plans(self, *, limit: int = 50, before: str | None = None) -> list[PlanRow]:
        """Return stored plans, newest first; with `before` (an id) those that come behind it.

        Raises:
            InvalidValue: It is no page (page_invalid).
            NotFound: There is no plan `before` (plan_not_found).
        """
        check_page(limit)
        known = None if before is None else (await self._session.store.get_plan(before)).id
        return await self._session.store.list_plans(limit=limit, before=known)

    async def accept_plan(
        self,
        plan: Plan | str,
        *,
        input: JsonValue = None,
        idempotency_key: str | None = None,
        priority: Priority | str | int = "normal",
        by: str | None = None,
        budget: Bounds = None,
        replan: bool | None = None,
    ) -> Run:
        """Start the run of a plan, once: accepting it again gives the same run.

        `input` replaces the plan's own when it is not None. A `budget` (as in `execute`) is charged
        with what planning has cost already. `replan` as in `execute`.

        Raises:
            NotFound: There is no such plan.
            InvalidValue: There is no such priority (priority_unknown) or budget (budget_invalid).
            Conflict: Planning alone has cost more than that (budget_exceeded).
            DefinitionError: The plan has problems or questions (plan_not_ready), or the input
                does not fit (input_invalid).
        """
        return await execution.accept_plan(
            self._session,
            plan,
            input,
            idempotency_key=idempotency_key,
            priority=priority,
            by=by,
            budget=budget,
            replan=replan,
        )
