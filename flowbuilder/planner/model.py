"""Plan with a language model: stream the steps, judge the whole, let the model mend it.

The model proposes, everything else decides: names of tools are closed by the schema, the document
is validated like any other, approvals are inserted by policy after the model has spoken.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from flowbuilder.errors import (
    FlowBuilderError,
    InvalidValue,
    ModelError,
    ModelOutputError,
    NoFittingTool,
    PlanningError,
    Problem,
    Severity,
)
from flowbuilder.models import LanguageModel, Message, ModelClient, Reply
from flowbuilder.plan import Plan, PlanStatus, Usage
from flowbuilder.planner import prompting
from flowbuilder.planner.base import PlanEvent, PlanEventType, PlanRequest
from flowbuilder.planner.grounding import HARMLESS
from flowbuilder.planner.judging import (
    Judgement,
    judge,
    missing_tools,
    question_invented,
    step_problems,
)
from flowbuilder.planner.relevance import Relevance
from flowbuilder.planner.schema import answer_schema, preceded_schema, sequence_schema
from flowbuilder.planner.second_opinion import Opinion, second_opinion
from flowbuilder.planner.surplus import inquires, tell_result
from flowbuilder.planner.wire import read_answer, with_step
from flowbuilder.policy import apply_policy
from flowbuilder.settings import Settings
from flowbuilder.strictjson import check
from flowbuilder.tools import Tool
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

#: Tokens of an answer of such a server: no plan is longer, but a value without a shape may be.
_LONGEST_ANSWER = 1500
#: Characters of one text in an answer of a server of one's own, where small models run on.
_LONGEST_TEXT = 600


@dataclass(kw_only=True)
class _Work:
    """One goal being planned."""

    request: PlanRequest
    messages: list[Message]
    schema: JsonSchema
    tools: list[Tool]
    opinion: Opinion = field(default_factory=Opinion)
    """The steps that the goal surely asks for; empty where that is not known."""
    attempts: int = 0
    usage: Usage = field(default_factory=Usage)
    completed: set[str] = field(default_factory=set)
    """Answers for which a missing last step was asked for already."""

    def judge(self, reply: Reply, *, strict: bool = False) -> Judgement:
        self.attempts += 1
        self.usage += reply.usage
        if reply.truncated:
            raise ModelOutputError(
                "the model did not end its answer within the length limit",
                code="model_output_truncated",
                hint="FLOWBUILDER_MODEL_MAX_TOKENS sets the limit.",
            )
        return judge(reply.text, self.request, self.opinion, strict=strict)


class ModelPlanner:
    """A `Planner` over a language model."""

    name = "model"

    def __init__(self, settings: Settings, model: LanguageModel | None = None) -> None:
        self._settings = settings
        self._model: LanguageModel = model or ModelClient(settings)

    async def stream(self, request: PlanRequest) -> AsyncIterator[PlanEvent]:
        """Plan, telling each step as the model writes it."""
        started: JsonObject = {
            "goal": request.goal,
            "planner": self.name,
            "model": self._model.name,
        }
        yield PlanEvent(type=PlanEventType.STARTED, data=started)
        try:
            async for event in self._plan(request):
                yield event
        except FlowBuilderError as error:
            yield _failed(error)
            raise

    async def _plan(self, request: PlanRequest) -> AsyncIterator[PlanEvent]:
        work = await self._begin(request)
        steps = self._model.stream_steps(
            work.messages, work.schema, max_tokens=self._longest_answer
        )
        raw: list[JsonObject] = []
        shown = 0
        async for position, step in steps:
            raw[position:] = [step]
            if position >= shown and _showable(step):
                shown = position + 1
                yield _step_added(raw, position, request)
        judgement = work.judge(steps.reply, strict=True)
        best = judgement
        if judgement.errors:  # the model is told all of them; mended as far as it goes is the plan
            best = judge(steps.reply.text, request, work.opinion)
        for number in range(1, self._settings.plan_repairs + 1):
            if not judgement.is_to_ask:
                break
            mended = await self._mend(work, judgement, best, fresh=number > 1)
            if mended is None:
                break
            yield _repaired(number, judgement.to_mend, mended.notes)
            best = min(best, mended, key=lambda item: item.rank)
            if mended.same_as(judgement) and (number > 1 or not best.errors):
                break
            judgement = mended
        best = await self._completed(work, best)
        plan = self._finish(work, best)
        yield PlanEvent(type=PlanEventType.COMPLETED, data={"plan": plan.as_json()}, plan=plan)

    @property
    def _longest_answer(self) -> int | None:
        limit = min(_LONGEST_ANSWER, self._settings.model_max_tokens)
        return limit if self._settings.model_api_base else None

    async def _begin(self, request: PlanRequest) -> _Work:
        tools: list[Tool] = prompting.select_tools(request)
        if not tools:
            raise NoFittingTool("there are no tools to plan with", code="no_fitting_tool")
        messages = prompting.plan_messages(request, tools)
        opinion = await second_opinion(request, tools, self._settings)
        work = _Work(request=request, messages=messages, schema={}, tools=tools, opinion=opinion)
        # A small model of one's own is held to the sequence at once; a large one is asked first.
        own = opinion.steps and self._settings.model_api_base
        work.schema = self._sequence(work) if own else self._schema(tools)
        return work

    def _schema(
        self, tools: Sequence[Tool], *, min_steps: int = 1, max_steps: int | None = None
    ) -> JsonSchema:
        return answer_schema(
            tools,
            max_steps=max_steps or self._settings.max_steps,
            longest_text=_LONGEST_TEXT if self._settings.model_api_base else None,
            min_steps=min_steps,
            may_refuse=max_steps is None,
        )

    async def _mend(
        self, work: _Work, judged: Judgement, best: Judgement, *, fresh: bool
    ) -> Judgement | None:
        """Ask again with all problems; None when that failed but a usable plan is in hand."""
        try:
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
        self, work: _Work, judged: Judgement, *, fresh: bool
    ) -> tuple[list[Message], JsonSchema]:
        """Return the request for the whole plan once more, bounded by what is surely known."""
        schema, tools = work.schema, work.tools
        fresh = fresh or bool(judged.made_up)
        if work.opinion.tools:
            schema = self._sequence(work)
        elif fresh:
            tools = _without_doubtful(work, judged)
            least = judged.size + 1 if judged.forgotten_step else 1
            schema = self._schema(tools, min_steps=least)
        if fresh:
            return prompting.fresh_messages(work.request, tools, judged.to_mend), schema
        follow_up = prompting.repair_messages(judged.answer, judged.to_mend)
        return [*work.messages, *follow_up], schema

    def _sequence(self, work: _Work) -> JsonSchema:
        """Return the schema for the wanted tools; hosted providers know no schema of an order."""
        by_name = {tool.name: tool for tool in work.tools}
        if self._settings.model_api_base:
            tools = [by_name[name] for name in work.opinion.tools]
            return sequence_schema(tools, longest_text=_LONGEST_TEXT)
        size = len(work.opinion.tools)
        tools = [tool for name, tool in by_name.items() if name in work.opinion.tools]
        return self._schema(tools, min_steps=size, max_steps=size)

    async def _completed(self, work: _Work, best: Judgement) -> Judgement:
        """Ask for the one step that the best plan still lacks, if that is all it lacks."""
        missing = missing_tools(best, work.request)
        if not missing or work.attempts <= 1 or best.answer in work.completed:
            return best
        try:
            return await self._complete(work, best, missing)
        except ModelError:
            return best

    async def _complete(self, work: _Work, judged: Judgement, missing: list[Tool]) -> Judgement:
        """Ask for the one step that carries what was lost.

        A small model that forgot the last step repeats itself when it is asked for the whole plan,
        but writes that step when it is asked for nothing else.
        """
        work.completed.add(judged.answer)
        schema = self._schema(missing, max_steps=1)
        follow_up = prompting.missing_messages(judged.answer, judged.errors)
        reply = await self._model.complete_steps([*work.messages, *follow_up], schema)
        answer = with_step(judged.answer, reply.text)
        completed = work.judge(replace(reply, text=answer) if answer else reply)
        return completed if completed.rank < judged.rank else judged

    def _readers(self, work: _Work, judged: Judgement) -> list[Tool]:
        """Return the tools that may find out what a plan only claims, none if it claims nothing."""
        claims = any(item.code == "text_claimed" for item in judged.to_mend)
        if judged.errors or not claims or work.opinion.tools or not inquires(work.request.goal):
            return []
        readers = [tool for tool in work.tools if tool.effects in HARMLESS]
        found_out = {tool.name for tool in readers} & set(judged.tools)
        return readers if self._settings.model_api_base and not found_out else []

    async def _find_out(self, work: _Work, judged: Judgement, readers: list[Tool]) -> Judgement:
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

    def _finish(self, work: _Work, best: Judgement) -> Plan:
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
            raise ModelOutputError(
                f"{self._model.name}: {best.problems[0].message}", code="model_output_invalid"
            )
        best = question_invented(best)
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

    def _ready(self, work: _Work, best: Judgement) -> Plan:
        assert best.flow is not None
        plan = Plan(
            id=work.request.id,
            goal=work.request.goal,
            planner=self.name,
            model=self._model.name,
            flow=best.flow,
            input=work.request.input,
            certain=not best.problems,
            notes=best.notes + tuple(_sentence(problem) for problem in best.problems),
            problems=best.problems,
            questions=best.questions,
            usage=work.usage,
            status=PlanStatus.NEEDS_ANSWERS if best.questions else PlanStatus.READY,
        )
        flow, notes = apply_policy(best.flow, work.request.registry)
        return replace(plan, flow=flow, notes=plan.notes + tuple(notes))


def _without_doubtful(work: _Work, judged: Judgement) -> list[Tool]:
    """Return the tools without those that a small model took in the place of better ones."""
    used = judged.tools if judged.errors else ()
    doubtful = set(Relevance(work.request.goal, work.tools).doubtful(used)) | judged.made_up
    return [tool for tool in work.tools if tool.name not in doubtful] or work.tools


def _showable(step: JsonObject) -> bool:
    """Whether a step is JSON that can be stored; what is not is judged with the whole answer."""
    try:
        check(step)
    except InvalidValue:
        return False
    return True


def _step_added(raw: list[JsonObject], position: int, request: PlanRequest) -> PlanEvent:
    step, problems = step_problems(raw, position, request)
    data: JsonObject = {"step": step, "position": position, "problems": _as_json(problems)}
    return PlanEvent(type=PlanEventType.STEP_ADDED, data=data)


def _repaired(number: int, problems: tuple[Problem, ...], notes: tuple[str, ...]) -> PlanEvent:
    listed: list[JsonValue] = list(notes)
    data: JsonObject = {"round": number, "problems": _as_json(problems), "notes": listed}
    return PlanEvent(type=PlanEventType.REPAIRED, data=data)


def _failed(error: FlowBuilderError) -> PlanEvent:
    problems = getattr(error, "problems", ())
    data: JsonObject = {
        "code": error.code,
        "message": error.message,
        "problems": _as_json(problems),
    }
    return PlanEvent(type=PlanEventType.FAILED, data=data)


def _as_json(problems: tuple[Problem, ...] | list[Problem]) -> list[JsonValue]:
    return [problem.as_json() for problem in problems]


def _sentence(problem: Problem) -> str:
    text = problem.message[:1].upper() + problem.message[1:]
    return text if text.endswith(".") else f"{text}."
