"""Judge a model's answer: everything that is wrong with it, at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from flowbuilder.errors import Fix, ModelOutputError, Problem, Severity
from flowbuilder.flow import Flow
from flowbuilder.plan import Question
from flowbuilder.planner import prompting
from flowbuilder.planner.asking import answers_later, needed
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.coercion import coerce
from flowbuilder.planner.comparisons import lost_comparisons
from flowbuilder.planner.forgetting import forgotten_changes
from flowbuilder.planner.grounding import Ground, stray_steps
from flowbuilder.planner.inputs import input_schema_of
from flowbuilder.planner.inventions import invented_addresses
from flowbuilder.planner.literals import (
    literals,
    lost_literals,
    lost_values,
    named_literals,
    takers,
)
from flowbuilder.planner.misplacing import misplaced_receivers
from flowbuilder.planner.namings import unnamed_columns
from flowbuilder.planner.omission import made_up_numbers
from flowbuilder.planner.relevance import Relevance, unasked_writing, unmet_orders, unused_acts
from flowbuilder.planner.remedies import remedied
from flowbuilder.planner.second_opinion import Opinion, borrow, disagreement, is_meant
from flowbuilder.planner.shapes import validated
from flowbuilder.planner.sources import unread_problems
from flowbuilder.planner.surplus import claimed_results
from flowbuilder.planner.unsupported import unsupported_values
from flowbuilder.planner.wire import Draft, draft, read_answer, to_answer
from flowbuilder.planner.wording import write_out
from flowbuilder.tools import HARMLESS, Effects, Tool
from flowbuilder.types import JsonObject
from flowbuilder.validation.catalogue import without_advice

_NO_OPINION = Opinion()
#: An address or file of the goal is in no step, or a step is referred to that is not there.
_FORGOTTEN = {"literal_lost", "unknown_step_reference"}
_LOST = {"literal_lost", "value_lost"}
_UNNAMED = {"value_lost"}
#: Tools among which a small model chooses well.
_FEW = 3
#: Doubts that a model which is right cannot mend: they are told, but never asked about alone.
TOLD_ONLY = {"result_unused", "field_guessed"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """An answer as a document, and all its problems."""

    answer: str
    """What the model is shown as its own answer when it is asked again."""
    document: JsonObject | None = None
    flow: Flow | None = None
    problems: tuple[Problem, ...] = ()
    questions: tuple[Question, ...] = ()
    unfit: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    doubts: tuple[Problem, ...] = ()
    """Of the problems, those that stem from what was mended or left out before."""

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What keeps the plan from being used."""
        return tuple(item for item in self.problems if item.severity is Severity.ERROR)

    @property
    def is_truncated(self) -> bool:
        """Whether the answer did not end."""
        return any(item.code == "answer_truncated" for item in self.problems)

    @property
    def to_mend(self) -> tuple[Problem, ...]:
        """What the model is asked to mend: every error, and lost literals."""
        return tuple(
            item
            for item in self.problems
            if item.severity is Severity.ERROR or item.fix is Fix.MODEL
        )

    @property
    def is_to_ask(self) -> bool:
        """Whether anything is wrong that asking the model again may mend."""
        return any(item.code not in TOLD_ONLY for item in self.to_mend)

    @property
    def rank(self) -> tuple[int, int, int]:
        """How bad it is; the smallest is the best."""
        unusable = self.document is None or bool(self.unfit)
        doubts = [item for item in self.problems if item.code != "step_supposed"]
        return (unusable, len(self.errors), len(doubts))

    @property
    def forgotten_step(self) -> bool:
        """Whether something is missing that a further step would bring."""
        return any(item.code in _FORGOTTEN for item in self.errors)

    @property
    def wrong_steps(self) -> bool:
        """Whether the steps are known to be others than the goal asks for."""
        return any(item.code == "steps_differ" for item in self.problems)

    @property
    def made_up(self) -> set[str]:
        """The tools that were given a number which nobody named."""
        found = [item for item in self.problems if item.code == "number_invented"]
        return {self.tools[int(item.pointer.split("/")[2])] for item in found}

    @property
    def size(self) -> int:
        """How many steps it has."""
        steps = self.document.get("steps") if self.document else None
        return len(steps) if isinstance(steps, list) else 0

    @property
    def tools(self) -> tuple[str, ...]:
        """The tools of its steps."""
        steps = self.document.get("steps") if self.document else None
        listed = steps if isinstance(steps, list) else []
        return tuple(str(step.get("tool")) for step in listed if isinstance(step, dict))

    def same_as(self, other: Judgement) -> bool:
        """Whether nothing has changed: asking once more would not help."""
        if self.document is None:
            return other.document is None and self.answer == other.answer
        return self.document == other.document


def truncated(text: str) -> Judgement:
    """Return the judgement of an answer that was cut at the length limit."""
    problem = Problem(
        code="answer_truncated",
        pointer="",
        message="the answer had no end",
        hint="Write short texts, and no more steps than the goal asks for.",
        fix=Fix.MODEL,
    )
    return Judgement(answer=text[:4000], problems=(problem,))


def judge(
    text: str, request: PlanRequest, opinion: Opinion = _NO_OPINION, *, strict: bool = False
) -> Judgement:
    """Read an answer and check it: graph, references, arguments, the goal's literals.

    `opinion` are the steps that the goal is known to ask for, if that is known. A strict judgement
    names all that is wrong, so that the model can be told; else what cannot stand is left out or
    replaced where that is certain to be meant, which leaves a warning.
    """
    try:
        steps = read_answer(text)
    except ModelOutputError as error:
        problem = Problem(
            code="answer_invalid",
            pointer="",
            message=error.message,
            hint='Answer with one JSON object {"tasks": [...]} and nothing else.',
            fix=Fix.MODEL,
        )
        return Judgement(answer=text[:4000] or "(empty)", problems=(problem,))
    made = _draft(steps, request)
    if made.unfit:
        if (rest := _without_refusal(made, request, opinion, strict=strict)) is not None:
            return rest
        problems = tuple(disagreement(made.document, opinion.tools))
        return Judgement(
            answer=text[:4000], document=made.document, unfit=made.unfit, problems=problems
        )
    return judge_draft(made, request, opinion, strict=strict)


def _without_refusal(
    made: Draft, request: PlanRequest, opinion: Opinion, *, strict: bool
) -> Judgement | None:
    """Judge a half refused plan without the refusal, if a tool takes what is then missing.

    That no tool posts to `#support` is known to be wrong where one takes a channel.
    """
    if not made.document["steps"]:
        return None
    judged = judge_draft(replace(made, unfit=()), request, opinion, strict=strict)
    return judged if missing_tools(judged, request) else None


def _draft(steps: Sequence[JsonObject], request: PlanRequest) -> Draft:
    names = [tool.name for tool in request.registry]
    schema = input_schema_of(request)
    return draft(steps, goal=request.goal, input_schema=schema, tools=names)


def judge_draft(
    made: Draft, request: PlanRequest, opinion: Opinion = _NO_OPINION, *, strict: bool = False
) -> Judgement:
    """Check a document."""
    ground = Ground(request.goal, request.input)
    made, notes, doubts = remedied(made, request, ground, strict=strict)
    if not (strict or made.questions):
        found = validated(made.document, request)
        wrong = [item.pointer for item in found.problems if item.severity is Severity.ERROR]
        notes += borrow(made.document, opinion, wrong)
    judged = assess(made, request, opinion, doubts=doubts, strict=strict)
    return replace(judged, notes=tuple(notes))


def assess(
    made: Draft,
    request: PlanRequest,
    opinion: Opinion = _NO_OPINION,
    *,
    doubts: Sequence[Problem] = (),
    strict: bool = False,
) -> Judgement:
    """Check a document as it is, without mending any of it.

    `doubts` are what is known of it besides, from what was done to it before.
    """
    document, registry, goal = made.document, request.registry, request.goal
    ground = Ground(goal, request.input)
    questions = needed(made.questions, document, registry)
    asked = {question.pointer for question in questions}
    checked = validated(document, request)
    problems = [item for item in without_advice(checked.problems) if not answers_later(item, asked)]
    problems += doubts
    problems += lost_literals(goal, document, registry)
    problems += lost_values(goal, document, registry)
    problems += misplaced_receivers(document, registry)
    problems += forgotten_changes(document, registry, goal)
    if strict:
        problems += unread_problems(document, registry, goal)
    problems += invented_addresses(goal, document, request.input, registry)
    problems += unnamed_columns(document, registry, ground)
    problems += lost_comparisons(document, registry, goal)
    problems += made_up_numbers(document, registry, goal)
    problems += claimed_results(document, registry, ground, goal)
    strays = stray_steps(document, registry, ground)
    problems += [item for item in strays if not is_meant(item, document, opinion)]
    if not opinion.tools:
        problems += unused_acts(document, list(registry), goal)
        problems += unmet_orders(document, list(registry), goal)
        problems += unasked_writing(document, list(registry), goal)
    problems += disagreement(document, opinion.tools)
    return Judgement(
        answer=prompting.dump(to_answer(document, questions)),
        document=document,
        flow=checked.flow or (_shape_of(document) if questions else None),
        problems=tuple(problems),
        questions=tuple(questions),
        doubts=tuple(doubts),
    )


def judge_beginning(
    steps: Sequence[JsonObject], request: PlanRequest, opinion: Opinion = _NO_OPINION
) -> Judgement:
    """Check the first steps of an answer; nothing is left out that the others may need."""
    made = _draft(steps, request)
    notes = coerce(made.document, request.registry) + write_out(made.document, request.registry)
    return replace(assess(made, request, opinion, strict=True), notes=tuple(notes))


def missing_tools(judged: Judgement, request: PlanRequest) -> list[Tool]:
    """Return the tools that may carry what a plan lost, if losing it is all that is wrong with it.

    Only tools with an effect: what reads comes first and not last. A lost name any tool may take.
    """
    warned = [item for item in judged.problems if item.code in _UNNAMED or _is_lost_name(item)]
    problems = judged.errors or tuple(warned)
    if not problems or any(item.code not in _LOST for item in problems):
        return []
    if judged.wrong_steps or judged.unfit:
        return []
    lost = [
        item
        for item in [*literals(request.goal), *named_literals(request.goal, request.registry)]
        if any(item.text in p.message for p in problems)
    ]
    found = [tool for literal in lost for tool in takers(literal, request.registry)]
    if not found and all(_is_lost_name(item) for item in problems):
        return _unused_takers(judged, request)
    return list({tool.name: tool for tool in found}.values())


def _is_lost_name(problem: Problem) -> bool:
    return problem.code == "literal_lost" and problem.message.startswith("the name ")


def _unused_takers(judged: Judgement, request: PlanRequest) -> list[Tool]:
    """Return the few unused tools that act as the goal says, or else reach somebody outside."""
    relevance = Relevance(request.goal, list(request.registry))
    acting = [tool for tool in request.registry if tool.effects not in HARMLESS]
    unused = [tool for tool in acting if tool.name not in judged.tools]
    ordered = [tool for tool in unused if relevance.orders(tool)]
    found = ordered or [tool for tool in unused if tool.effects is Effects.EXTERNAL]
    return found if len(found) <= _FEW else []


def question_invented(judgement: Judgement) -> Judgement:
    """Turn invented addresses into questions: they are asked for, never sent to."""
    invented = [item for item in judgement.problems if item.code == "literal_invented"]
    if not invented or judgement.document is None or judgement.flow is None:
        return judgement
    questions = []
    for item in invented:
        _, _, index, _, name = item.pointer.split("/", 4)
        name = _unescaped(name)
        step = judgement.flow.steps[int(index)].id
        text = f"Which {name} should {step} use? The goal names none."
        questions.append(Question(id=f"{step}.{name}", text=text, pointer=item.pointer))
    asked = _asking_instead(judgement, questions)
    left = tuple(item for item in judgement.problems if item not in invented)
    return replace(asked, problems=left)


def question_unsupported(judgement: Judgement, request: PlanRequest) -> Judgement:
    """Turn required values that nobody stated into questions."""
    if judgement.document is None or judgement.flow is None:
        return judgement
    found = list(unsupported_values(judgement.document, request))
    return _asking_instead(judgement, found) if found else judgement


def _asking_instead(judgement: Judgement, questions: Sequence[Question]) -> Judgement:
    """Take arguments out of a plan and put questions in their place."""
    assert judgement.flow is not None
    document: dict[str, Any] = judgement.flow.document()
    for question in questions:
        _, _, index, _, name = question.pointer.split("/", 4)
        document["steps"][int(index)]["args"].pop(_unescaped(name), None)
    return replace(
        judgement,
        document=document,
        flow=_shape_of(document),
        questions=(*judgement.questions, *questions),
    )


def _unescaped(name: str) -> str:
    return name.replace("~1", "/").replace("~0", "~")


def _shape_of(document: JsonObject) -> Flow | None:
    from pydantic import ValidationError

    try:
        return Flow.model_validate(document)
    except ValidationError:
        return None
