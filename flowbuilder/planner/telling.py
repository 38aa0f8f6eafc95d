"""The events and sentences that tell how a model's plan comes about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flowbuilder.errors import FlowBuilderError, ModelOutputError, PlanningError, Problem
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanEvent, PlanEventType
from flowbuilder.planner.document import steps_of
from flowbuilder.planner.judging import Judgement
from flowbuilder.planner.places import differences
from flowbuilder.planner.work import Work
from flowbuilder.types import JsonObject, JsonValue


def step_added(step: JsonObject, position: int, problems: Sequence[Problem]) -> PlanEvent:
    """Return the event of a step that the model has written."""
    data: JsonObject = {"step": step, "position": position, "problems": _as_json(problems)}
    return PlanEvent(type=PlanEventType.STEP_ADDED, data=data)


def divided_again(number: int, problems: tuple[Problem, ...]) -> PlanEvent:
    """Return the event of a round in which the parts of a goal are asked for anew."""
    data: JsonObject = {"round": number, "problems": _as_json(problems), "notes": []}
    return PlanEvent(type=PlanEventType.REPAIRED, data=data)


def repaired(
    number: int,
    problems: tuple[Problem, ...],
    notes: tuple[str, ...],
    before: Iterable[JsonObject],
    after: Judgement,
) -> PlanEvent:
    """Return the event of a round: what was wrong, what was done, and to which steps.

    Round 0 is what needed no model. `before` are the steps that it began with.
    """
    listed: list[JsonValue] = list(notes)
    changes = differences(before, steps_of(after.document or {}))
    data: JsonObject = {"round": number, "problems": _as_json(problems), "notes": listed, **changes}
    return PlanEvent(type=PlanEventType.REPAIRED, data=data)


def completed(plan: Plan) -> PlanEvent:
    """Return the event of the plan that came about."""
    return PlanEvent(type=PlanEventType.COMPLETED, data={"plan": plan.as_json()}, plan=plan)


def failed(error: FlowBuilderError) -> PlanEvent:
    """Return the event of a plan that did not come about."""
    problems = getattr(error, "problems", ())
    data: JsonObject = {
        "code": error.code,
        "message": error.message,
        "problems": _as_json(problems),
    }
    return PlanEvent(type=PlanEventType.FAILED, data=data)


def _as_json(problems: Sequence[Problem]) -> list[JsonValue]:
    return [problem.as_json() for problem in problems]


def sentence(problem: Problem) -> str:
    """Return a problem as a sentence."""
    text = problem.message[:1].upper() + problem.message[1:]
    return text if text.endswith(".") else f"{text}."


def no_answer(judged: Judgement, model: str) -> ModelOutputError:
    """Return the error of a plan whose answers could not be read."""
    if judged.is_truncated:
        return ModelOutputError(
            "the model did not end its answer within the length limit",
            code="model_output_truncated",
            hint="FLOWBUILDER_MODEL_MAX_TOKENS sets the limit.",
        )
    return ModelOutputError(f"{model}: {judged.problems[0].message}", code="model_output_invalid")


def not_possible(judged: Judgement, work: Work) -> PlanningError:
    """Return the error of a plan that nobody could mend: the first thing that is wrong with it."""
    wrong = judged.errors or judged.problems
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    reason = f"{wrong[0].code}: {wrong[0].message}" if wrong else "the plan is no flow"
    return PlanningError(
        f"not possible because {reason}{more}",
        code="plan_not_possible",
        problems=judged.problems,
        attempts=work.attempts,
        usage=work.usage.as_json(),
        hint="Word the goal in smaller steps, bring the tools that it needs, "
        "or use a more capable model.",
    )
