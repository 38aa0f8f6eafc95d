"""Patches of a plan: what a model is shown of it, what it answers, and what that changes.

A patch names steps by their ids. It can change the steps that were shown, and add others; whatever
else a plan has stays the same object, and so the same bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flowbuilder.errors import ModelOutputError, Problem
from flowbuilder.flow import Step
from flowbuilder.planner.ailing import Ailing
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.coercion import coerce
from flowbuilder.planner.document import mention_of, steps_of
from flowbuilder.planner.judging import Judgement
from flowbuilder.planner.mending import mend
from flowbuilder.planner.places import follow, moved
from flowbuilder.planner.schema import IMPOSSIBLE
from flowbuilder.planner.shapes import as_written, in_shape
from flowbuilder.planner.stepnames import StepNames
from flowbuilder.planner.wire import Draft, read_json, take_questions, to_step
from flowbuilder.planner.wording import output_of, write_out_in
from flowbuilder.strictjson import dumps
from flowbuilder.types import JsonObject, JsonValue

#: What a step may say besides what models are shown and asked to write.
_POLICIES = frozenset(Step.model_fields) - {
    "id", "tool", "args", "for_each", "when", "depends_on",
}  # fmt: skip

#: Steps that one patch may add, besides those in the place of what it takes out.
MOST_ADDED = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Patch:
    """What a model answers when it is asked to mend a plan."""

    steps: tuple[JsonObject, ...] = ()
    """To be put in the place of those with their ids, or to be added."""
    removed: frozenset[str] = frozenset()
    impossible: str | None = None
    """Why nothing can be mended, if the model says so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Patched:
    """A plan with a patch in it."""

    draft: Draft
    doubts: tuple[Problem, ...]
    """Of the plan before, where their steps stand now."""
    notes: tuple[str, ...]
    """A sentence for everything that was changed."""
    touched: frozenset[str]
    """The ids of the steps that are new or other ones."""


def read_patch(text: str) -> Patch:
    """Read a patch, or a whole plan as one: of that only what may be changed will be taken.

    Raises:
        ModelOutputError: `model_output_invalid`; it is neither.
    """
    answer = read_json(text)
    if isinstance(answer, list):
        answer = {"tasks": answer}
    if not isinstance(answer, dict):
        raise ModelOutputError("the answer is no patch", code="model_output_invalid")
    listed: Any = next((answer[key] for key in ("tasks", "steps", "plan") if key in answer), [])
    listed = [] if listed is None else listed
    removed, reason = answer.get("remove"), answer.get(IMPOSSIBLE)
    if not isinstance(listed, list) or not all(isinstance(step, dict) for step in listed):
        raise ModelOutputError('the patch has no steps under "tasks"', code="model_output_invalid")
    gone = removed if isinstance(removed, list) else [removed]
    return Patch(
        steps=tuple(listed),
        removed=frozenset(name for name in gone if isinstance(name, str)),
        impossible=reason[:500] if isinstance(reason, str) and reason.strip() else None,
    )


def patched(
    judged: Judgement, patch: Patch, ailing: Ailing, request: PlanRequest, *, whole: bool = False
) -> Patched:
    """Put a patch into a plan: change ailing steps, add others, and touch nothing else.

    `whole`: it was meant as the whole plan, so that ailing steps which it leaves out go.
    """
    assert judged.document is not None
    before = steps_of(judged.document)
    named = {str(step.get("id")) for step in before}
    left = ailing.ids - {str(step.get("id")) for step in patch.steps}
    gone = left if whole else left & patch.removed
    fresh = _fresh(patch.steps, named, request)
    new = {given: step for given, step in fresh.items() if given in ailing.ids}
    wrong = {item.pointer for item in ailing.problems}
    known = [_deed(step) for step in before if str(step.get("id")) not in gone]
    added = [
        step
        for given, step in fresh.items()
        if given not in named and _deed(step) not in known  # no step is wanted twice
    ]
    steps = [
        step if place not in ailing.places else _instead(place, step, new, gone, wrong)
        for place, step in enumerate(before)
    ]
    kept = [step for step in steps if step is not None]
    for step in added[: MOST_ADDED + len(gone)]:
        kept.insert(_place_of(step, kept), step)
    return _finished(judged, {**judged.document, "steps": list(kept)}, request)


def may_be_whole(judged: Judgement, patch: Patch, ailing: Ailing) -> bool:
    """Whether a patch may be a whole plan: it holds all steps that stay, or only other ones."""
    named = {str(step.get("id")) for step in steps_of(judged.document or {})}
    written = {str(step.get("id")) for step in patch.steps}
    others = named - ailing.ids
    return bool(written) and (others <= written if others else not written & named)


def _deed(step: JsonObject) -> list[JsonValue]:
    """Return what a step does, whatever it is called."""
    step = as_written(step)
    return [step.get(key) for key in ("tool", "args", "for_each", "when")]


def _instead(
    place: int,
    step: JsonObject,
    new: dict[str, JsonObject],
    gone: Collection[str],
    wrong: Collection[str],
) -> JsonObject | None:
    """Return what stands in the place of an ailing step, None if nothing does.

    Policies are not shown to the model, so it cannot have meant to take them away.
    """
    name = str(step.get("id"))
    if name in gone:
        return None
    if name not in new:
        return step
    kept = {
        key: value
        for key, value in step.items()
        if key in _POLICIES and f"/steps/{place}/{key}" not in wrong
    }
    return {**kept, **new.pop(name)}


def _fresh(
    steps: Sequence[JsonObject], named: Collection[str], request: PlanRequest
) -> dict[str, JsonObject]:
    """Return the steps of a patch as a document has them, the first of each id, by that id."""
    names = StepNames([tool.name for tool in request.registry])
    for name in named:
        names.keep(name)
    first: dict[str, JsonObject] = {}
    for place, raw in enumerate(steps):
        step = in_shape(raw)
        first.setdefault(str(step["id"]) or f"({place})", step)
    own = {given: given if given in named else names.add(step) for given, step in first.items()}
    by_id = {name: name for name in named} | own
    return {given: to_step(step, own[given], by_id) for given, step in first.items()}


def _place_of(added: JsonObject, steps: Sequence[JsonObject]) -> int:
    """Return where a new step goes: before the first that needs it, else to the end."""
    name = str(added.get("id"))
    used = mention_of(name)
    for place, step in enumerate(steps):
        after = step.get("depends_on")
        if (isinstance(after, list) and name in after) or used.search(dumps(step).decode()):
            return place
    return len(steps)


def _finished(judged: Judgement, document: JsonObject, request: PlanRequest) -> Patched:
    """Write the new steps as plans write them, and follow the old ones to their places."""
    assert judged.document is not None
    steps = steps_of(document)
    old = {id(step) for step in steps_of(judged.document)}
    touched = frozenset(str(step.get("id")) for step in steps if id(step) not in old)
    places = moved(judged.document, document)
    questions = [
        replace(question, pointer=pointer)
        for question in judged.questions
        if (pointer := follow(question.pointer, places)) is not None
        if str(steps[int(pointer.split("/")[2])].get("id")) not in touched
    ]
    notes: list[str] = []
    outputs = {str(step.get("id")): output_of(step, request.registry) for step in steps}
    for place, step in enumerate(steps):
        if id(step) not in old:
            questions += take_questions(place, step)
            notes += coerce({"steps": [step]}, request.registry)
            notes += mend({"steps": [step]}, request.registry, among=document)[0]
            notes += write_out_in(step, request.registry, outputs)
    doubts = [
        replace(item, pointer=pointer)
        for item in judged.doubts
        if (pointer := follow(item.pointer, places)) is not None
    ]
    made = Draft(document=document, questions=tuple(questions))
    return Patched(draft=made, doubts=tuple(doubts), notes=tuple(notes), touched=touched)
