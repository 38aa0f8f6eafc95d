"""Put a plan's steps together, clause by clause, and note what is uncertain."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from flowbuilder.errors import NoFittingTool, Problem
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.rules.accounting import unaccounted
from flowbuilder.planner.rules.addressing import look_up
from flowbuilder.planner.rules.amending import amend
from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.binding import bind
from flowbuilder.planner.rules.bridges import extension
from flowbuilder.planner.rules.choice import Choice, choose, nearest
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.columns import columns_of_input
from flowbuilder.planner.rules.composition import Composition
from flowbuilder.planner.rules.deleting import ask_where
from flowbuilder.planner.rules.extremes import extreme_apart
from flowbuilder.planner.rules.handing import Handed, hand_over, handed, made_of
from flowbuilder.planner.rules.inner import emptied, linked, object_clause
from flowbuilder.planner.rules.instructions import instructs
from flowbuilder.planner.rules.literals import Kind
from flowbuilder.planner.rules.loading import load, parse_all, parse_for
from flowbuilder.planner.rules.mapping import map_over_elements, placeholders
from flowbuilder.planner.rules.matching import FLOOR, Profile, ToolIndex
from flowbuilder.planner.rules.misgivings import misgivings
from flowbuilder.planner.rules.narrowing import narrow, narrowing
from flowbuilder.planner.rules.ordering import set_order
from flowbuilder.planner.rules.outputs import StepDraft, output_fields, tabular
from flowbuilder.planner.rules.qualifiers import BEFOREHAND
from flowbuilder.planner.rules.qualifying import ask_at_end, asks_to_go_on, named_approver, qualify
from flowbuilder.planner.rules.reading import (
    explained,
    fits_inside,
    is_target,
    only_loads,
    spent,
)
from flowbuilder.planner.rules.recovery import Recovery, ends, resume
from flowbuilder.planner.rules.regrouping import taken_as_rows
from flowbuilder.planner.rules.repeating import repeating_hint
from flowbuilder.planner.rules.repeats import counted_by_tool, untold
from flowbuilder.planner.rules.reporting import Report, reported
from flowbuilder.planner.rules.sending import send_as_it_is
from flowbuilder.planner.rules.sharing import shared
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.planner.rules.speaking import names_whole
from flowbuilder.planner.rules.supplying import supply
from flowbuilder.planner.rules.table_arguments import condition_slot, works_on_records
from flowbuilder.planner.rules.valued import takes_the_name
from flowbuilder.planner.rules.wishes import unread
from flowbuilder.planner.rules.wording import subject_from

APPROVE = "human.approve"
#: How near a verb is to what a tool does if it alone says that the tool is meant.
SURE_VERB = 0.9
#: A verb that is less near to it is not what a tool is asked for by.
KNOWN_VERB = 0.45


class Composer:
    """Adds steps for one clause after the other."""

    def __init__(self, request: PlanRequest, index: ToolIndex) -> None:
        self._request = request
        self._columns = columns_of_input(request.input_schema, request.input)
        self.index = index
        self._each: str | None = None
        self._previous: list[StepDraft] = []
        self._recovery: Recovery | None = None
        self._end = 0
        self.plan = Composition()

    def go_on(self, steps: list[StepDraft]) -> None:
        """Begin behind steps that are there already."""
        self.plan.steps += steps
        self._previous = steps[-1:]

    def add(self, clause: Clause) -> None:
        """Add the steps that a clause asks for.

        Raises:
            NoFittingTool: No registered tool does what the clause asks.
        """
        if clause.negated:
            self.plan.doubts.append(f"Left out, as asked: “{clause.text}”.")
            return
        if clause.asks_approval and not self._own_approval(clause):
            before = BEFOREHAND.search(clause.text) is not None
            self.plan.await_approval(len(self.plan.steps), beforehand=before)
            if (who := named_approver(clause)) is not None:
                doubt = f"“{who}” is to approve; whoever may approve here can, too."
                self.plan.doubts.append(doubt)
            if not all(asks_to_go_on(one) for one in clause.conditions):
                doubt = f"“{clause.text}” has a condition, and is asked in any case."
                self.plan.doubts.append(doubt)
            return
        clause = self._each_carried(clause)
        if self._leads_each(clause):
            return
        self._recovered(clause)
        for part in extreme_apart(clause, self.index.profiles):
            for one in shared(part, self.index, self.plan.steps):
                self._add_part(one)
        self._end = clause.end

    def _recovered(self, clause: Clause) -> None:
        """Go on after a recovery when another sentence begins."""
        if self._recovery is not None and ends(self._request.goal[self._end : clause.start]):
            resume(self.plan, self._recovery)
            self._recovery = None

    def _add_part(self, clause: Clause) -> None:
        count = len(self.plan.steps)
        choice = choose(clause, self.index, self.plan.steps)
        clause, choice = self._handed(*self._addressed(clause, choice))
        if choice is None and amend(self.plan, clause):
            return
        clause, choice, report = reported(clause, choice, self.index, self.plan.steps)
        if choice is None:
            self._without_tool(clause, report)
        else:
            self._compose(self._prepare(self._embedded(clause, choice), choice), choice)
        self._unmet(clause, report, choice)
        new = self.plan.steps[count:]
        self.plan.doubts += untold(clause, new)
        self.plan.doubts += set_order(clause, new, self._previous, self.plan.steps)
        self._previous = new or self._previous
        if self._recovery is not None:
            self._recovery.branch += new

    def finish(self) -> Composition:
        """Return the plan; an approval that no effectful step took goes to what follows it.

        Where nothing follows, it becomes a step of its own.
        """
        ask_at_end(self.plan, self._named(APPROVE))
        steps = self.plan.steps
        last = (*unread(steps), *taken_as_rows(steps), *misgivings(steps, self._request.goal))
        self.plan.doubts += [f"{doubt}." for doubt in last]
        return self.plan

    # -- one clause ---------------------------------------------------------------------------

    def _leads_each(self, clause: Clause) -> bool:
        """Take in "for each row of people.csv," which says nothing to do by itself."""
        if clause.each is None or not clause.text.lower().startswith("for "):
            return False
        rest = clause.text.replace(clause.each, "", 1)
        for item in clause.literals:
            rest = rest.replace(item.text, "")
        if re.search(r"[A-Za-z]{3,}", re.sub(r"\b(?:from|the|file|table)\b", "", rest)):
            return False
        load(self.plan, self.index.profiles, clause.literals, clause, None)
        parse_all(self.plan, self.index.profiles)
        self._each = clause.each
        return True

    def _each_carried(self, clause: Clause) -> Clause:
        each, self._each = self._each, None
        return replace(clause, each=each) if each and clause.each is None else clause

    def _own_approval(self, clause: Clause) -> bool:
        """Whether the catalogue has a tool of its own for asking somebody."""
        ranked = [match for match in self.index.rank(clause) if match.tool.name != APPROVE]
        return bool(ranked) and ranked[0].score >= 1.8 and ranked[0].verb >= 0.7

    def _unmet(self, clause: Clause, report: Report | None, choice: Choice | None) -> None:
        """Doubt a plan that leaves out something that is asked to be shown."""
        unmet = report.unmet(choice) if report is not None else []
        if report is not None and choice is None and (clause.conditions or clause.approval):
            self.plan.doubts.append(f"“{clause.text}” has a condition that no step can have.")
        if unmet:
            said = " ".join(unmet)
            self.plan.doubts.append(f"“{clause.text}” asks for “{said}”, which no step gives.")

    def _without_tool(self, clause: Clause, report: Report | None) -> None:
        if report is not None:
            if not self.plan.steps:
                raise self._unfit(clause)
            return
        loads = [item for item in clause.literals if item.kind in (Kind.PATH, Kind.URL)]
        alone = len(loads) == len(clause.literals) and only_loads(clause)
        if loads and alone and load(self.plan, self.index.profiles, loads, clause, None):
            self.plan.doubts.append(f"“{clause.text}” was taken as: load what it names.")
            return
        raise self._unfit(clause)

    def _unfit(self, clause: Clause) -> NoFittingTool:
        near = nearest(clause, self.index)
        hint = f"The nearest tools are {', '.join(near)}." if near else "There is no similar tool."
        hint = repeating_hint(clause.text) or hint
        message = f"no registered tool does what this part of the goal asks: “{clause.text[:200]}”"
        problem = Problem(code="no_fitting_tool", pointer="", message=message, hint=hint)
        return NoFittingTool(message, problems=[problem], hint=hint)

    def _prepare(self, clause: Clause, choice: Choice) -> Clause:
        """Insert the steps the clause implies: loading, parsing, and narrowing down rows.

        Returns the clause without what these steps have taken care of.
        """
        trial = bind(choice.profile, clause, self.plan.steps)
        unused = [
            item
            for item in clause.literals
            if item.kind in (Kind.PATH, Kind.URL)
            and (instructs(choice.profile) or not spent(item, trial))
            and not is_target(item, clause)
        ]
        if choice.profile.reads or any(slot.kind is SlotKind.ANY for slot in choice.profile.slots):
            load(self.plan, self.index.profiles, unused, clause, choice.profile)
        supply(self.plan, self.index.profiles, clause, choice.profile)
        before = narrowing(clause, choice.profile, self.index.profiles, self.plan.steps)
        if clause.each is not None or works_on_records(before or choice.profile):
            parse_for(self.plan, self.index.profiles, before or choice.profile)
        return clause if before is None else narrow(self.plan, clause, before)

    def _embedded(self, clause: Clause, choice: Choice) -> Clause:
        """Compose first what a clause names as its object: "email the weather in Paris".

        Returns the clause without the words that the inner step has taken care of.
        """
        inner = object_clause(clause, choice.profile, self.plan.steps)
        if inner is None or explained(inner, choice):
            return clause
        # what only loads such a literal is left to the outer step's own bridge
        kinds = {item.kind for item in inner.literals} & {Kind.PATH, Kind.URL}
        harmless = self.index.without(choice.profile, kinds)
        found = choose(inner, harmless, self.plan.steps)
        if (
            found is None
            or found.match.score < FLOOR
            or not fits_inside(found, inner, self.plan.steps, choice.profile)
        ):
            return clause
        again = any(step.profile is found.profile for step in self.plan.steps)
        if not linked(inner) and (again or not names_whole(inner, found.profile)):
            return clause
        given = bind(choice.profile, clause, self.plan.steps).args
        if takes_the_name(choice.profile, found.profile, given, clause.text):
            return clause
        args = bind(found.profile, inner, self.plan.steps).args
        if any(step.profile is found.profile and step.args == args for step in self.plan.steps):
            return clause  # "with its subject" is got already
        count = len(self.plan.steps)
        self._compose(self._prepare(inner, found), found)
        name = found.profile.tool.name
        self.plan.notes.append(f"A step {name} was added for “{inner.text.strip()}”.")
        return emptied(clause, inner) if len(self.plan.steps) > count else clause

    def _addressed(self, clause: Clause, choice: Choice | None) -> tuple[Clause, Choice | None]:
        """Add the step that finds the address of somebody whom a clause only names."""
        ranked = self.index.rank(clause) if choice is None and clause.verb is not None else ()
        outers = [match.profile for match in ranked if match.verb >= SURE_VERB]
        count = len(self.plan.steps)
        for outer in [choice.profile] if choice is not None else outers:
            rest = look_up(self.plan, self.index, clause, outer)
            if rest is None:
                continue
            again = choice or choose(rest, self.index, self.plan.steps)
            if again is not None and again.profile is outer:
                return rest, again
            if len(self.plan.steps) > count:
                del self.plan.steps[count:]
                self.plan.notes.pop()
        return clause, choice

    def _handed(self, clause: Clause, choice: Choice | None) -> tuple[Clause, Choice | None]:
        """Add the step that gets what a clause names, and return the clause without the name."""
        weak = choice is None or (choice.match.verb < KNOWN_VERB and not clause.question)
        ranked = self.index.rank(clause) if weak and clause.verb is not None else ()
        outers = [match.profile for match in ranked if match.verb >= SURE_VERB]
        for outer in [*outers, *([choice.profile] if choice is not None else ())]:
            found = handed(clause, outer, self.index, self.plan.steps)
            if found is None:
                continue
            rest = hand_over(clause, found)
            step = self.plan.add(found.profile, found.inner, found.binding)
            same = choice is not None and choice.profile is outer
            again = choice if same else choose(rest, self.index, self.plan.steps)
            if again is None or again.profile is not outer:
                self.plan.steps.remove(step)
                continue
            self._tell_handed(found, outer)
            return rest, again
        return clause, choice

    def _tell_handed(self, found: Handed, outer: Profile) -> None:
        """Add what is made of a thing that was got, and say what is doubtful about it."""
        said = found.inner.text.strip()
        makers, left = made_of(found, self.index, outer)
        for profile in makers:
            self.plan.add(profile, found.before, bind(profile, found.before, self.plan.steps))
        names = " and ".join(one.tool.name for one in (found.profile, *makers))
        self.plan.notes.append(f"A step {names} was added for “{said}”.")
        self.plan.doubts += [f"In “{said}”: {doubt}." for doubt in found.binding.doubts]
        self.plan.doubts += [f"In “{said}”, nothing accounts for “{text}”." for text in left]
        if found.rivals:
            self.plan.doubts.append(f"“{said}” could also mean {' or '.join(found.rivals)}.")

    def _compose(self, clause: Clause, choice: Choice) -> None:
        profile = choice.profile
        columns = frozenset() if tabular(self.plan.steps) else self._columns
        binding = bind(profile, clause, self.plan.steps, columns)
        if (unclear := ask_where(clause, profile, binding)) is not None:
            binding.doubts.append(unclear)
        self._from_input(binding)
        subject_from(self.plan.steps, binding)
        send_as_it_is(self.plan, self.index.profiles, profile, binding)
        own_count = clause.attempts > 0 and counted_by_tool(clause, profile, binding)
        step = self.plan.add(profile, clause, binding)
        step.attempts = 0 if own_count else clause.attempts
        if unclear is not None and self._previous:
            step.depends_on = [self._previous[-1].id]
        map_over_elements(step, clause, self.plan.steps, binding)
        binding.doubts += [f"nothing fills in {name}" for name in placeholders(step)]
        self._recovery = qualify(self.plan, step, clause, self._previous) or self._recovery
        self.plan.ask_for(step, binding.missing)
        for name, values in binding.repeats.items():
            for value in values[1:]:
                again = self.plan.add(profile, clause, replace(binding, args=dict(binding.args)))
                again.args[name] = value
                again.attempts = step.attempts
                again.format, again.origin = extension(str(value)), str(value)
                qualify(self.plan, again, clause, self._previous)
        self.plan.doubts += choice.doubts
        self.plan.doubts += [f"In “{clause.text}”: {doubt}." for doubt in binding.doubts]
        self.plan.doubts += unaccounted(clause, choice, step, binding, self.plan.steps, self.index)
        if re.match(r"how many\b", clause.text, re.IGNORECASE):
            self._answer_with_count(step)

    def _answer_with_count(self, step: StepDraft) -> None:
        counts = any(item.name == "count" for item in output_fields(step.profile))
        if counts and condition_slot(step.profile) is not None:
            self.plan.output = "${{ steps." + step.id + ".count }}"

    def _from_input(self, binding: Binding) -> None:
        """Fill missing parameters from the run's input where it has a property of that name."""
        schema = self._request.input_schema or {}
        known: dict[str, Any] = dict(schema.get("properties") or {})
        if isinstance(self._request.input, dict):
            known |= {name: {} for name in self._request.input}
        for slot in list(binding.missing):
            if slot.name in known:
                binding.args[slot.name] = "${{ input." + slot.name + " }}"
                binding.missing.remove(slot)

    def _named(self, name: str) -> Profile | None:
        return next((item for item in self.index.profiles if item.tool.name == name), None)
