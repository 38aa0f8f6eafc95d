"""The state of one goal that is being planned with a model."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowbuilder.models import Message, Reply
from flowbuilder.plan import Usage
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.judging import Judgement, judge, truncated
from flowbuilder.planner.relevance import Relevance
from flowbuilder.planner.second_opinion import Opinion
from flowbuilder.tools import Tool
from flowbuilder.types import JsonSchema


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

    def judge(self, reply: Reply, *, strict: bool = False) -> Judgement:
        """Count an answer and judge it."""
        self.attempts += 1
        self.usage += reply.usage
        if reply.truncated:
            return truncated(reply.text)
        return judge(reply.text, self.request, self.opinion, strict=strict)


def without_doubtful(work: Work, judged: Judgement) -> list[Tool]:
    """Return the tools without those that a small model took in the place of better ones."""
    used = judged.tools if judged.errors else ()
    doubtful = set(Relevance(work.request.goal, work.tools).doubtful(used)) | judged.made_up
    return [tool for tool in work.tools if tool.name not in doubtful] or work.tools
