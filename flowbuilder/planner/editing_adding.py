"""What is to be done besides: a clause planned behind the steps that a flow has already."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from flowbuilder.errors import NoFittingTool
from flowbuilder.planner.document import steps_of
from flowbuilder.planner.editing import EditRequest
from flowbuilder.planner.rules.bridges import extension
from flowbuilder.planner.rules.composer import Composer
from flowbuilder.planner.rules.dividing import orders
from flowbuilder.planner.rules.literals import Kind, find_literals
from flowbuilder.planner.rules.matching import Profile, ToolIndex
from flowbuilder.planner.rules.outputs import StepDraft, consumes
from flowbuilder.planner.rules.planner import step_document
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.planner.rules.wording import question_text
from flowbuilder.types import JsonObject, JsonValue

#: Whom something is sent to, where no address is named: "to the team".
_SOMEBODY = re.compile(
    r"\s+(?:to|with)\s+(?:(?:the|our|my|his|her|their|all|every)\s+)?[A-Za-z][\w -]{0,60}$",
    re.IGNORECASE,
)


_RECEIVERS = (SlotKind.EMAIL, SlotKind.PHONE, SlotKind.CHANNEL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Addition:
    """Steps for a clause, and what they change of those before."""

    steps: tuple[JsonObject, ...]
    amended: dict[str, JsonObject]
    """Arguments that a step which was there gets besides, by its id."""
    questions: tuple[tuple[str, str, str], ...]
    """Step, place in it, and text of each question."""
    notes: tuple[str, ...]
    doubts: tuple[str, ...]


def add_clause(
    text: str, document: JsonObject, request: EditRequest, index: ToolIndex
) -> Addition | None:
    """Plan a clause with the results of a flow's steps at hand; None if it asks for nothing.

    Raises:
        NoFittingTool: No tool does what it asks.
    """
    whom = _SOMEBODY.search(text)
    try:
        found = _added(text, document, request, index)
    except NoFittingTool:
        found = _added(text[: whom.start()], document, request, index) if whom else None
        if not found or not found.questions:
            raise
    if whom is None or found is None or not found.questions:
        return found
    said = " ".join(whom.group().split())  # somebody who has no address
    asked = [
        (step, place, f"{question} The edit says “{said}”.")
        for step, place, question in found.questions
    ]
    return replace(found, questions=tuple(asked))


def _added(
    text: str, document: JsonObject, request: EditRequest, index: ToolIndex
) -> Addition | None:
    composer = Composer(replace(request.plan_request(), goal=text), index)
    profiles = {profile.tool.name: profile for profile in index.profiles}
    drafts = (_draft(step, profiles) for step in steps_of(document))
    before = [draft for draft in drafts if draft is not None]
    composer.go_on(before)
    given = {draft.id: copy.deepcopy(draft.args) for draft in before}
    for clause in orders(text, index):
        composer.add(clause)
    made = composer.finish()
    known = {id(draft) for draft in before}
    new = [draft for draft in made.steps if id(draft) not in known]
    for draft in new:
        composer.plan.questions += _misdirected(draft, before)
    amended: dict[str, JsonObject] = {
        draft.id: {key: value for key, value in draft.args.items() if key not in given[draft.id]}
        for draft in before
        if draft.args != given[draft.id]
    }
    if not new and not amended:
        return None
    return Addition(
        steps=tuple(_written(step) for step in new),
        amended=amended,
        questions=tuple((step.id, place, asked) for step, place, asked in made.questions),
        notes=tuple(made.notes),
        doubts=tuple(dict.fromkeys(made.doubts)),
    )


def _misdirected(step: StepDraft, before: Sequence[StepDraft]) -> list[tuple[StepDraft, str, str]]:
    """Take out receivers that are the receipt of an earlier act, and return what to ask."""
    receipts = {f"${{{{ steps.{draft.id}" for draft in before if consumes(draft.profile)}
    asked = []
    for slot in step.profile.slots:
        value = step.args.get(slot.name)
        taken = isinstance(value, str) and any(value.startswith(item) for item in receipts)
        if slot.kind in _RECEIVERS and taken:
            del step.args[slot.name]
            asked.append((step, f"args/{slot.name}", question_text(slot, step)))
    return asked


def _written(step: StepDraft) -> JsonObject:
    written: JsonObject = step_document(step)
    if not written.get("args"):
        written.pop("args", None)
    return written


def _draft(step: JsonObject, profiles: dict[str, Profile]) -> StepDraft | None:
    """Return a step of a document as the composer knows steps; None where its tool is unknown."""
    profile = profiles.get(str(step.get("tool")).partition("@")[0])
    if profile is None:
        return None
    given = step.get("args")
    arguments = copy.deepcopy(given) if isinstance(given, dict) else {}
    refers = "${{ steps." in str(arguments)
    place = "" if consumes(profile) else _place(arguments)
    return StepDraft(
        id=str(step.get("id")),
        profile=profile,
        clause=None,
        args=arguments,
        for_each=step.get("for_each"),
        when=str(step["when"]) if "when" in step else None,
        sink=consumes(profile) and refers,
        format=extension(place),
        origin=place,
    )


def _place(arguments: dict[str, JsonValue]) -> str:
    """Return the file or address that a step loads."""
    for value in arguments.values():
        if isinstance(value, str) and "${{" not in value:
            found = [item for item in find_literals(value) if item.kind in (Kind.PATH, Kind.URL)]
            if len(found) == 1 and found[0].text == value:
                return value
    return ""
