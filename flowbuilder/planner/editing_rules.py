"""Edits by words without a model: what is to go, to be different, to be done besides.

Each command of the words is read in the ways that it may be meant, and the first that the flow has
something for is carried out. What is to be done besides is planned as a clause of a goal would be,
behind the steps that are there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flowbuilder.errors import NoFittingTool, PlanningError
from flowbuilder.flow import STEP_ID_PATTERN
from flowbuilder.planner.document import mention_of, steps_of
from flowbuilder.planner.editing import Edited, EditRequest, questions_at
from flowbuilder.planner.editing_adding import Addition, add_clause
from flowbuilder.planner.editing_between import put_between
from flowbuilder.planner.editing_changes import (
    exchanged,
    remove_step,
    rename_step,
    step_named,
    texts_holding,
    users_of,
)
from flowbuilder.planner.editing_places import Place, ambiguous
from flowbuilder.planner.editing_values import ValueEdits, as_literal
from flowbuilder.planner.editing_words import (
    Add,
    After,
    Ask,
    Command,
    Exchange,
    Format,
    Instead,
    Part,
    Put,
    Remove,
    Sort,
    readings,
    split_words,
)
from flowbuilder.planner.shortlist import SHORTLIST_FOR_RULES, WHOLE_FOR_RULES, narrowed
from flowbuilder.tools import HARMLESS, ToolRegistry
from flowbuilder.types import JsonObject

_APPROVAL = re.compile(r"(?:the )?(?:approval|confirmation|sign-?off)s?(?: (?:of|for|on|from) "
                       r"(?:the )?(?P<step>.+))?", re.IGNORECASE)  # fmt: skip
#: Words after which nothing is meant to be done besides.
_CHANGING = re.compile(
    r"^(?:replace|swap|rename|change|switch|set|remove|make|turn|put|use|let|adjust|update|keep|"
    r"limit|sort|order|only)\b",
    re.IGNORECASE,
)
_INSTEAD = re.compile(r"\binstead\b", re.IGNORECASE)


async def edit_by_rules(request: EditRequest) -> Edited:
    """Change a flow as words say.

    Raises:
        PlanningError: A command means nothing that can be done (edit_not_understood), or several
            things (edit_ambiguous), or would break what another step needs (edit_breaks).
    """
    parts = split_words(request.words)
    if not parts:
        raise PlanningError("there is nothing to change", code="edit_not_understood")
    editing = _Editing(request, await _registry(request))
    for part in parts:
        editing.carry_out(part)
    return editing.result()


async def _registry(request: EditRequest) -> ToolRegistry:
    """Return the tools that the words could need, and those of the flow."""
    used = {str(step.get("tool")).partition("@")[0] for step in steps_of(request.document)}
    pinned = tuple(name for name in sorted(used) if request.registry.get(name) is not None)
    plan = replace(request.plan_request(), pinned=pinned)
    found = await narrowed(plan, whole=WHOLE_FOR_RULES, shown=SHORTLIST_FOR_RULES)
    return found.registry


class _Editing(ValueEdits):
    """A document on its way through the commands."""

    def result(self) -> Edited:
        """Return what came of it."""
        return Edited(
            document=self._document,
            questions=questions_at(self._document, self._asked),
            notes=tuple(dict.fromkeys(self._notes)),
            doubts=tuple(dict.fromkeys(self._doubts)),
        )

    def carry_out(self, part: Part) -> None:
        """Carry out one command. Raises: PlanningError."""
        for command in readings(part):
            if self._does(command):
                return
        raise PlanningError(
            f"“{part.text[:200]}” says nothing that could be done to this flow",
            code="edit_not_understood",
            hint="Name a step by its id, or a value that stands in it: change A to B, remove "
            "STEP, also do X.",
        )

    def _does(self, command: Command) -> bool:
        """Carry a reading out, if the flow has something for it."""
        doers: dict[type, Callable[[Any], bool]] = {
            Remove: self._remove,
            Exchange: self._exchange,
            Put: self._put,
            Instead: self._instead,
            Sort: self._sort,
            Format: self._format,
            After: self._after,
            Ask: self._ask,
            Add: self._add,
        }
        return doers[type(command)](command)

    # -- removing -----------------------------------------------------------------------------

    def _remove(self, command: Remove) -> bool:
        if found := _APPROVAL.fullmatch(command.what.strip(" .")):
            return self._remove_approval(found["step"])
        places = self._map.arguments(command.what)
        given = [place for place in places if self._map.given(place) is not None]
        optional = [place for place in given if not place.slot.required]
        if len(optional) == 1 and len(given) == 1:
            return self._drop_argument(given[0])
        name = self._map.step(command.what)
        if name is None:
            return False
        if len(steps_of(self._document)) == 1:
            raise PlanningError(
                f"{name} is the only step: without it nothing is left to do", code="edit_breaks"
            )
        self._remove_step(name)
        return True

    def _remove_step(self, name: str) -> None:
        changed = remove_step(self._document, name)
        if broken := [one for one in changed if _refers(self._step(one), name)]:
            raise PlanningError(
                f"{name} cannot go: {', '.join(broken)} would have nothing in the place of its "
                "result",
                code="edit_breaks",
                hint=f"Remove {', '.join(broken)} as well, or say what is to be used instead.",
            )
        told = f" {', '.join(changed)} now takes what it took." if changed else ""
        self._notes.append(f"{name} was taken out.{told}")

    def _remove_approval(self, said: str | None) -> bool:
        asking = [str(one["id"]) for one in steps_of(self._document) if _asks(one)]
        name = self._map.step(said) if said else None
        wanted = [one for one in asking if name is None or one == name]
        if len(wanted) > 1:
            ambiguous("the approval", wanted, "steps")
        if not wanted:
            return False
        step = self._step(wanted[0])
        if "approval" in step:
            del step["approval"]
            self._notes.append(f"{wanted[0]} asks nobody any more, as far as policy lets it.")
        else:
            self._remove_step(wanted[0])
        return True

    def _drop_argument(self, place: Place) -> bool:
        arguments: Any = self._step(place.step)["args"]
        del arguments[place.name]
        self._notes.append(f"{place.step}: {place.name} was taken out.")
        return True

    # -- changing -----------------------------------------------------------------------------

    def _exchange(self, command: Exchange) -> bool:
        if step_named(self._document, command.old) and re.match(STEP_ID_PATTERN, command.new):
            return self._rename(command.old, command.new)
        if not command.old.strip() or not command.new.strip():
            return False
        held = list(texts_holding(self._document, command.old))
        if held:
            return self._exchange_in(command, held)
        if self._put(Put(name=command.old, value=command.new)):
            return True
        if command.where:
            return self._do_otherwise(command)
        return False

    def _rename(self, old: str, new: str) -> bool:
        if step_named(self._document, new) is not None:
            raise PlanningError(f"there is a step {new} already", code="edit_breaks")
        rename_step(self._document, old, new)
        self._notes.append(f"{old} is called {new} now.")
        return True

    def _exchange_in(self, command: Exchange, held: list[tuple[str, str]]) -> bool:
        if command.where:
            named = {(place.step, place.name) for place in self._map.arguments(command.where)}
            held = [place for place in held if place in named] or held
        if len(held) > 1 and command.old.strip().lstrip("-").isdecimal():
            ambiguous(command.old, [f"{step}.{name}" for step, name in held], "arguments")
        for name, key in held:
            step = self._step(name)
            arguments: Any = step if key in ("for_each", "when") else step["args"]
            value = exchanged(arguments[key], command.old, as_literal(command.new))
            arguments[key] = self._fitting(name, key, value)
            self._notes.append(f"{name}: {key} says {command.new} in the place of {command.old}.")
        return True

    def _do_otherwise(self, command: Exchange) -> bool:
        """Do one thing in the place of a step: "post it to #ops instead of mailing it"."""
        name = self._map.step(command.old)
        if name is None or users_of(self._document, name):
            return False
        if not self._add(Add(clause=f"{command.where} {command.new}".strip())):
            return False
        self._remove_step(name)
        return True

    def _after(self, command: After) -> bool:
        later, earlier = self._map.step(command.later), self._map.step(command.earlier)
        if later is None or earlier is None or later == earlier:
            return False
        step = self._step(later)
        waits: Any = step.setdefault("depends_on", [])
        if earlier not in waits:
            waits.append(earlier)
        self._notes.append(f"{later} waits for {earlier} now.")
        return True

    def _ask(self, command: Ask) -> bool:
        name = self._map.step(command.step)
        if name is None:
            return False
        self._step(name).setdefault("approval", {})
        self._notes.append(f"{name} asks a person first.")
        return True

    # -- adding -------------------------------------------------------------------------------

    def _add(self, command: Add) -> bool:
        if _INSTEAD.search(command.clause):
            return False  # said of something that is there
        try:
            made = add_clause(command.clause, self._document, self._request, self._index)
        except NoFittingTool as error:
            raise PlanningError(
                f"“{command.clause[:200]}” says nothing that could be done to this flow",
                code="edit_not_understood",
                problems=error.problems,
                hint=error.hint,
            ) from None
        if made is None or (_CHANGING.match(command.clause) and made.doubts):
            return False
        self._take(made, command.clause)
        return True

    def _take(self, made: Addition, clause: str) -> None:
        steps: Any = self._document["steps"]
        for name, arguments in made.amended.items():
            given: Any = self._step(name).setdefault("args", {})
            given.update(arguments)
        steps += made.steps
        self._asked += made.questions
        self._notes += made.notes
        self._doubts += made.doubts
        names = [str(step["id"]) for step in made.steps]
        changed, doubt = put_between(clause, self._document, names, self._registry)
        for step in made.steps:
            name = str(step["id"])
            self._notes.append(f"{name} was added: {step['tool']}.")
            tool = self._registry.get(str(step["tool"]))
            used = users_of(self._document, name) or f"steps.{name}" in str(
                self._document.get("output")
            )
            if tool is not None and tool.effects in HARMLESS and not used and _has_output(self):
                self._doubts.append(f"No step uses the result of {name}.")
        self._notes += [changed] if changed else []
        self._doubts += [doubt] if doubt else []

    @property
    def document(self) -> JsonObject:
        """The document so far."""
        return self._document


def _has_output(editing: _Editing) -> bool:
    return editing.document.get("output") is not None


def _refers(step: JsonObject, name: str) -> bool:
    pattern = mention_of(name)
    return any(pattern.search(str(step.get(key))) for key in ("args", "for_each", "when"))


def _asks(step: JsonObject) -> bool:
    return "approval" in step or str(step.get("tool")).partition("@")[0] == "human.approve"
