"""A plan: what a planner proposes for a goal. Untrusted until it compiles to a flow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from flowbuilder.costs import Estimate
from flowbuilder.diff import FlowDiff, diff_flows
from flowbuilder.errors import InvalidTransition, Problem, Severity
from flowbuilder.flow import Flow
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

#: Characters of a goal: more than a person writes, less than a model or a rule should chew on.
LONGEST_GOAL = 20_000
#: Characters of the words of one edit.
LONGEST_EDIT = 4000


class PlanStatus(StrEnum):
    """Where a plan stands."""

    READY = "ready"
    """Valid: it can be accepted and executed."""
    NEEDS_ANSWERS = "needs_answers"
    ACCEPTED = "accepted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """Something the planner must be told; never invented."""

    id: str
    text: str
    pointer: str
    """Where in the document the answer goes."""
    type: JsonSchema = field(default_factory=dict)
    """JSON Schema of the answer; empty: anything."""
    options: tuple[JsonValue, ...] = ()
    """The answers that there are; empty: any of the type."""
    reason: str = ""
    """Why it is asked, in a sentence."""
    default: JsonValue = None
    """What the tool takes when it is not told; None: nothing."""

    def as_json(self) -> JsonObject:
        """Return the question as JSON."""
        return {
            "id": self.id,
            "text": self.text,
            "pointer": self.pointer,
            "type": self.type,
            "options": [*self.options],
            "reason": self.reason,
            "default": self.default,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What the model calls of a plan consumed."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    """None when the price of the model is not known (a local model, for example)."""
    seconds: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        known = [cost for cost in (self.cost_usd, other.cost_usd) if cost is not None]
        return Usage(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost_usd=sum(known) if known else None,
            seconds=self.seconds + other.seconds,
        )

    def as_json(self) -> JsonObject:
        """Return the usage as JSON."""
        return {
            "calls": self.calls,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cost_usd": self.cost_usd,
            "seconds": round(self.seconds, 3),
        }


class PlanDesk(Protocol):
    """Where a plan is taken further; whoever made the plan gives it one."""

    async def answer(self, plan: Plan, answers: Mapping[str, Any]) -> Plan:
        """Return the plan with questions answered."""
        ...

    async def edit(self, plan: Plan, words: str) -> Plan:
        """Return the plan changed as words say."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A proposed flow with everything a person needs to judge it."""

    id: str
    goal: str
    planner: str
    """`rules`, or `model`."""
    model: str | None = None
    flow: Flow | None = None
    """None only while questions or problems keep the document from having the right shape."""
    input: JsonValue = None
    """The run input that goes with the goal, if one was given or found in its words."""
    certain: bool = True
    """False when the planner chose between near equals: show it, do not run it unasked."""
    certain_once_answered: bool = False
    """Nothing but its questions keeps it from being certain."""
    notes: tuple[str, ...] = ()
    """What a person should know, in whole sentences: why uncertain, what was repaired, added."""
    problems: tuple[Problem, ...] = ()
    questions: tuple[Question, ...] = ()
    usage: Usage = field(default_factory=Usage)
    status: PlanStatus = PlanStatus.READY
    estimate: Estimate | None = None
    """What running the plan will take; of a plan that is stored and has a flow."""
    children: tuple[SubPlan, ...] = ()
    """The parts of a large goal: flows of their own that steps of `flow` call."""
    parent: str | None = None
    """Id of the plan that this one was made of, by an answer or an edit."""
    revision: int = 1
    """How many plans there were for this goal, with this one."""
    answers: JsonObject = field(default_factory=dict)
    """What a person has answered so far, by the questions' ids."""
    edits: tuple[str, ...] = ()
    """The words by which it was changed, in order."""
    base: JsonObject | None = None
    """The document before the answer or edit that led to this one; of a stored flow's edit, the
    flow's, whatever was answered since."""
    changes: str | None = None
    """Name of the stored flow that accepting it makes a new version of."""
    desk: PlanDesk | None = field(default=None, compare=False, repr=False)
    """Where `answer` and `edit` are done; no part of what is stored."""

    async def answer(self, answers: Mapping[str, Any]) -> Plan:
        """Answer questions by their ids; return a new plan, in which nothing else has changed.

        Raises:
            DefinitionError: An answer does not fit its question, or there is no such question.
            InvalidTransition: The plan belongs to no open FlowBuilder (plan_detached).
        """
        return await self._desk().answer(self, answers)

    async def edit(self, words: str) -> Plan:
        """Change the plan as words say; return a new one, which keeps what they do not mention.

        Raises:
            PlanningError: Nothing that could be done was understood.
            InvalidTransition: The plan belongs to no open FlowBuilder (plan_detached).
        """
        return await self._desk().edit(self, words)

    def _desk(self) -> PlanDesk:
        if self.desk is None:
            raise InvalidTransition(
                "this plan belongs to no open FlowBuilder",
                code="plan_detached",
                hint="Read it with FlowBuilder.get_plan.",
            )
        return self.desk

    @property
    def diff(self) -> FlowDiff | None:
        """What differs from the document before; None for the first plan of a goal."""
        return None if self.base is None else diff_flows(self.base, self.flow)

    @property
    def valid(self) -> bool:
        """Whether the plan compiled: a flow, no error among the problems, nothing to ask."""
        return (
            self.flow is not None
            and not self.questions
            and all(problem.severity is not Severity.ERROR for problem in self.problems)
            and all(child.plan.valid for child in self.children)
        )

    def tree(self) -> Iterator[Plan]:
        """Yield the plan and those of its parts, each before its own parts."""
        yield self
        for child in self.children:
            yield from child.plan.tree()

    def as_json(self) -> JsonObject:
        """Return the plan as it is stored and answered over HTTP."""
        difference = self.diff
        notes: list[JsonValue] = list(self.notes)
        problems: list[JsonValue] = [problem.as_json() for problem in self.problems]
        questions: list[JsonValue] = [question.as_json() for question in self.questions]
        return {
            "id": self.id,
            "goal": self.goal,
            "status": self.status.value,
            "planner": self.planner,
            "model": self.model,
            "certain": self.certain,
            "certain_once_answered": self.certain_once_answered,
            "flow": self.flow.document() if self.flow else None,
            "input": self.input,
            "notes": notes,
            "problems": problems,
            "questions": questions,
            "estimate": None if self.estimate is None else self.estimate.as_json(),
            "usage": self.usage.as_json(),
            "children": [child.as_json() for child in self.children],
            "parent": self.parent,
            "revision": self.revision,
            "answers": self.answers,
            "edits": [*self.edits],
            "base": self.base,
            "changes": self.changes,
            "diff": None if difference is None else difference.as_json(),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class SubPlan:
    """A part of a goal, planned as a flow of its own that one step of the parent's flow calls."""

    step: str
    """The id of that step."""
    plan: Plan
    input_schema: JsonSchema
    """What the parent declares that it hands over."""
    output_schema: JsonSchema
    """What the parent declares that it gets back."""

    def as_json(self) -> JsonObject:
        """Return the part as JSON; its plan has its own `children`."""
        return {
            "step": self.step,
            "input_schema": self.input_schema,
            "output_schema": self.output_schema,
            "plan": self.plan.as_json(),
        }
