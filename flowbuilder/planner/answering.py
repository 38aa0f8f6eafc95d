"""Answers re-enter the plan that asked: each is held against its question and put in its place.

Nothing else is planned anew. What a person says is a value and never code: text that looks like a
reference means itself.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from flowbuilder.errors import DefinitionError, InvalidValue, PlanningError, Problem, Severity
from flowbuilder.flow import Flow
from flowbuilder.likeness import like
from flowbuilder.plan import Plan, PlanStatus, Question
from flowbuilder.planner.document import with_texts
from flowbuilder.planner.pending import answers_later
from flowbuilder.planner.question_types import unanswered
from flowbuilder.policy import DEFAULT_POLICY, Policies
from flowbuilder.policy.plans import asking_flow
from flowbuilder.references import ESCAPED, OPEN
from flowbuilder.schemas import value_problems
from flowbuilder.strictjson import Limits, check, escape
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonValue
from flowbuilder.validation import validate
from flowbuilder.validation.catalogue import DEFECTS, without_advice

_LONGEST_TOLD = 80


def answered(
    plan: Plan,
    answers: Mapping[str, Any],
    registry: ToolRegistry,
    *,
    id: str,
    limits: Limits,
    flows: Collection[str] | None = None,
    policies: Policies = (DEFAULT_POLICY,),
) -> Plan:
    """Return a new plan in which questions are answered.

    Args:
        plan: The plan that asks.
        answers: Values by the questions' ids; questions that are left out stay open.
        registry: The tools of its steps.
        id: Of the new plan.
        limits: Bounds of one answer.
        flows: Slugs that `flow.run` may name; None leaves that open.
        policies: What holds in the workspace.

    Raises:
        DefinitionError: An answer does not fit (answer_invalid), or there is no such question
            (question_unknown); a problem for each, with a pointer into `/answers`.
        PlanningError: There is nothing to answer (no_questions, answers_missing).
    """
    questions = _asked(plan, answers)
    assert plan.flow is not None  # who asks has steps to ask for
    values = _checked(questions, answers, limits)
    document = _with_values(plan.flow, questions, values)
    left = unanswered(plan.questions, set(values))
    found = validate(document, registry, flows=flows)
    _require_no_new_errors(plan, found.problems, questions)
    problems = _problems(plan, found.problems, questions, left)
    flow, asked_for = asking_flow(plan, Flow.model_validate(document), registry, policies)
    return replace(
        plan,
        id=id,
        parent=plan.id,
        revision=plan.revision + 1,
        base=plan.base if plan.changes is not None else plan.flow.document(),
        flow=flow,
        certain=plan.certain or (plan.certain_once_answered and not left),
        problems=problems,
        questions=left,
        answers={**plan.answers, **values},
        notes=(*plan.notes, *(_told(item, values[item.id]) for item in questions), *asked_for),
        status=PlanStatus.NEEDS_ANSWERS if left else PlanStatus.READY,
    )


def _with_values(
    flow: Flow, questions: Sequence[Question], values: Mapping[str, JsonValue]
) -> JsonObject:
    """Return a flow's document with answers where their questions point."""
    document = copy.deepcopy(flow.document())
    for question in questions:
        _put(document, question.pointer, values[question.id])
    return document


def read_text(text: str, question: Question) -> JsonValue:
    """Return what a line of text means as an answer: an option, JSON of the type, or that text.

    Where both a text and something else would do, only an object or a list is meant as JSON: “007”
    may be a name. It may still not fit the question's type; `answered` says so.
    """
    bare = text.strip()
    for option in question.options:
        told = option if isinstance(option, str) else orjson.dumps(option).decode()
        if bare.casefold() == told.casefold():
            return option
    try:
        value: JsonValue = orjson.loads(bare)
    except ValueError:
        spoken = {"yes": True, "no": False}.get(bare.casefold(), text)
        value = text if _fits(text, question) else spoken
        return value if _fits(value, question) else text
    if isinstance(value, dict | list) and _fits(value, question):
        return value
    return text if _fits(text, question) else value


def _fits(value: JsonValue, question: Question) -> bool:
    return not value_problems(question.type, value, code="", pointer="")


def _asked(plan: Plan, answers: Mapping[str, Any]) -> list[Question]:
    """Return the questions that are answered, in their order."""
    given: object = answers  # whatever a caller without a type checker hands in
    if not isinstance(given, Mapping):
        raise InvalidValue(
            "answers are an object: a value for each question's id",
            pointer="/answers",
            code="answers_invalid",
        )
    if not plan.questions or plan.flow is None:
        raise PlanningError("this plan asks nothing", code="no_questions")
    if not answers:
        raise PlanningError(
            "there is no answer",
            code="answers_missing",
            hint=f"It asks for {', '.join(item.id for item in plan.questions)}.",
        )
    known = [question.id for question in plan.questions]
    unknown = [str(name) for name in answers if name not in known]
    if unknown:
        raise DefinitionError(
            f"the plan does not ask {unknown[0]!r:.100}",
            problems=[_unknown(name, known) for name in unknown],
            code="question_unknown",
        )
    return [question for question in plan.questions if question.id in answers]


def _unknown(name: str, known: list[str]) -> Problem:
    meant = like(name, known)
    return Problem(
        code="question_unknown",
        pointer=f"/answers/{escape(name)}",
        message=f"there is no question {name!r:.100}",
        hint=f"Did you mean {meant}?" if meant else f"It asks for {', '.join(known)}.",
    )


def _checked(
    questions: list[Question], answers: Mapping[str, Any], limits: Limits
) -> dict[str, JsonValue]:
    """Return the values, each of its question's type. Raises: DefinitionError."""
    values: dict[str, JsonValue] = {}
    problems: list[Problem] = []
    for question in questions:
        pointer = f"/answers/{escape(question.id)}"
        try:
            value = check(answers[question.id], limits=limits, pointer=pointer)
        except InvalidValue as error:
            problems.append(error.as_problem())
            continue
        values[question.id] = value
        problems += [
            replace(item, hint=_hint(question))
            for item in value_problems(question.type, value, code="answer_invalid", pointer=pointer)
        ]
    if problems:
        raise _refused(problems)
    return values


def _refused(problems: list[Problem]) -> DefinitionError:
    many = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
    return DefinitionError(
        f"the answer does not fit: {problems[0].message}{many}",
        problems=problems,
        code="answer_invalid",
    )


def _hint(question: Question) -> str:
    if question.options:
        return f"One of {', '.join(orjson.dumps(item).decode() for item in question.options)}."
    kind = question.type.get("type")
    return f"It asks for: {kind}." if isinstance(kind, str) else question.text


def _put(document: JsonObject, pointer: str, value: JsonValue) -> None:
    """Put a value where a question points, as a literal."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    at: Any = document
    for part in parts[:-1]:
        at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
    if parts[-1] == "when":  # the one place where code is asked for
        at[parts[-1]] = value
    else:
        at[parts[-1]] = with_texts(value, lambda text: text.replace(OPEN, ESCAPED))


def _require_no_new_errors(
    plan: Plan, found: tuple[Problem, ...], questions: list[Question]
) -> None:
    """Refuse answers that make an error at their place. Raises: DefinitionError."""
    before = {(item.code, item.pointer) for item in plan.problems}
    wrong = [
        replace(item, code="answer_invalid", pointer=f"/answers/{escape(question.id)}")
        for item in found
        for question in questions
        if item.severity is Severity.ERROR and (item.code, item.pointer) not in before
        if item.pointer == question.pointer or item.pointer.startswith(f"{question.pointer}/")
    ]
    if wrong:
        raise _refused(wrong)


def _problems(
    plan: Plan,
    found: tuple[Problem, ...],
    questions: list[Question],
    left: tuple[Question, ...],
) -> tuple[Problem, ...]:
    """Return what is wrong now: validation's findings anew, what the planner doubted as it was."""
    open_places = {question.pointer for question in left}
    settled = {question.pointer for question in questions}
    doubts = [
        item
        for item in plan.problems
        if item.code not in _VALIDATION and item.pointer not in settled
    ]
    fresh = [item for item in without_advice(found) if not answers_later(item, open_places)]
    return tuple(_distinct([*doubts, *fresh]))


_VALIDATION = frozenset(DEFECTS)


def _distinct(problems: list[Problem]) -> Iterator[Problem]:
    seen: set[tuple[str, str, str]] = set()
    for item in problems:
        key = (item.code, item.pointer, item.message)
        if key not in seen:
            seen.add(key)
            yield item


def _told(question: Question, value: JsonValue) -> str:
    text = orjson.dumps(value).decode()
    shown = text if len(text) <= _LONGEST_TOLD else f"{text[: _LONGEST_TOLD - 1]}…"
    return f"{question.id} is {shown}, as you said."
