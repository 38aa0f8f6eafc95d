"""The state of one goal that is being planned with a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from flowbuilder.errors import Fix, InvalidValue, Problem
from flowbuilder.models import Message, Reply
from flowbuilder.plan import Usage
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.judging import Judgement, judge, judge_beginning, truncated
from flowbuilder.planner.relevance import Relevance
from flowbuilder.planner.second_opinion import Opinion
from flowbuilder.strictjson import DOCUMENT_LIMITS, check
from flowbuilder.tools import Tool
from flowbuilder.types import JsonObject, JsonSchema, JsonValue


@dataclass(kw_only=True)
class Work:
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
    best: Judgement | None = None
    """What the rounds have made of the first answer."""

    def count(self, reply: Reply) -> None:
        """Count an answer."""
        self.attempts += 1
        self.usage += reply.usage

    def judge(self, reply: Reply, *, strict: bool = False) -> Judgement:
        """Count an answer and judge it."""
        self.count(reply)
        if reply.truncated:
            return truncated(reply.text)
        return judge(reply.text, self.request, self.opinion, strict=strict)

    def judge_cut(self, steps: Sequence[JsonObject]) -> Judgement | None:
        """Judge the steps of an answer that broke off, None if they are no JSON for a flow."""
        listed: list[JsonValue] = list(steps)
        try:
            check({"tasks": listed}, limits=DOCUMENT_LIMITS)
        except InvalidValue:
            return None
        judged = judge_beginning(steps, self.request, self.opinion)
        problem = Problem(
            code="answer_cut",
            pointer="",
            message="what follows on these steps could not be read",
            hint="Add the steps that are missing; if none is, change nothing.",
            fix=Fix.MODEL,
        )
        return replace(judged, problems=(*judged.problems, problem))


def without_doubtful(work: Work, judged: Judgement) -> list[Tool]:
    """Return the tools without those that a small model took in the place of better ones."""
    used = judged.tools if judged.errors else ()
    doubtful = set(Relevance(work.request.goal, work.tools).doubtful(used)) | judged.made_up
    return [tool for tool in work.tools if tool.name not in doubtful] or work.tools
