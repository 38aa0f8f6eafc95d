"""Whole plans asked for again: how small models on a server of one's own mend what they wrote.

Calls of such a model are free, and it follows a schema that leaves room for one thing better than
it follows words. So each round is another way of asking: all problems, a fresh start without the
tools that misled it, the one step that is missing, the same plan with a step before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flowbuilder.errors import ModelError, Problem, Severity
from flowbuilder.models import LanguageModel, Message
from flowbuilder.planner import prompting
from flowbuilder.planner.columns import columns_schema, supposed
from flowbuilder.planner.eligibility import eligible
from flowbuilder.planner.judging import Judgement, judge, missing_tools
from flowbuilder.planner.literals import literals
from flowbuilder.planner.losses import field_finders, shorteners, source_readers, translators
from flowbuilder.planner.relevance import likely_steps
from flowbuilder.planner.schema import (
    answer_schema,
    framed_schema,
    inserted_schema,
    preceded_schema,
    sequence_schema,
)
from flowbuilder.planner.surplus import inquires, tell_result
from flowbuilder.planner.wire import read_answer, with_step
from flowbuilder.planner.work import Work, without_doubtful
from flowbuilder.settings import Settings
from flowbuilder.tools import HARMLESS, Tool
from flowbuilder.types import JsonSchema

#: Tokens of an answer of such a server: no plan is longer, but a value without a shape may be.
_LONGEST_ANSWER = 1500
#: Characters of one text in an answer of a server of one's own, where small models run on.
_LONGEST_TEXT = 600
#: The same after an answer that did not end.
_SHORT_TEXT = 160
#: Steps in an answer of such a server, which would be cut behind them anyway.
_MOST_STEPS = 16


class Rewriting:
    """Asks a model for whole plans."""

    def __init__(self, model: LanguageModel, settings: Settings) -> None:
        self._model, self._settings = model, settings

    @property
    def is_own(self) -> bool:
        """Whether the model is on a server of one's own, where models are small and calls free."""
        return self._settings.model_api_base is not None

    @property
    def longest_answer(self) -> int | None:
        limit = min(_LONGEST_ANSWER, self._settings.model_max_tokens)
        return limit if self._settings.model_api_base else None

    def first_schema(self, work: Work) -> JsonSchema:
        """Return the schema of the first answer.

        A small model of one's own is held to the sequence at once; a large one is asked first.
        """
        if work.opinion.steps and self.is_own:
            return self._sequence(work)
        return self._schema(work, self._eligible(work))

    def _eligible(self, work: Work, tools: Sequence[Tool] = ()) -> Sequence[Tool]:
        """Return the tools that an answer may name, of all or of the given ones."""
        shown = tools or work.tools
        return eligible(work.request, shown) if self.is_own else shown

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
        if self.is_own:
            bound = min(bound, _MOST_STEPS, likely_steps(work.request.goal, work.tools))
        longest = _SHORT_TEXT if short else _LONGEST_TEXT
        return answer_schema(
            tools,
            max_steps=max_steps or bound,
            longest_text=longest if self.is_own else None,
            min_steps=min_steps,
            may_refuse=max_steps is None,
        )

    async def mend(
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
                await self._model.complete_steps(messages, schema, max_tokens=self.longest_answer)
            )
        except ModelError:
            if best.rank[0] or best.errors:
                raise
            return None

    async def again(self, work: Work, judged: Judgement, *, fresh: bool) -> Judgement:
        """Ask for the whole plan once more, with all problems, and judge it strictly."""
        messages, schema = self._again(work, judged, fresh=fresh)
        reply = await self._model.complete_steps(messages, schema, max_tokens=self.longest_answer)
        return work.judge(reply, strict=True)

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
            shown = tools if not self.is_own else work.tools  # the schema leaves the others out
            messages = prompting.fresh_messages(
                work.request, shown, judged.to_mend, shown=self.is_own
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

    async def unrefused(self, work: Work, best: Judgement) -> Judgement:
        """Ask for a plan in the place of a refusal; take it if it carries all that the goal names.

        A small model says that no tool fits where one does. A goal that names nothing to be
        carried could be met by anything, so that its refusal stands.
        """
        named = literals(work.request.goal)
        if not (best.unfit and self.is_own and named):
            return best
        messages = prompting.plan_messages(work.request, work.tools, shown=True)
        schema = self._schema(work, self._eligible(work), max_steps=len(named))
        try:
            reply = await self._model.complete_steps(
                messages, schema, max_tokens=self.longest_answer
            )
            found = work.judge(reply)
            if found.document and (readers := self._readers(work, found)):
                found = await self._find_out(work, found, readers)
        except ModelError:
            return best
        doubts = [item for item in found.problems if item.code != "step_supposed"]
        return found if found.document and not (doubts or found.questions) else best

    async def completed(self, work: Work, best: Judgement) -> Judgement:
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
            [*work.messages, *follow_up], schema, max_tokens=self.longest_answer
        )
        found = work.judge(reply)
        return supposed(found, judged) if found.rank < judged.rank else judged

    def _reshaped(self, work: Work, judged: Judgement) -> JsonSchema | None:
        """Return the schema of a plan with the one step that brings back what was lost."""
        if not self.is_own or work.opinion.tools:
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
            [*work.messages, *follow_up], schema, max_tokens=self.longest_answer
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
