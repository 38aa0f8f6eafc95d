"""Deterministic repair of a judged plan: each change is told as a doubt."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from flowbuilder.planner.judging import Judgement, assess
from flowbuilder.planner.mending import doubt
from flowbuilder.planner.places import follow, moved
from flowbuilder.planner.wire import Draft
from flowbuilder.planner.work import Work
from flowbuilder.repair import repair


def without_errors(
    judged: Judgement,
    work: Work,
    *,
    keep: Collection[str] = (),
    guess: bool = True,
    strict: bool = True,
) -> Judgement:
    """Return a plan with what needs no model mended; the same one if that is nothing.

    A plan with a change is shown, and never run unasked. What is asked about is let be: nobody
    knows yet what will stand there. `keep` and `guess` are those of `repair`.
    """
    if not judged.errors or judged.document is None or judged.questions or judged.unfit:
        return judged
    registry, flows = work.request.registry, work.request.flows
    found = repair(judged.document, registry, flows=flows, keep=keep, guess=guess)
    if not found.changes or not isinstance(found.document, dict):
        return judged
    places = moved(judged.document, found.document)
    doubts = [
        replace(item, pointer=pointer)
        for item in judged.doubts
        if (pointer := follow(item.pointer, places)) is not None
    ]
    doubts += [doubt(change) for change in found.changes]
    made = Draft(document=found.document)
    after = assess(made, work.request, work.opinion, doubts=doubts, strict=strict)
    return replace(after, notes=judged.notes)


def made_valid(judged: Judgement, work: Work) -> Judgement:
    """Return a plan without errors if repair leaves none; the same one if it leaves any."""
    found = without_errors(judged, work, strict=False)
    return judged if found.errors else found
