"""Plan with a language model: stream the steps, judge the whole, let the model mend it.

The model proposes, everything else decides: names of tools are closed by the schema, the document
is validated like any other, approvals are inserted by policy after the model has spoken.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from flowbuilder.errors import FlowBuilderError, NoFittingTool, Problem
from flowbuilder.models import LanguageModel, ModelClient, Reply
from flowbuilder.plan import Plan, PlanStatus, Usage
from flowbuilder.planner import prompting
from flowbuilder.planner.base import PlanEvent, PlanEventType, PlanRequest
from flowbuilder.planner.document import steps_of
from flowbuilder.planner.editing_model import ModelEdits
from flowbuilder.planner.grounding import Ground
from flowbuilder.planner.judging import (
    Judgement,
    judge,
    question_invented,
    question_unsupported,
)
from flowbuilder.planner.narrowing import own_tools_first
from flowbuilder.planner.relevance import unspoken_changes
from flowbuilder.planner.repairing import made_valid
from flowbuilder.planner.rewriting import Rewriting
from flowbuilder.planner.rounds import PatchRounds
from flowbuilder.planner.second_opinion import second_opinion
from flowbuilder.planner.shortlist import narrowed, take_in
from flowbuilder.planner.streaming import StreamedSteps, bounded
from flowbuilder.planner.telling import (
    completed,
    failed,
    no_answer,
    not_possible,
    repaired,
    sentence,
    step_added,
)
from flowbuilder.planner.work import Work
from flowbuilder.policy import apply_policy
from flowbuilder.settings import Settings
from flowbuilder.tools import Tool
from flowbuilder.types import JsonObject


class ModelPlanner(ModelEdits):
    """A `Planner` over a language model."""

    name = "model"

    def __init__(self, settings: Settings, model: LanguageModel | None = None) -> None:
        self._settings = settings
        self.model: LanguageModel = model or ModelClient(settings)
        self._model = self.model
        self._rewriting = Rewriting(self.model, settings)

    async def stream(self, request: PlanRequest) -> AsyncIterator[PlanEvent]:
        """Plan, telling each step as the model writes it."""
        told: JsonObject = {"goal": request.goal, "planner": self.name, "model": self._model.name}
        yield PlanEvent(type=PlanEventType.STARTED, data=told)
        try:
            request = await narrowed(request)
            is_own = self._rewriting.is_own
            plans = own_tools_first(self._plan, request, self._settings) if is_own else None
            async for event in plans or self._plan(request, Usage()):
                yield event
        except FlowBuilderError as error:
            yield failed(error)
            raise

    async def _plan(self, request: PlanRequest, spent: Usage) -> AsyncIterator[PlanEvent]:
        work = await self._begin(request)
        work.usage = spent
        answer = self._model.stream_steps(
            work.messages, work.schema, max_tokens=self._rewriting.longest_answer
        )
        steps = StreamedSteps(request)
        async for position, step in bounded(answer, self._settings):
            take_in(request, step)
            is_new = position >= len(steps)
            told = steps.put(position, step)
            if is_new and told is not None:
                yield step_added(told[0], position, told[1])
        judgement = work.judge(answer.reply, strict=True)
        mending = self._rewritten if self._rewriting.is_own else self._patched
        async for event in mending(work, judgement, answer.reply, steps):
            yield event
        yield completed(self._finish(work, work.best or judgement))

    async def _patched(
        self, work: Work, judged: Judgement, reply: Reply, steps: StreamedSteps
    ) -> AsyncIterator[PlanEvent]:
        """Mend a plan by patches."""
        if judged.is_truncated:
            raise no_answer(judged, self._model.name)
        if judged.document is None and len(steps):
            judged = work.judge_cut(steps.raw) or judged
        rounds = PatchRounds(self._model, self._settings, work, self._rewriting.again)
        async for event in rounds.stream(judged, steps.written):
            yield event
        work.best = rounds.best

    async def _rewritten(
        self, work: Work, judged: Judgement, reply: Reply, steps: StreamedSteps
    ) -> AsyncIterator[PlanEvent]:
        """Mend a plan by asking for the whole of it, as often as the settings allow."""
        best = judged
        if judged.is_to_ask and not judged.is_truncated:
            # The model is told all; mended as far as it goes is the plan.
            best = judge(reply.text, work.request, work.opinion)
        for number in range(1, self._settings.plan_repairs + 1):
            if not judged.is_to_ask:
                break
            fresh = number > 1 or judged.is_truncated
            mended = await self._rewriting.mend(work, judged, best, fresh=fresh)
            if mended is None:
                break
            before = steps_of(judged.document or {})
            yield repaired(number, judged.to_mend, mended.notes, before, mended)
            best = min(best, mended, key=lambda item: item.rank)
            if mended.same_as(judged) and (number > 1 or not best.errors):
                break
            judged = mended
        best = await self._rewriting.unrefused(work, best)
        work.best = await self._rewriting.completed(work, best)

    async def _begin(self, request: PlanRequest) -> Work:
        tools: list[Tool] = prompting.select_tools(request)
        if not tools:
            raise NoFittingTool("there are no tools to plan with", code="no_fitting_tool")
        opinion = await second_opinion(request, tools, self._settings)
        messages = prompting.plan_messages(request, tools, shown=self._rewriting.is_own)
        work = Work(request=request, messages=messages, schema={}, tools=tools, opinion=opinion)
        work.schema = self._rewriting.first_schema(work)
        return work

    def _finish(self, work: Work, best: Judgement) -> Plan:
        """Make the plan of the best answer.

        Raises:
            ModelOutputError: No answer could be read.
            NoFittingTool: The model says so.
            PlanningError: Problems remain.
        """
        if best.unfit:
            raise NoFittingTool(
                f"No tool fits a part of the goal: {best.unfit[0]}",
                attempts=work.attempts,
                usage=work.usage.as_json(),
                hint="Name the tools with --tools, or leave that part out.",
            )
        if best.document is None:
            raise no_answer(best, self._model.name)
        best = question_unsupported(question_invented(best), work.request)
        if self._rewriting.is_own:
            best = made_valid(best, work)
        if best.flow is None or best.errors:
            raise not_possible(best, work)
        return self._ready(work, best)

    def _doubts(self, work: Work, best: Judgement) -> list[Problem]:
        goal = work.request.goal
        if not self._rewriting.is_own or work.opinion.steps or best.document is None:
            return []
        return unspoken_changes(best.document, work.tools, goal, Ground(goal))

    def _ready(self, work: Work, best: Judgement) -> Plan:
        assert best.flow is not None
        problems = (*best.problems, *self._doubts(work, best))
        plan = Plan(
            id=work.request.id,
            goal=work.request.goal,
            planner=self.name,
            model=self._model.name,
            flow=best.flow,
            input=work.request.input,
            certain=not problems,
            notes=best.notes + tuple(sentence(problem) for problem in problems),
            problems=problems,
            questions=best.questions,
            usage=work.usage,
            status=PlanStatus.NEEDS_ANSWERS if best.questions else PlanStatus.READY,
        )
        flow, notes = apply_policy(best.flow, work.request.registry, work.request.policies)
        return replace(plan, flow=flow, notes=plan.notes + tuple(notes))
