"""Mend in the document of a model's answer what is certain to be meant otherwise."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from flowbuilder.errors import Problem, Severity
from flowbuilder.planner.addresses import trim_addresses
from flowbuilder.planner.aimless import leave_out_aimless
from flowbuilder.planner.asking import answer_by_goal, tell_found
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.coercion import coerce
from flowbuilder.planner.comparisons import mend_comparisons
from flowbuilder.planner.connecting import connect, skip_readers
from flowbuilder.planner.directness import give_directly
from flowbuilder.planner.document import steps_of
from flowbuilder.planner.doubles import leave_out_copies, leave_out_doubles
from flowbuilder.planner.finding import answer_by_look_up, look_up_receivers
from flowbuilder.planner.forgetting import leave_out_shortening
from flowbuilder.planner.grounding import Ground, drop_options, name_languages
from flowbuilder.planner.inserting import insert_lost_steps
from flowbuilder.planner.lateness import bring_forward
from flowbuilder.planner.mending import mend
from flowbuilder.planner.needless import leave_out_needless
from flowbuilder.planner.omission import leave_out_steps, left_out_problem
from flowbuilder.planner.options import spoken_options
from flowbuilder.planner.passing import hand_on
from flowbuilder.planner.pauses import keep_pauses
from flowbuilder.planner.rerouting import read_files, read_instead, reroute
from flowbuilder.planner.restoring import restore
from flowbuilder.planner.shapes import validated
from flowbuilder.planner.signs import set_separators
from flowbuilder.planner.sources import read_sources
from flowbuilder.planner.surplus import leave_out_messages
from flowbuilder.planner.unfounded import bypass, drop_conditions, drop_examples
from flowbuilder.planner.wire import Draft
from flowbuilder.planner.wording import write_out
from flowbuilder.types import JsonObject

#: Steps of a plan that is looked at so closely.
_LONGEST = 100


def remedied(
    made: Draft, request: PlanRequest, ground: Ground, *, strict: bool
) -> tuple[Draft, list[str], list[Problem]]:
    """Mend what is certain; return the notes for it, and warnings for what is less certain.

    In a very long plan only values are respelt: small models, whose habits the rest is about, write
    none, and it compares every step with every other.
    """
    document, registry = made.document, request.registry
    if len(steps_of(document)) > _LONGEST:
        return made, coerce(document, registry) + write_out(document, registry), []
    notes = _respelt(document, request)
    doubts: list[Problem] = []
    if not made.questions:  # their pointers count the steps
        mended, doubts = mend(document, registry)
        notes += mended
        if not strict:
            read, supposed = read_sources(document, registry, request.goal)
            notes, doubts = notes + read, doubts + supposed
    faulty = _faulty(document, request)
    kept = faulty if strict else ()
    notes += drop_options(document, registry, ground)
    notes += spoken_options(document, registry, request.goal)
    notes += set_separators(document, registry, request.goal)
    left, dropped = leave_out_messages(document, made.questions, registry, request.goal)
    left, answered = answer_by_goal(document, left, registry, request.goal)
    left, rerouted = read_instead(document, left, registry, request.goal)
    left, told = tell_found(document, left, registry)
    left, found = answer_by_look_up(document, left, registry, request.goal)
    left, needless = leave_out_needless(document, left, request, kept_ids=kept)
    made = replace(made, questions=left)
    notes += dropped + answered + rerouted + told + found
    doubts += needless
    if not made.questions:
        told, supposed = _rearranged(document, request, ground, strict=strict)
        notes, doubts = notes + told, doubts + supposed
        leave_out = partial(leave_out_steps, document, request, kept_ids=kept)
        left_out = leave_out()
        notes += skip_readers(document, registry)
        notes += connect(document, registry, ground)
        left_out += leave_out(though_named=True)
        doubts += [
            left_out_problem(step, registry, ground, faulty.get(str(step.get("id")), ()))
            for step in left_out
        ]
    notes += write_out(document, registry)
    return made, notes, doubts


def _respelt(document: JsonObject, request: PlanRequest) -> list[str]:
    """Mend values, one by one; return a note for each."""
    registry, goal = request.registry, request.goal
    notes = coerce(document, registry) + name_languages(document, registry, goal)
    notes += drop_conditions(document, request)
    notes += drop_examples(document, registry, goal)
    notes += read_files(document, registry, goal)
    notes += restore(document, registry, goal)
    return notes + reroute(document, registry) + trim_addresses(document, goal)


def _rearranged(
    document: JsonObject, request: PlanRequest, ground: Ground, *, strict: bool
) -> tuple[list[str], list[Problem]]:
    """Mend what goes from step to step, and steps that do nothing; return notes and doubts."""
    registry, goal = request.registry, request.goal
    notes = keep_pauses(document) + look_up_receivers(document, registry)
    notes += give_directly(document, registry, goal)
    notes += hand_on(document, registry, goal)
    notes += [] if strict else bypass(document, request)
    doubts = [] if strict else insert_lost_steps(document, registry, goal)
    notes += leave_out_doubles(document, registry, goal)
    notes += leave_out_shortening(document, registry, goal)
    notes += leave_out_copies(document, registry)
    notes += leave_out_aimless(document, registry, ground, goal)
    doubts += bring_forward(document, registry, goal)
    return notes + mend_comparisons(document, registry, goal), doubts


def _faulty(document: JsonObject, request: PlanRequest) -> dict[str, list[Problem]]:
    """Return the errors of each step that has some, by its id."""
    steps = document["steps"]
    assert isinstance(steps, list)
    found: dict[str, list[Problem]] = {}
    for item in validated(document, request).problems:
        place = item.pointer.split("/")[2:3] if item.pointer.startswith("/steps/") else []
        if item.severity is Severity.ERROR and place and place[0].isdigit():
            step = steps[int(place[0])]
            assert isinstance(step, dict)
            found.setdefault(str(step.get("id")), []).append(item)
    return found
