"""Deterministic repair of a judged plan: each change is told as a doubt."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from flowbuilder.planner.document import steps_of
from flowbuilder.planner.judging import Judgement, assess
from flowbuilder.planner.mending import doubt
from flowbuilder.planner.places import follow, moved
from flowbuilder.planner.shapes import document_as_written, in_shape, odd_id
from flowbuilder.planner.wire import Draft
from flowbuilder.planner.work import Work
from flowbuilder.repair import Change, repair
from flowbuilder.types import JsonObject, JsonValue


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
    written = document_as_written(judged.document)
    found = repair(written, registry, flows=flows, keep=keep, guess=guess)
    changes = [*_ids_read(judged.document, keep), *found.changes]
    if not changes or not isinstance(found.document, dict):
        return judged
    document = _read_anew(found.document, written, judged.document, keep)
    places = moved(judged.document, document)
    doubts = [
        replace(item, pointer=pointer)
        for item in judged.doubts
        if (pointer := follow(item.pointer, places)) is not None
    ]
    doubts += [doubt(change) for change in changes]
    made = Draft(document=document)
    after = assess(made, work.request, work.opinion, doubts=doubts, strict=strict)
    return replace(after, notes=judged.notes)


def _ids_read(document: JsonObject, keep: Collection[str]) -> Iterator[Change]:
    """Yield what was written as ids and is none: the planner has named these steps."""
    for place, step in enumerate(steps_of(document)):
        if (written := odd_id(step)) is not None and step["id"] not in keep:
            yield Change(
                code="wrong_type",
                pointer=f"/steps/{place}/id",
                before=written[0],
                after=step["id"],
            )


def _read_anew(
    mended: JsonObject, written: JsonObject, before: JsonObject, keep: Collection[str]
) -> JsonObject:
    """Return a repaired document as plans have them; steps that nothing was done to stay the same.

    `written` is what was repaired: the document before, with its steps as they were written.
    """
    same = {
        id(one): step
        for one, step in zip(steps_of(written), steps_of(before), strict=True)
        if odd_id(step) is None or step["id"] in keep
    }
    steps: list[JsonValue] = [same.get(id(step)) or in_shape(step) for step in steps_of(mended)]
    return {**mended, "steps": steps}


def made_valid(judged: Judgement, work: Work) -> Judgement:
    """Return a plan without errors if repair leaves none; the same one if it leaves any."""
    found = without_errors(judged, work, strict=False)
    return judged if found.errors else found
