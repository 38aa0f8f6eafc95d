"""Plan with a language model: stream the steps, judge the whole, let the model mend it.

The model proposes, everything else decides: names of tools are closed by the schema, the document
is validated like any other, approvals are inserted by policy after the model has spoken.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from flowbuilder.errors import (
    FlowBuilderError,
    ModelError,
    NoFittingTool,
    PlanningError,
    Problem,
    Severity,
)
from flowbuilder.models import LanguageModel, Message, ModelClient
from flowbuilder.plan import Plan, PlanStatus, Usage
from flowbuilder.planner import prompting
from flowbuilder.planner.base import PlanEvent, PlanEventType, PlanRequest
from flowbuilder.planner.columns import columns_schema, supposed
from flowbuilder.planner.eligibility import eligible
from flowbuilder.planner.grounding import Ground
from flowbuilder.planner.judging import (
    Judgement,
    judge,
    missing_tools,
    question_invented,
    question_unsupported,
)
from flowbuilder.planner.literals import literals
from flowbuilder.planner.losses import field_finders, shorteners, source_readers, translators
from flowbuilder.planner.narrowing import own_tools_first
from flowbuilder.planner.patching import patched
from flowbuilder.planner.relevance import likely_steps, unspoken_changes
from flowbuilder.planner.schema import (
    answer_schema,
    framed_schema,
    inserted_schema,
    preceded_schema,
    sequence_schema,
)
from flowbuilder.planner.second_opinion import second_opinion
from flowbuilder.planner.shortlist import narrowed
from flowbuilder.planner.surplus import inquires, tell_result
from flowbuilder.planner.telling import (
    completed,
    failed,
    no_answer,
    repaired,
    sentence,
    showable,
    step_added,
)
from flowbuilder.planner.wire import read_answer, with_step
from flowbuilder.planner.work import Work, without_doubtful
from flowbuilder.policy import apply_policy
from flowbuilder.settings import Settings
from flowbuilder.tools import HARMLESS, Tool
from flowbuilder.types import JsonObject, JsonSchema

#: Tokens of an answer of such a server: no plan is longer, but a value without a shape may be.
_LONGEST_ANSWER = 1500
#: Characters of one text in an answer of a server of one's own, where small models run on.
_LONGEST_TEXT = 600
#: The same after an answer that did not end.
_SHORT_TEXT = 160
#: Steps in an answer of such a server, which would be cut behind them anyway.
_MOST_STEPS = 16


class ModelPlanner:
    """A `Planner` over a language model."""

    name = "model"

    def __init__(self, settings: Settings, model: LanguageModel | None = None) -> None:
        self._settings = settings
        self._model: LanguageModel = model or ModelClient(settings)

    async def stream(self, request: PlanRequest) -> AsyncIterator[PlanEvent]:
        """Plan, telling each step as the model writes it."""
        told: JsonObject = {"goal": request.goal, "planner": self.name, "model": self._model.name}
        yield PlanEvent(type=PlanEventType.STARTED, data=told)
        try:
            request = await narrowed(request)
            plans = own_tools_first(self._plan, request, self._settings) if self._own else None
            async for event in plans or self._plan(request, Usage()):
                yield event
        except FlowBuilderError as error:
            yield failed(error)
            raise

    async def _plan(self, request: PlanRequest, spent: Usage) -> AsyncIterator[PlanEvent]:
        work = await self._begin(request)
        work.usage = spent
        steps = self._model.stream_steps(
            work.messages, work.schema, max_tokens=self._longest_answer
        )
        raw: list[JsonObject] = []
        shown = 0
        async for position, step in steps:
            raw[position:] = [step]
            if position >= shown and showable(step):
                shown = position + 1
                yield step_added(raw, position, request)
        judgement = work.judge(steps.reply, strict=True)
        best = judgement
        if judgement.is_truncated and not self._own:
            raise no_answer(judgement, self._model.name)
        if judgement.is_to_ask and not judgement.is_truncated:
            # The model is told all; mended as far as it goes is the plan.
            best = judge(steps.reply.text, request, work.opinion)
        for number in range(1, self._settings.plan_repairs + 1):
            if not judgement.is_to_ask:
                break
            fresh = number > 1 or judgement.is_truncated
            mended = await self._mend(work, judgement, best, fresh=fresh)
            if mended is None:
                break
            yield repaired(number, judgement.to_mend, mended.notes)
            best = min(best, mended, key=lambda item: item.rank)
            if mended.same_as(judgement) and (number > 1 or not best.errors):
                break
            judgement = mended
        best = await self._completed(work, await self._unrefused(work, best))
        yield completed(self._finish(work, best))

    @property
    def _own(self) -> bool:
        """Whether the model is on a server of one's own, where models are small and calls free."""
        return self._settings.model_api_base is not None

    @property
    def _longest_answer(self) -> int | None:
        limit = min(_LONGEST_ANSWER, self._settings.model_max_tokens)
        return limit if self._settings.model_api_base else None

    async def _begin(self, request: PlanRequest) -> Work:
        tools: list[Tool] = prompting.select_tools(request)
        if not tools:
            raise NoFittingTool("there are no tools to plan with", code="no_fitting_tool")
        opinion = await second_opinion(request, tools, self._settings)
        messages = prompting.plan_messages(request, tools, shown=self._own)
        work = Work(request=request, messages=messages, schema={}, tools=tools, opinion=opinion)
        # A small model of one's own is held to the sequence at once; a large one is asked first.
        if opinion.steps and self._own:
            work.schema = self._sequence(work)
        else:
            work.schema = self._schema(work, self._eligible(work))
        return work

    def _eligible(self, work: Work, tools: Sequence[Tool] = ()) -> Sequence[Tool]:
        """Return the tools that an answer may name, of all or of the given ones."""
        shown = tools or work.tools
        return eligible(work.request, shown) if self._own else shown

    def _schema(
        self,
        work: Work,
        tools: Sequence[Tool],
        *,
        min_steps: int = 1,
        max_steps: int | None = None,
        short: bool = False,
    ) -> JsonSchema:
        bound = self._settings.max_steps
        if self._own:
            bound = min(bound, _MOST_STEPS, likely_steps(work.request.goal, work.tools))
        longest = _SHORT_TEXT if short else _LONGEST_TEXT
        return answer_schema(
            tools,
            max_steps=max_steps or bound,
            longest_text=longest if self._own else None,
            min_steps=min_steps,
            may_refuse=max_steps is None,
        )

    async def _mend(
        self, work: Work, judged: Judgement, best: Judgement, *, fresh: bool
    ) -> Judgement | None:
        """Ask again with all problems; None when that failed but a usable plan is in hand."""
        try:
            if schema := self._reshaped(work, judged):
                return await self._reshape(work, judged, schema)
            if not fresh and (missing := missing_tools(judged, work.request)):
                return await self._complete(work, judged, missing)
            if not fresh and (readers := self._readers(work, judged)):
                return await self._find_out(work, judged, readers)
            messages, schema = self._again(work, judged, fresh=fresh)
            return work.judge(
                await self._model.complete_steps(messages, schema, max_tokens=self._longest_answer)
            )
        except ModelError:
            if best.rank[0] or best.errors:
                raise
            return None

    def _again(
        self, work: Work, judged: Judgement, *, fresh: bool
    ) -> tuple[list[Message], JsonSchema]:
        """Return the request for the whole plan once more, bounded by what is surely known."""
        tools = work.tools
        fresh = fresh or bool(judged.made_up)
        if fresh and not work.opinion.tools:
            tools = without_doubtful(work, judged)
        if work.opinion.tools:
            schema = self._sequence(work)
        else:
            least = judged.size + 1 if fresh and judged.forgotten_step else 1
            allowed = self._eligible(work, tools)
            short = judged.is_truncated
            schema = self._schema(work, allowed, min_steps=least, short=short)
        if fresh:
            shown = tools if not self._own else work.tools  # the schema leaves the others out
            messages = prompting.fresh_messages(
                work.request, shown, judged.to_mend, shown=self._own
            )
            return messages, schema
        follow_up = prompting.repair_messages(judged.answer, judged.to_mend)
        return [*work.messages, *follow_up], schema

    def _sequence(self, work: Work) -> JsonSchema:
        """Return the schema for the wanted tools; hosted providers know no schema of an order."""
        by_name = {tool.name: tool for tool in work.tools}
        if self._settings.model_api_base:
            tools = [by_name[name] for name in work.opinion.tools]
            return sequence_schema(tools, longest_text=_LONGEST_TEXT)
        size = len(work.opinion.tools)
        tools = [tool for name, tool in by_name.items() if name in work.opinion.tools]
        return self._schema(work, tools, min_steps=size, max_steps=size)

    async def _unrefused(self, work: Work, best: Judgement) -> Judgement:
        """Ask for a plan in the place of a refusal; take it if it carries all that the goal names.

        A small model says that no tool fits where one does. A goal that names nothing to be
        carried could be met by anything, so that its refusal stands.
        """
        named = literals(work.request.goal)
        if not (best.unfit and self._own and named):
            return best
        messages = prompting.plan_messages(work.request, work.tools, shown=True)
        schema = self._schema(work, self._eligible(work), max_steps=len(named))
        try:
            reply = await self._model.complete_steps(
                messages, schema, max_tokens=self._longest_answer
            )
            found = work.judge(reply)
            if found.document and (readers := self._readers(work, found)):
                found = await self._find_out(work, found, readers)
        except ModelError:
            return best
        doubts = [item for item in found.problems if item.code != "step_supposed"]
        return found if found.document and not (doubts or found.questions) else best

    async def _completed(self, work: Work, best: Judgement) -> Judgement:
        """Ask for the one step that the best plan still lacks, if that is all it lacks."""
        missing = missing_tools(best, work.request)
        if not missing or work.attempts <= 1 or best.answer in work.completed:
            return best
        try:
            return await self._complete(work, best, missing)
        except ModelError:
            return best

    async def _complete(self, work: Work, judged: Judgement, missing: list[Tool]) -> Judgement:
        """Ask for the one step that carries what was lost.

        A small model that forgot the last step repeats itself when it is asked for the whole plan,
        but writes that step when it is asked for nothing else.
        """
        work.completed.add(judged.answer)
        schema = self._schema(work, missing, max_steps=1)
        follow_up = prompting.missing_messages(judged.answer, judged.errors)
        reply = await self._model.complete_steps([*work.messages, *follow_up], schema)
        answer = with_step(judged.answer, reply.text)
        completed = work.judge(replace(reply, text=answer) if answer else reply)
        return completed if completed.rank < judged.rank else judged

    async def _reshape(self, work: Work, judged: Judgement, schema: JsonSchema) -> Judgement:
        """Ask for the same plan with a further step, at the places that the schema leaves."""
        follow_up = prompting.repair_messages(judged.answer, judged.to_mend)
        reply = await self._model.complete_steps(
            [*work.messages, *follow_up], schema, max_tokens=self._longest_answer
        )
        found = work.judge(reply)
        return supposed(found, judged) if found.rank < judged.rank else judged

    def _reshaped(self, work: Work, judged: Judgement) -> JsonSchema | None:
        """Return the schema of a plan with the one step that brings back what was lost."""
        if not self._own or work.opinion.tools:
            return None
        by_name = {tool.name: tool for tool in work.tools}
        steps = [by_name[name] for name in judged.tools if name in by_name]
        if columns := columns_schema(judged, work.request.goal, steps, _LONGEST_TEXT):
            return columns
        if readers := source_readers(judged, work.request, work.tools):
            last = missing_tools(judged, work.request)
            return framed_schema(readers, steps, last, longest_text=_LONGEST_TEXT)
        between = (
            field_finders(judged, work.request, work.tools)
            or translators(judged, work.tools)
            or shorteners(judged, work.tools)
        )
        if between and steps:
            return inserted_schema(between, steps, longest_text=_LONGEST_TEXT)
        return None

    def _readers(self, work: Work, judged: Judgement) -> list[Tool]:
        """Return the tools that may find out what a plan only claims, none if it claims nothing."""
        claims = any(item.code == "text_claimed" for item in judged.to_mend)
        if judged.errors or not claims or work.opinion.tools or not inquires(work.request.goal):
            return []
        readers = [tool for tool in self._eligible(work) if tool.effects in HARMLESS]
        found_out = {tool.name for tool in readers} & set(judged.tools)
        return readers if self._settings.model_api_base and not found_out else []

    async def _find_out(self, work: Work, judged: Judgement, readers: list[Tool]) -> Judgement:
        """Ask for the same plan with a step before it that finds out what its message tells."""
        by_name = {tool.name: tool for tool in work.tools}
        steps = [by_name[name] for name in judged.tools if name in by_name]
        schema = preceded_schema(readers, steps, longest_text=_LONGEST_TEXT)
        follow_up = prompting.repair_messages(judged.answer, judged.to_mend)
        reply = await self._model.complete_steps(
            [*work.messages, *follow_up], schema, max_tokens=self._longest_answer
        )
        found = work.judge(reply)
        if found.rank >= judged.rank and found.document is not None:
            told = prompting.dump({"tasks": list(tell_result(read_answer(reply.text)))})
            found = judge(told, work.request, work.opinion)
        if found.rank >= judged.rank:
            return judged
        doubt = Problem(
            code="step_supposed",
            pointer="/steps/0",
            message=f"{', '.join(found.tools[:1])} is supposed to find out what is to be told",
            severity=Severity.WARNING,
        )
        return replace(found, problems=(*found.problems, doubt))

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
        best = patched(question_unsupported(question_invented(best), work.request), work.request)
        if best.flow is None or best.errors:
            raise PlanningError(
                f"the model's plan still has {len(best.errors)} problems "
                f"after {work.attempts} attempts",
                problems=best.problems,
                attempts=work.attempts,
                usage=work.usage.as_json(),
                hint="Word the goal in smaller steps, or use a more capable model.",
            )
        return self._ready(work, best)

    def _doubts(self, work: Work, best: Judgement) -> list[Problem]:
        goal = work.request.goal
        if not self._own or work.opinion.steps or best.document is None:
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
