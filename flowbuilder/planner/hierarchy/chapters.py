"""Plan a goal that is too long to be read at once: its paragraphs and points, one after another."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from flowbuilder.errors import PlanningError
from flowbuilder.plan import Plan, Usage
from flowbuilder.planner.base import PlanEvent, PlanEventType, Planner, PlanRequest
from flowbuilder.planner.hierarchy.assembly import Assembly, Planned, assembled
from flowbuilder.planner.hierarchy.bounds import Bounds
from flowbuilder.planner.hierarchy.decomposition import Subgoal
from flowbuilder.planner.hierarchy.sections import sections
from flowbuilder.planner.hierarchy.size import things_asked
from flowbuilder.planner.hierarchy.telling import step_events
from flowbuilder.planner.rules.clauses import MAX_CLAUSES
from flowbuilder.planner.telling import completed, failed
from flowbuilder.settings import Settings

_WORD = re.compile(r"[a-z0-9]+")
ABOUT_CHAPTERS = (
    "The goal is longer than can be read at once: its parts were planned one by one, and none "
    "takes anything from another but files."
)


class ChaptersPlanner:
    """A `Planner` that plans very long goals in parts, and leaves all others to the one inside.

    Nothing is known of one part while another is planned, so each runs after the one before, and
    the plan is not certain.
    """

    def __init__(self, settings: Settings, planner: Callable[[Settings], Planner]) -> None:
        self._settings, self._inner = settings, planner(settings)
        depth = max(settings.plan_depth - 1, 1)
        self._below = planner(settings.model_copy(update={"plan_depth": depth}))
        self.name = self._inner.name

    async def stream(self, request: PlanRequest) -> AsyncIterator[PlanEvent]:
        """Plan as the planner inside does, or part by part.

        Raises:
            PlanningError: A part has no plan, or there are too many (too_many_subgoals).
        """
        bounds = Bounds.of(self._settings)
        if not bounds.may_divide or things_asked(request.goal) <= MAX_CLAUSES:
            async for event in self._inner.stream(request):
                yield event
            return
        yield PlanEvent(
            type=PlanEventType.STARTED,
            data={"goal": request.goal, "planner": self.name, "model": None},
        )
        try:
            plan = await self._planned(request, bounds)
        except PlanningError as error:
            yield failed(error)
            raise
        for event in step_events(plan):
            yield event
        yield completed(plan)

    async def _planned(self, request: PlanRequest, bounds: Bounds) -> Plan:
        texts = chapters(request.goal, bounds.split)
        bounds.admit(len(texts))
        parts: list[Subgoal] = []
        for number, text in enumerate(texts, 1):
            after = (parts[-1].id,) if parts else ()
            parts.append(Subgoal(id=f"part_{number}", goal=text, after=after))
        made = Assembly(
            request=request,
            planned=[await self._part(request, part) for part in parts],
            planner=self.name,
            model=None,
            usage=Usage(),
            slug="-".join(_WORD.findall(request.goal.lower())[:8])[:48].strip("-") or "plan",
        )
        plan = assembled(made)
        bounds.check_whole(plan)
        return replace(plan, certain=False, notes=(*plan.notes, ABOUT_CHAPTERS))

    async def _part(self, request: PlanRequest, part: Subgoal) -> Planned:
        asked = replace(
            request,
            id=str(uuid.uuid5(uuid.UUID(request.id), part.id)),
            goal=part.goal,
            input=None,
            input_schema=None,
        )
        plan: Plan | None = None
        try:
            async for event in self._below.stream(asked):
                plan = event.plan or plan
        except PlanningError as error:
            raise PlanningError(
                f"the part {part.goal[:120]!r} has no plan: {error.message}",
                problems=error.problems,
                code=error.code,
                hint=error.hint,
            ) from None
        if plan is None:
            raise PlanningError("the planner ended without a plan")
        return Planned(part=part, plan=plan, gives={})


def chapters(goal: str, split: int) -> list[str]:
    """Return a goal in pieces of neighbouring parts that ask for at most `split` things each."""
    pieces: list[str] = []
    for section in sections(goal):
        longer = f"{pieces[-1]} {section.text}" if pieces else section.text
        if pieces and things_asked(longer) <= split:
            pieces[-1] = longer
        else:
            pieces.append(section.text)
    return pieces
