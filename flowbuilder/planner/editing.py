"""Edits by words: a flow and what is to be different in, a changed flow out.

Who reads the words (rules or a model) proposes a document. Here it is held against the one before:
what the words do not mention stays as it is, byte for byte, what a new value says must have been
stated, and policy has its word about what is new.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import orjson

from flowbuilder.diff import FlowDiff, diff_flows
from flowbuilder.errors import PlanningError, Problem, Severity
from flowbuilder.flow import Flow
from flowbuilder.plan import Plan, PlanStatus, Question, Usage
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.document import steps_of
from flowbuilder.planner.inventions import invented_addresses
from flowbuilder.planner.pending import answers_later
from flowbuilder.planner.question_types import with_types
from flowbuilder.planner.unsupported import unsupported_values
from flowbuilder.policy import DEFAULT_POLICY, Policies, apply_policy
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonValue
from flowbuilder.validation import validate
from flowbuilder.validation.catalogue import DEFECTS, without_advice

_VALIDATION = frozenset(DEFECTS)


@dataclass(frozen=True, kw_only=True, slots=True)
class EditRequest:
    """What is to be changed, and how."""

    id: str
    """Of the plan that comes of it."""
    words: str
    document: JsonObject
    """The flow as it is."""
    registry: ToolRegistry
    goal: str = ""
    """What the flow was made for, as far as it is known."""
    input: JsonValue = None
    flows: tuple[str, ...] = ()
    """Slugs that `flow.run` may name."""
    plan: Plan | None = None
    """The plan that is changed, None for a stored flow."""
    changes: str | None = None
    """The stored flow that is changed, None for a plan."""
    policies: Policies = (DEFAULT_POLICY,)
    """What holds in the workspace."""

    @property
    def said(self) -> str:
        """Everything that was stated: the words, the goal, and what stands in the flow already."""
        steps = [step.get("args") for step in steps_of(self.document)]
        known = orjson.dumps(steps).decode()
        about = str(self.document.get("description") or "")
        return "\n".join((self.words, self.goal, about, known))

    def plan_request(self, said: str | None = None) -> PlanRequest:
        """Return the request of a plan for the words alone, or for what was said in all."""
        schema = self.document.get("input")
        return PlanRequest(
            id=self.id,
            goal=self.words if said is None else said,
            registry=self.registry,
            input=self.input,
            input_schema=schema if isinstance(schema, dict) else None,
            flows=self.flows,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Edited:
    """What somebody made of the words."""

    document: JsonObject
    questions: tuple[Question, ...] = ()
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    """Why it may not be what was meant."""
    usage: Usage = field(default_factory=Usage)
    model: str | None = None


class Editor(Protocol):
    """Who reads an edit's words; planners that can do it have this method."""

    name: str

    async def edit(self, request: EditRequest) -> Edited:
        """Return the changed document.

        Raises:
            PlanningError: The words mean nothing that can be done (edit_not_understood), or more
                than one thing (edit_ambiguous).
            ModelError: The model's provider failed.
        """
        ...


def proposal(request: EditRequest, made: Edited, *, planner: str) -> Plan:
    """Return the plan of an edit, checked and with the approvals that policy asks for.

    Raises:
        PlanningError: Nothing changes (edit_changes_nothing), or what came out is wrong
            (edit_invalid, with its problems).
    """
    base = request.document
    difference = diff_flows(base, made.document)
    if difference.empty:
        raise PlanningError(
            f"“{request.words}” changes nothing",
            code="edit_changes_nothing",
            hint="Say which step or value is to be different.",
        )
    document, asked = _asking_for_unstated(request, made, difference)
    questions = [*_open_questions(request.plan, base, document), *made.questions, *asked]
    fresh = _standing(request, document, questions)
    if errors := _new_errors(fresh, document, request):
        raise PlanningError(
            f"the change does not work: {errors[0].message}", problems=fresh, code="edit_invalid"
        )
    flow, notes = with_policy(
        Flow.model_validate(base),
        Flow.model_validate(document),
        request.registry,
        request.policies,
    )
    _require_a_change(request, flow, notes)
    before = request.plan
    sure = not made.doubts and (before is None or before.certain or before.certain_once_answered)
    plan = Plan(
        id=request.id,
        goal=request.goal or request.words,
        planner=planner,
        model=made.model,
        flow=flow,
        input=request.input,
        certain=sure and not questions,
        certain_once_answered=sure,
        notes=(*made.notes, *notes, *made.doubts),
        problems=(*_doubts(request.plan, base, document), *fresh),
        questions=tuple(questions),
        usage=made.usage,
        status=PlanStatus.NEEDS_ANSWERS if questions else PlanStatus.READY,
        base=base,
        changes=request.changes,
        edits=(request.words,),
    )
    return with_types(_linked(plan, request.plan), request.registry)


def _standing(
    request: EditRequest, document: JsonObject, questions: Sequence[Question]
) -> list[Problem]:
    """Return what is wrong with a changed document and no answer will mend."""
    found = validate(document, request.registry, flows=request.flows or None)
    places = {question.pointer for question in questions}
    return [item for item in without_advice(found.problems) if not answers_later(item, places)]


def _require_a_change(request: EditRequest, flow: Flow, notes: tuple[str, ...]) -> None:
    """Refuse an edit of which policy leaves nothing. Raises: PlanningError."""
    if diff_flows(request.document, flow).empty:
        raise PlanningError(
            f"“{request.words}” would take away what policy asks for: {' '.join(notes)}",
            code="edit_changes_nothing",
        )


def new_errors(request: EditRequest, made: Edited) -> list[Problem]:
    """Return what an edit makes wrong that was right before."""
    found = validate(made.document, request.registry, flows=request.flows or None)
    places = {question.pointer for question in made.questions}
    fresh = [item for item in found.problems if not answers_later(item, places)]
    return _new_errors(fresh, made.document, request)


def questions_at(
    document: JsonObject, asked: Iterable[tuple[str, str, str]]
) -> tuple[Question, ...]:
    """Return what an edit asks: of each step, place inside of it (`args/to`) and text.

    Steps that are gone by now ask nothing.
    """
    places = {str(step.get("id")): at for at, step in enumerate(steps_of(document))}
    return tuple(
        Question(
            id=f"{step}.{_plain(place.rpartition('/')[2])}",
            text=text,
            pointer=f"/steps/{places[step]}/{place}",
        )
        for step, place, text in asked
        if step in places
    )


def _new_errors(
    found: Sequence[Problem], document: JsonObject, request: EditRequest
) -> list[Problem]:
    base = request.document
    before = validate(base, request.registry, flows=request.flows or None).problems
    known = {(item.code, item.pointer, item.message) for item in before}
    return [
        item
        for item in found
        if item.severity is Severity.ERROR
        and (item.code, _moved(item.pointer, document, base), item.message) not in known
    ]


def with_policy(
    base: Flow, flow: Flow, registry: ToolRegistry, policies: Policies
) -> tuple[Flow, tuple[str, ...]]:
    """Return a changed flow with the approvals that the change calls for, and why.

    A step that was there before without an approval that policy would ask for stays as it was:
    nobody mentioned it. One that only the change makes risky is asked about.
    """
    asked, notes = apply_policy(flow, registry, policies)
    if not notes:
        return flow, ()
    earlier, _ = apply_policy(base, registry, policies)
    steps, told = [], []
    for given, guarded in zip(flow.steps, asked.steps, strict=True):
        as_before = base.step(given.id) == given and earlier.step(given.id) == guarded
        steps.append(given if as_before else guarded)
        if guarded != given and not as_before:
            why = guarded.approval.message if guarded.approval is not None else None
            told.append(f"Step {given.id} waits for a person{f': {why}' if why else '.'}")
    return flow.model_copy(update={"steps": steps}), tuple(told)


def _linked(plan: Plan, parent: Plan | None) -> Plan:
    if parent is None:
        return plan
    return replace(
        plan,
        parent=parent.id,
        revision=parent.revision + 1,
        answers=parent.answers,
        edits=(*parent.edits, *plan.edits),
        base=plan.base if parent.changes is None else parent.base,
        notes=(*parent.notes, *plan.notes),
        changes=parent.changes,
    )


def _asking_for_unstated(
    request: EditRequest, made: Edited, difference: FlowDiff
) -> tuple[JsonObject, list[Question]]:
    """Take out new values that nobody stated, and return the questions for them."""
    new = _new_places(made.document, difference)
    said = request.plan_request(request.said)
    asked = [item for item in unsupported_values(made.document, said) if item.pointer in new]
    invented = invented_addresses(said.goal, made.document, request.input, request.registry)
    steps = steps_of(made.document)
    for problem in invented:
        if problem.severity is not Severity.ERROR or problem.pointer not in new:
            continue
        _, _, index, _, name = problem.pointer.split("/", 4)
        step = steps[int(index)].get("id")
        text = f"Which {_plain(name)} should {step} use? Nobody has named one."
        asked.append(Question(id=f"{step}.{_plain(name)}", text=text, pointer=problem.pointer))
    if not asked:
        return made.document, []
    document = copy.deepcopy(made.document)
    for question in asked:
        _, _, index, _, name = question.pointer.split("/", 4)
        arguments = steps_of(document)[int(index)].get("args")
        if isinstance(arguments, dict):
            arguments.pop(_plain(name), None)
    return document, asked


def _new_places(document: JsonObject, difference: FlowDiff) -> set[str]:
    """Return the pointers of arguments that are new or changed."""
    changed: dict[str, set[str] | None] = {str(step.get("id")): None for step in difference.added}
    for step in difference.changed:
        changed[step.id] = {
            change.pointer.split("/")[2]
            for change in step.fields
            if change.pointer.startswith("/args/")
        }
    places = set()
    for index, one in enumerate(steps_of(document)):
        given = one.get("args")
        names = changed.get(str(one.get("id")), set())
        for name in given if isinstance(given, dict) else ():
            escaped = name.replace("~", "~0").replace("/", "~1")
            if names is None or escaped in names:
                places.add(f"/steps/{index}/args/{escaped}")
    return places


def _open_questions(
    plan: Plan | None, base: JsonObject, document: JsonObject
) -> Iterator[Question]:
    """Yield what the plan still asked, where its step is there and the answer is not."""
    for question in plan.questions if plan is not None else ():
        pointer = _moved(question.pointer, base, document)
        if pointer is not None and _is_missing(pointer, document):
            yield replace(question, pointer=pointer)


def _doubts(plan: Plan | None, base: JsonObject, document: JsonObject) -> Iterator[Problem]:
    """Yield what the planner doubted of steps that are still there."""
    for problem in plan.problems if plan is not None else ():
        pointer = _moved(problem.pointer, base, document)
        if pointer is not None and problem.code not in _VALIDATION:
            yield replace(problem, pointer=pointer)


def _moved(pointer: str, base: JsonObject, document: JsonObject) -> str | None:
    """Return a pointer into the document before as one into the new one, None if that is gone."""
    parts = pointer.split("/")
    if len(parts) < 3 or parts[1] != "steps" or not parts[2].isdecimal():
        return pointer
    steps = steps_of(base)
    if int(parts[2]) >= len(steps):
        return None
    name = steps[int(parts[2])].get("id")
    place = next((at for at, one in enumerate(steps_of(document)) if one.get("id") == name), None)
    return None if place is None else "/".join([*parts[:2], str(place), *parts[3:]])


def _is_missing(pointer: str, document: JsonObject) -> bool:
    at: Any = document
    for part in pointer.split("/")[1:]:
        try:
            at = at[int(part)] if isinstance(at, list) else at[_plain(part)]
        except (KeyError, IndexError, TypeError):
            return True
    return False


def _plain(name: str) -> str:
    return name.replace("~1", "/").replace("~0", "~")
