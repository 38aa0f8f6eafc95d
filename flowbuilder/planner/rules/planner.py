"""The planner that needs no model: it reads a goal by rules and says what it is unsure of."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from flowbuilder.errors import NoFittingTool, PlanningError, Problem
from flowbuilder.flow import Flow
from flowbuilder.plan import LONGEST_GOAL, Plan, PlanStatus
from flowbuilder.planner.base import PlanEvent, PlanEventType, PlanRequest
from flowbuilder.planner.brought import with_brought_tools
from flowbuilder.planner.hierarchy import in_parts, step_events
from flowbuilder.planner.pending import answers_later
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.clauses import MAX_CLAUSES
from flowbuilder.planner.rules.composer import Composer
from flowbuilder.planner.rules.composition import Composition
from flowbuilder.planner.rules.dividing import orders
from flowbuilder.planner.rules.lexicon import lexicon, words
from flowbuilder.planner.rules.literals import find_literals
from flowbuilder.planner.rules.matching import ToolIndex
from flowbuilder.planner.rules.mending import ask_instead
from flowbuilder.planner.rules.outputs import StepDraft
from flowbuilder.planner.shortlist import SHORTLIST_FOR_RULES, WHOLE_FOR_RULES, narrowed
from flowbuilder.policy import apply_policy
from flowbuilder.settings import Settings
from flowbuilder.types import JsonObject
from flowbuilder.validation import Validation, validate
from flowbuilder.validation.catalogue import without_advice

if TYPE_CHECKING:
    from flowbuilder.planner.editing import Edited, EditRequest

#: A longer run of letters, digits or brackets is no word (addresses have marks in between).
_RUN = re.compile(r"\w{200}|([^\w\s])\1{40}")
#: More words without a full stop or another verb than a clause has.
_LONGEST_CLAUSE = 800
ABOUT_RULES = "Planned by rules, without a language model: the words were matched with the tools."


class RulePlanner:
    """Plans by clause splitting, lexical match and typed slots. Deterministic."""

    name = "rules"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def stream(self, request: PlanRequest) -> AsyncIterator[PlanEvent]:
        """Plan, telling each step as it is found.

        Raises:
            NoFittingTool: A clause fits no tool; its name stands in the message.
            PlanningError: The goal is empty or too long, or holds no task.
        """
        started: JsonObject = {"goal": request.goal, "planner": self.name, "model": None}
        yield PlanEvent(type=PlanEventType.STARTED, data=started)
        try:
            request = await narrowed(request, whole=WHOLE_FOR_RULES, shown=SHORTLIST_FOR_RULES)
            if (own := self._by_own_tools(request)) is not None:
                composition, plan = own
                told = 0
            else:
                composer = self._composer(request)
                told = 0
                clauses = self._clauses(request, composer)
                whole = len(clauses) <= self._settings.plan_split  # else it may fall into parts
                for clause in clauses:
                    composer.add(clause)
                    while whole and told < len(composer.plan.steps):
                        yield _step_event(composer.plan.steps[told], told)
                        told += 1
                composition = composer.finish()
                plan = self._plan(request, composition)
            for event in step_events(plan) if plan.children else _told(composition, told):
                yield event
        except PlanningError as error:
            problems = [problem.as_json() for problem in error.problems]
            data: JsonObject = {
                "code": error.code, "message": error.message, "problems": [*problems]
            }  # fmt: skip
            yield PlanEvent(type=PlanEventType.FAILED, data=data)
            raise
        yield PlanEvent(type=PlanEventType.COMPLETED, data={"plan": plan.as_json()}, plan=plan)

    async def edit(self, request: EditRequest) -> Edited:
        """Change a flow as words say. Raises: PlanningError."""
        from flowbuilder.planner.editing_rules import edit_by_rules

        return await edit_by_rules(request)

    def _by_own_tools(self, request: PlanRequest) -> tuple[Composition, Plan] | None:
        """Return a plan with the tools that the user brought, if that is the better one.

        None: the starter tools are needed, since only with them everything that the goal names
        has its place, or there are no others beside them.
        """
        narrow = with_brought_tools(request)
        if narrow is None:
            return None
        found = self._whole(narrow)
        if found is None or found[1].certain:
            return found
        every = self._whole(request)
        if every is None or not every[1].certain:
            return found
        return found if _placed(request.goal, found[1]) >= _placed(request.goal, every[1]) else None

    def _whole(self, request: PlanRequest) -> tuple[Composition, Plan] | None:
        """Return a plan and what it was made of, None if there is none."""
        try:
            composer = self._composer(request)
            for clause in self._clauses(request, composer):
                composer.add(clause)
            composition = composer.finish()
            return composition, self._plan(request, composition)
        except PlanningError:
            return None

    def _composer(self, request: PlanRequest) -> Composer:
        if not request.goal.strip():
            raise PlanningError(
                "the goal is empty", code="goal_empty", hint="Say in a sentence what is to be done."
            )
        if len(request.goal) > LONGEST_GOAL:
            raise PlanningError(
                f"the goal has {len(request.goal)} characters, at most {LONGEST_GOAL} are read",
                code="goal_too_long",
                hint="Say in a few sentences what is to be done.",
            )
        _refuse_unreadable(request.goal)
        if not len(request.registry):
            raise NoFittingTool("there are no tools to plan with")
        return Composer(request, ToolIndex(request.registry))

    def _clauses(self, request: PlanRequest, composer: Composer) -> list[Clause]:
        found = orders(request.goal, composer.index)
        if any(len(clause.text) - _quoted(clause) > _LONGEST_CLAUSE for clause in found):
            raise PlanningError(
                f"one part of the goal has more than {_LONGEST_CLAUSE} characters",
                code="goal_too_long",
                hint="Say it in shorter sentences.",
            )
        if not found:
            raise NoFittingTool(
                "the goal names nothing that a tool could do",
                hint="Say in a plain English sentence what is to be done.",
            )
        if len(found) > MAX_CLAUSES:
            raise PlanningError(
                f"the goal asks for more than {MAX_CLAUSES} things",
                code="goal_too_long",
                hint="Plan it in parts.",
            )
        return found

    def _plan(self, request: PlanRequest, made: Composition) -> Plan:
        if not made.steps:
            raise NoFittingTool(
                "the goal asks for nothing to be done",
                hint="; ".join(made.doubts) or "Say what is to be done.",
            )
        checked, document, problems = self._checked(request, made)
        if checked.flow is None and ask_instead(made, problems):
            checked, document, problems = self._checked(request, made)
        questions = tuple(made.asked())
        if len(made.steps) > self._settings.max_steps:
            raise PlanningError(f"the plan has more than {self._settings.max_steps} steps")
        flow = checked.flow or _shape(document, problems)
        flow, asked_for = apply_policy(flow, request.registry, request.policies)
        plan = Plan(
            id=request.id,
            goal=request.goal,
            planner=self.name,
            flow=flow,
            input=request.input,
            certain=not made.doubts and not questions and not problems,
            certain_once_answered=not made.doubts and not problems,
            notes=(ABOUT_RULES, *dict.fromkeys((*made.notes, *asked_for, *made.doubts))),
            problems=problems,
            questions=questions,
            status=PlanStatus.NEEDS_ANSWERS if questions else PlanStatus.READY,
        )
        if plan.valid or questions:
            starts = [step.clause.start if step.clause else None for step in made.steps]
            return in_parts(plan, starts, request.registry, self._settings)
        raise PlanningError("the plan that came out is not valid", problems=problems)

    def _checked(
        self, request: PlanRequest, made: Composition
    ) -> tuple[Validation, dict[str, Any], tuple[Problem, ...]]:
        """Return what was made as a document, validated, and what is wrong but for questions."""
        document = _document(request, made)
        checked = validate(document, request.registry, max_steps=self._settings.max_steps)
        asked = {question.pointer for question in made.asked()}
        problems = [
            item for item in without_advice(checked.problems) if not answers_later(item, asked)
        ]
        return checked, document, tuple(problems)


def _placed(goal: str, plan: Plan) -> int:
    """Return how many of the literals of a goal stand in a plan's arguments."""
    assert plan.flow is not None
    written = json.dumps([dict(step.args) for step in plan.flow.steps], ensure_ascii=False)
    return sum(str(item.value) in written for item in find_literals(goal))


def _quoted(clause: Clause) -> int:
    """Return how many characters of a clause are inside literals."""
    return sum(item.end - item.start for item in clause.literals)


def _refuse_unreadable(goal: str) -> None:
    """Refuse what could not be stored, or would become a live reference inside an argument."""
    try:
        goal.encode()
    except UnicodeEncodeError:
        raise PlanningError(
            "the goal has half a character (a lone surrogate)",
            code="goal_invalid",
            hint="Send the goal as well-formed Unicode.",
        ) from None
    if _RUN.search(goal):
        raise PlanningError(
            "the goal holds a run of characters that is no word",
            code="goal_invalid",
            hint="Say in a few sentences what is to be done.",
        )
    if "${{" in goal:
        raise PlanningError(
            "the goal holds a reference, ${{ … }}; goals are plain words",
            code="goal_invalid",
            hint="Say in words which result is meant, or write the flow by hand.",
        )


def _shape(document: dict[str, Any], problems: Sequence[Problem]) -> Flow:
    """Return a flow that does not compile yet. Raises: PlanningError: it is no flow at all."""
    try:
        return Flow.model_validate(document)
    except ValidationError:
        raise PlanningError("the plan that came out is not valid", problems=problems) from None


def _document(request: PlanRequest, made: Composition) -> dict[str, Any]:
    document: dict[str, Any] = {
        "format": "flow.v1",
        "flow": _slug(request.goal),
        "description": request.goal.replace("\x00", " ")[:4000],
        "steps": [step_document(step) for step in made.steps],
    }
    if request.input_schema is not None:
        document["input"] = request.input_schema
    elif isinstance(request.input, dict) and request.input:
        document["input"] = {"type": "object", "properties": {name: {} for name in request.input}}
    if made.output is not None:
        document["output"] = made.output
    return document


def step_document(step: StepDraft) -> dict[str, Any]:
    """Return a step as it stands in the flow document."""
    written: dict[str, Any] = {"id": step.id, "tool": step.profile.tool.name, "args": step.args}
    if step.for_each is not None:
        written["for_each"] = step.for_each
    if step.when is not None:
        written["when"] = step.when
    if step.depends_on:
        written["depends_on"] = step.depends_on
    if step.attempts:
        written["retry"] = {"max_attempts": step.attempts}
    if step.on_error != "fail":
        written["on_error"] = step.on_error
    if step.trigger_rule != "all_success":
        written["trigger_rule"] = step.trigger_rule
    if step.approval:
        written["approval"] = {"message": f"Approve {step.profile.tool.name} before it runs."}
    return written


def _told(made: Composition, first: int) -> Iterator[PlanEvent]:
    """Yield the events of the steps from a position on."""
    for position in range(first, len(made.steps)):
        yield _step_event(made.steps[position], position)


def _step_event(step: StepDraft, position: int) -> PlanEvent:
    data: JsonObject = {"step": step_document(step), "position": position, "problems": []}
    return PlanEvent(type=PlanEventType.STEP_ADDED, data=data)


def _slug(goal: str) -> str:
    """Return a name for the flow made of the goal's first telling words."""
    known = lexicon()
    telling = [word.lower for word in words(goal) if word.stem not in known.fillers]
    ascii_only = [re.sub(r"[^a-z0-9]+", "-", word).strip("-") for word in telling]
    slug = "-".join(part for part in ascii_only if part)[:48].strip("-")
    return slug or "plan"
