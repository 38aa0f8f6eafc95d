"""The events and sentences that tell how a model's plan comes about."""

from __future__ import annotations

from flowbuilder.errors import FlowBuilderError, InvalidValue, ModelOutputError, Problem
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanEvent, PlanEventType, PlanRequest
from flowbuilder.planner.judging import Judgement, step_problems
from flowbuilder.strictjson import check
from flowbuilder.types import JsonObject, JsonValue


def showable(step: JsonObject) -> bool:
    """Whether a step is JSON that can be stored; what is not is judged with the whole answer."""
    try:
        check(step)
    except InvalidValue:
        return False
    return True


def step_added(raw: list[JsonObject], position: int, request: PlanRequest) -> PlanEvent:
    """Return the event of a step that the model has written."""
    step, problems = step_problems(raw, position, request)
    data: JsonObject = {"step": step, "position": position, "problems": _as_json(problems)}
    return PlanEvent(type=PlanEventType.STEP_ADDED, data=data)


def repaired(number: int, problems: tuple[Problem, ...], notes: tuple[str, ...]) -> PlanEvent:
    """Return the event of a round in which the model was told problems."""
    listed: list[JsonValue] = list(notes)
    data: JsonObject = {"round": number, "problems": _as_json(problems), "notes": listed}
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


def _as_json(problems: tuple[Problem, ...] | list[Problem]) -> list[JsonValue]:
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
