"""A plan: what a planner proposes for a goal. Untrusted until it compiles to a flow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from flowbuilder.costs import Estimate
from flowbuilder.errors import Problem, Severity
from flowbuilder.flow import Flow
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

#: Characters of a goal: more than a person writes, less than a model or a rule should chew on.
LONGEST_GOAL = 20_000


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
    options: tuple[str, ...] = ()

    def as_json(self) -> JsonObject:
        """Return the question as JSON."""
        options: list[JsonValue] = list(self.options)
        return {"id": self.id, "text": self.text, "pointer": self.pointer, "options": options}


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
            "flow": self.flow.document() if self.flow else None,
            "input": self.input,
            "notes": notes,
            "problems": problems,
            "questions": questions,
            "estimate": None if self.estimate is None else self.estimate.as_json(),
            "usage": self.usage.as_json(),
            "children": [child.as_json() for child in self.children],
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
