"""Plan a large goal with a model: one call divides it, its parts are planned side by side."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from flowbuilder.errors import (
    FlowBuilderError,
    ModelError,
    ModelOutputError,
    PlanningError,
    Problem,
)
from flowbuilder.models import LanguageModel
from flowbuilder.plan import Plan, Usage
from flowbuilder.planner import prompting
from flowbuilder.planner.base import PlanEvent, PlanEventType, Planner, PlanRequest
from flowbuilder.planner.editing_model import ModelEdits
from flowbuilder.planner.hierarchy.assembly import Assembly, Planned, assembled, taken_schema
from flowbuilder.planner.hierarchy.binding import (
    NONE,
    Place,
    bound,
    choice_schema,
    fitting_places,
    places_of,
)
from flowbuilder.planner.hierarchy.bounds import Bounds
from flowbuilder.planner.hierarchy.decomposition import (
    Subgoal,
    decomposition_schema,
    judge_subgoals,
    read_subgoals,
)
from flowbuilder.planner.hierarchy.judging import judged_as
from flowbuilder.planner.hierarchy.size import is_large
from flowbuilder.planner.hierarchy.telling import step_events
from flowbuilder.planner.inputs import input_schema_of
from flowbuilder.planner.memory.recollection import Recollection
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.planner.shortlist import narrowed
from flowbuilder.planner.telling import completed, divided_again, failed
from flowbuilder.settings import Settings

#: Parts that are planned at the same moment.
_AT_ONCE = 4
_WORD = re.compile(r"[a-z0-9]+")


@dataclass(kw_only=True)
class _Round:
    """What a model has divided a goal into."""

    parts: list[Subgoal] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    answer: str = ""


class PartsPlanner(ModelEdits):
    """A `Planner` that divides large goals, and leaves all others to the planner inside.

    The model proposes parts with interfaces; the parent flow is made of these without another
    call. What nobody states is asked in the parent, and handed on.
    """

    def __init__(
        self,
        settings: Settings,
        inner: Planner,
        model: LanguageModel,
        *,
        bounds: Bounds | None = None,
    ) -> None:
        self._settings, self._inner, self._model = settings, inner, model
        self._bounds = bounds
        self.model = model
        self.name = inner.name

    async def stream(self, request: PlanRequest) -> AsyncIterator[PlanEvent]:
        """Plan as the planner inside does, or in parts.

        Raises:
            PlanningError: Also when there are too many parts (too_many_subgoals), or they do not
                fit together (subgoal_mismatch).
            ModelError: The provider failed.
        """
        bounds = self._bounds or Bounds.of(self._settings)  # a whole goal has bounds of its own
        if not await is_large(request, bounds):
            async for event in self._inner.stream(request):
                yield event
            return
        told: dict[str, Any] = {"goal": request.goal, "planner": self.name}
        yield PlanEvent(type=PlanEventType.STARTED, data={**told, "model": self._model.name})
        try:
            usage, last, rounds = Usage(), _Round(), 0
            async for last, spent in self._divide(request, bounds.subgoals):
                usage += spent
                if last.problems and rounds < self._settings.plan_repairs:
                    rounds += 1
                    yield divided_again(rounds, tuple(last.problems))
            if parts := _usable(last, bounds):
                plan = await self._in_parts(request, parts, usage, bounds)
            else:
                plan = await _plan_of(self._inner, request)
                plan = replace(plan, usage=plan.usage + usage)
            for event in step_events(plan):
                yield event
            yield completed(plan)
        except FlowBuilderError as error:
            yield failed(error)
            raise

    async def _divide(self, request: PlanRequest, most: int) -> AsyncIterator[tuple[_Round, Usage]]:
        """Ask for the parts, again with all problems, and yield each answer with what it took."""
        shown = prompting.select_tools(await narrowed(request))
        messages = prompting.decomposition_messages(request, shown, most)
        schema, again = decomposition_schema(most), messages
        before = ""
        for _ in range(self._settings.plan_repairs + 1):
            try:
                answer, usage = await self._model.extract(again, schema)
            except ModelOutputError:
                return  # one flow will have to do
            found = _Round(parts=read_subgoals(answer), answer=orjson.dumps(answer).decode())
            found.problems = judge_subgoals(
                found.parts,
                request.goal,
                most=most,
                inputs=input_schema_of(request),
                given_input=request.input,
            )
            yield found, usage
            if not found.problems or found.answer == before or len(found.parts) < 2:
                return
            before = found.answer
            again = [*messages, *prompting.decomposition_again(found.answer, found.problems)]

    async def _in_parts(
        self, request: PlanRequest, parts: Sequence[Subgoal], usage: Usage, bounds: Bounds
    ) -> Plan:
        """Plan all parts side by side and put them together."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(part: Subgoal) -> tuple[Planned, Usage]:
            async with slots:
                return await self._planned(request, part, parts, bounds.below)

        tasks = [asyncio.create_task(one(part)) for part in parts]
        try:
            found = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for _, spent in found:
            usage += spent
        return assembled(
            Assembly(
                request=request,
                planned=[item for item, _ in found],
                planner=self.name,
                model=self._model.name,
                usage=usage,
                slug=_slug(request.goal),
            )
        )

    async def _planned(
        self, request: PlanRequest, part: Subgoal, parts: Sequence[Subgoal], bounds: Bounds
    ) -> tuple[Planned, Usage]:
        """Plan a part and find where it has what it is to give."""
        known = request.input if isinstance(request.input, dict) else {}
        taken = {
            take.name: known[take.member]
            for take in part.takes
            if take.part is None and take.question is None and take.member in known
        }
        asked = replace(
            request,
            id=str(uuid.uuid5(uuid.UUID(request.id), part.id)),
            goal=part.goal,
            input=dict(taken) or None,
            memory=Recollection(rules=request.memory.rules),
            input_schema=taken_schema(part, parts, request) if part.takes else None,
        )
        below = PartsPlanner(self._settings, self._inner, self._model, bounds=bounds)
        try:
            plan = await _plan_of(below, asked)
        except PlanningError as error:
            raise _of_part(part, error) from None
        gives, spent = await self._gives(part, parts, plan, request)
        return Planned(part=part, plan=plan, gives=gives), plan.usage + spent

    async def _gives(
        self, part: Subgoal, parts: Sequence[Subgoal], plan: Plan, request: PlanRequest
    ) -> tuple[dict[str, str], Usage]:
        """Return references to what a part gives; the model chooses where names do not tell."""
        places = places_of(*judged_as(plan, request.registry))
        found = bound(part.gives, places)
        gives = {name: place.reference for name, place in found.items()}
        wanted = {take.member for other in parts for take in other.takes if take.part == part.id}
        missing = {
            give.name: offered
            for give in part.gives
            if give.name in wanted and give.name not in found
            if (offered := fitting_places(give, places))
        }
        if not missing:
            return gives, Usage()
        chosen, spent = await self._chosen(part, plan, missing)
        return {**gives, **chosen}, spent

    async def _chosen(
        self, part: Subgoal, plan: Plan, missing: dict[str, list[Place]]
    ) -> tuple[dict[str, str], Usage]:
        """Return the references that the model takes for values; it may take none for one."""
        about = {give.name: give.about or give.type for give in part.gives}
        steps = plan.flow.steps if plan.flow is not None else []
        messages = prompting.output_messages(
            part.goal,
            [f"- {step.id}: {step.tool}" for step in steps],
            [f"- {name}: {about[name]}" for name in missing],
        )
        try:
            answer, usage = await self._model.extract(messages, choice_schema(missing))
        except ModelError:
            return {}, Usage()  # what is not found is asked
        chosen: Any = answer
        kept = {name: chosen[name] for name in missing if chosen[name] != NONE}
        return {name: f"${{{{ {path} }}}}" for name, path in kept.items()}, usage


def in_parts_by_model(settings: Settings, model: LanguageModel) -> PartsPlanner:
    """Return the planner by a model that divides what is too large for one flow."""
    return PartsPlanner(settings, ModelPlanner(settings, model), model)


async def _plan_of(planner: Planner, request: PlanRequest) -> Plan:
    """Return the plan at the end of a stream. Raises: what planning raises."""
    plan: Plan | None = None
    async for event in planner.stream(request):
        plan = event.plan or plan
    if plan is None:
        raise PlanningError("the planner ended without a plan")
    return plan


def _usable(last: _Round, bounds: Bounds) -> list[Subgoal]:
    """Return the parts to plan; none where one flow will do, or the division came to nothing.

    Raises:
        PlanningError: There are more parts than there may be (too_many_subgoals).
    """
    many = any(problem.code == "too_many_subgoals" for problem in last.problems)
    if len(last.parts) < 2 or (last.problems and not many):
        return []
    bounds.admit(len(last.parts))
    return last.parts


def _of_part(part: Subgoal, error: PlanningError) -> PlanningError:
    """Return the error of a part, named as such."""
    return PlanningError(
        f"the part {part.id} ({part.goal[:120]}) has no plan: {error.message}",
        problems=error.problems,
        code=error.code,
        hint=error.hint,
    )


def _slug(goal: str) -> str:
    """Return a name for the parent flow made of the goal's first words."""
    return "-".join(_WORD.findall(goal.lower())[:8])[:48].strip("-") or "plan"
