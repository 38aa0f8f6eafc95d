"""Put a plan's steps together, clause by clause, and note what is uncertain."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flowbuilder.errors import NoFittingTool, Problem
from flowbuilder.plan import Question
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.rules.binding import Binding, bind
from flowbuilder.planner.rules.bridges import Bridge, extension, loader, parser
from flowbuilder.planner.rules.choice import Choice, choose, nearest, only_reports
from flowbuilder.planner.rules.clauses import Clause
from flowbuilder.planner.rules.conditions import condition_for
from flowbuilder.planner.rules.inner import emptied, object_clause
from flowbuilder.planner.rules.instructions import instructs
from flowbuilder.planner.rules.literals import Kind, Literal
from flowbuilder.planner.rules.mapping import map_over_elements, placeholders
from flowbuilder.planner.rules.matching import FLOOR, Profile, ToolIndex
from flowbuilder.planner.rules.ordering import set_order
from flowbuilder.planner.rules.outputs import (
    StepDraft,
    consumes,
    output_fields,
    referenced,
    tabular,
)
from flowbuilder.planner.rules.reading import (
    NOBODY,
    SILENCE,
    explained,
    fits_inside,
    gives_records,
    is_target,
    new_id,
    only_loads,
    points_back,
    spent,
    without,
)
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.planner.rules.table_arguments import condition_slot, works_on_records
from flowbuilder.planner.rules.tables import TableWords
from flowbuilder.planner.rules.wording import (
    known_words,
    leftovers,
    question_text,
    subject_from,
)
from flowbuilder.tools import Effects

APPROVE = "human.approve"


@dataclass
class Composition:
    """Steps so far, what to ask, what to tell."""

    steps: list[StepDraft] = field(default_factory=list)
    questions: list[tuple[StepDraft, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    output: str | None = None

    def asked(self) -> list[Question]:
        """Return the questions with pointers into the document."""
        return [
            Question(
                id=f"{step.id}.{place.rsplit('/', 1)[-1]}",
                text=text,
                pointer=f"/steps/{self.steps.index(step)}/{place}",
            )
            for step, place, text in self.questions
        ]


class Composer:
    """Adds steps for one clause after the other."""

    def __init__(self, request: PlanRequest, index: ToolIndex) -> None:
        self._request = request
        self.index = index
        self._awaiting = False
        self._awaited_after = 0
        self._each: str | None = None
        self._previous: list[StepDraft] = []
        self.plan = Composition()

    def add(self, clause: Clause) -> None:
        """Add the steps that a clause asks for.

        Raises:
            NoFittingTool: No registered tool does what the clause asks.
        """
        if clause.negated:
            self.plan.doubts.append(f"Left out, as asked: “{clause.text}”.")
            return
        if clause.asks_approval and not self._own_approval(clause):
            self._awaiting = True
            self._awaited_after = len(self.plan.steps)
            return
        clause = self._each_carried(clause)
        if self._leads_each(clause):
            return
        count = len(self.plan.steps)
        choice = choose(clause, self.index, self.plan.steps)
        if choice is None or only_reports(clause, choice):
            self._without_tool(clause, choice)
        else:
            self._compose(self._prepare(self._embedded(clause, choice), choice), choice)
        new = self.plan.steps[count:]
        self.plan.doubts += set_order(clause, new, self._previous, self.plan.steps)
        self._previous = new or self._previous

    def finish(self) -> Composition:
        """Return the plan; an approval that no effectful step took goes to what follows it.

        Where nothing follows, it becomes a step of its own.
        """
        if self._awaiting and self._awaited_after < len(self.plan.steps):
            self.plan.steps[self._awaited_after].approval = True
        elif self._awaiting and self.plan.steps:
            profile = self._named(APPROVE)
            if profile is None:
                self.plan.doubts.append("An approval was asked for, but nothing follows it.")
            else:
                self._approval_step(profile)
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
        self._load_all(clause.literals, clause, None)
        for step in list(self.plan.steps):
            if step.format and not self._parsed(step):
                self._parse(step)
        self._each = clause.each
        return True

    def _each_carried(self, clause: Clause) -> Clause:
        each, self._each = self._each, None
        return replace(clause, each=each) if each and clause.each is None else clause

    def _own_approval(self, clause: Clause) -> bool:
        """Whether the catalogue has a tool of its own for asking somebody."""
        ranked = [match for match in self.index.rank(clause) if match.tool.name != APPROVE]
        return bool(ranked) and ranked[0].score >= 1.8 and ranked[0].verb >= 0.7

    def _without_tool(self, clause: Clause, choice: Choice | None) -> None:
        if choice is not None or only_reports(clause, None):
            if not self.plan.steps:
                raise self._unfit(clause)
            return
        loads = [item for item in clause.literals if item.kind in (Kind.PATH, Kind.URL)]
        alone = len(loads) == len(clause.literals) and only_loads(clause)
        if loads and alone and self._load_all(loads, clause, None):
            self.plan.doubts.append(f"“{clause.text}” was taken as: load what it names.")
            return
        raise self._unfit(clause)

    def _unfit(self, clause: Clause) -> NoFittingTool:
        near = nearest(clause, self.index)
        hint = f"The nearest tools are {', '.join(near)}." if near else "There is no similar tool."
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
            self._load_all(unused, clause, choice.profile)
        narrowing = self._narrowing(clause, choice)
        if clause.each is not None or works_on_records(narrowing or choice.profile):
            self._parse_loaded(narrowing or choice.profile)
        return clause if narrowing is None else self._narrow(clause, narrowing)

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
            or not fits_inside(found, inner, self.plan.steps)
        ):
            return clause
        count = len(self.plan.steps)
        self._compose(self._prepare(inner, found), found)
        name = found.profile.tool.name
        self.plan.notes.append(f"A step {name} was added for “{inner.text.strip()}”.")
        return emptied(clause, inner) if len(self.plan.steps) > count else clause

    def _narrowing(self, clause: Clause, choice: Choice) -> Profile | None:
        """Return the filter tool when a clause compares rows and its own tool cannot."""
        if condition_slot(choice.profile) is not None or not TableWords(clause).comparisons():
            return None
        if not self.plan.steps or not tabular(self.plan.steps):
            return None
        fitting = [
            profile
            for profile in self.index.profiles
            if condition_slot(profile) is not None and works_on_records(profile)
        ]
        return fitting[0] if len(fitting) == 1 else None

    def _narrow(self, clause: Clause, profile: Profile) -> Clause:
        table = [item for item in clause.literals if item.kind not in (Kind.PATH, Kind.EMAIL)]
        narrowed = replace(clause, literals=tuple(table), approval=False, conditions=())
        binding = bind(profile, narrowed, self.plan.steps)
        self._step(profile, narrowed, binding)
        self.plan.notes.append(
            f"A step {profile.tool.name} was added for the rows that “{clause.text}” speaks of."
        )
        return without(clause, binding.used)

    def _compose(self, clause: Clause, choice: Choice) -> None:
        profile = choice.profile
        binding = bind(profile, clause, self.plan.steps)
        self._from_input(binding)
        subject_from(profile, self.plan.steps, binding)
        step = self._step(profile, clause, binding)
        map_over_elements(step, clause, self.plan.steps, binding)
        binding.doubts += [f"nothing fills in {name}" for name in placeholders(step)]
        self._qualify(step, clause)
        for slot in binding.missing:
            text = question_text(slot, step)
            self.plan.questions.append((step, f"args/{slot.name}", text))
        for name, values in binding.repeats.items():
            for value in values[1:]:
                again = self._step(profile, clause, replace(binding, args=dict(binding.args)))
                again.args[name] = value
                again.format, again.origin = extension(str(value)), str(value)
                self._qualify(again, clause)
        self.plan.doubts += choice.doubts
        self.plan.doubts += [f"In “{clause.text}”: {doubt}." for doubt in binding.doubts]
        self._account(clause, choice, binding)
        if re.match(r"how many\b", clause.text, re.IGNORECASE):
            self._answer_with_count(step)

    def _account(self, clause: Clause, choice: Choice, binding: Binding) -> None:
        """Doubt a step that leaves words or literals of its clause unexplained."""
        alone = not binding.refers and not self.plan.steps[:-1] and not clause.question
        if alone and points_back(clause):
            self.plan.doubts.append(f"“{clause.text}” points to a result that no step gives.")
        loaded = known_words(self.plan.steps)
        for text in leftovers(clause, choice.match, binding, loaded, self.plan.steps):
            self.plan.doubts.append(f"In “{clause.text.strip()}”, nothing accounts for “{text}”.")

    def _answer_with_count(self, step: StepDraft) -> None:
        counts = any(item.name == "count" for item in output_fields(step.profile))
        if counts and condition_slot(step.profile) is not None:
            self.plan.output = "${{ steps." + step.id + ".count }}"

    # -- steps --------------------------------------------------------------------------------

    def _step(self, profile: Profile, clause: Clause | None, binding: Binding) -> StepDraft:
        places = (SlotKind.PATH, SlotKind.URL)
        named = [slot.name for slot in profile.slots if slot.kind in places]
        path = next((str(binding.args[name]) for name in named if name in binding.args), "")
        step = StepDraft(
            id=new_id(profile, self.plan.steps),
            profile=profile,
            clause=clause,
            args=dict(binding.args),
            sink=consumes(profile) and binding.refers,
            format=extension(path) if not consumes(profile) else "",
            origin=path if not consumes(profile) else "",
            computed=binding.computed,
        )
        if not step.computed and self.plan.steps and works_on_records(profile):
            step.computed = self.plan.steps[-1].computed
        self.plan.steps.append(step)
        return step

    def _load_all(
        self, literals: Sequence[Literal], clause: Clause, wanted_by: Profile | None
    ) -> bool:
        """Insert a loading step for each literal; return whether all could be loaded."""
        done = True
        for literal in literals:
            if any(step.origin == literal.value for step in self.plan.steps):
                continue
            bridge = loader(literal, self.index.profiles, wanted_by or NOBODY)
            if bridge is None:
                done = False
                continue
            alone = replace(
                clause, text=literal.text, start=literal.start, end=literal.end, words=(),
                literals=(literal,), approval=False, conditions=(),
            )  # fmt: skip
            step = self._step(bridge.profile, alone, bind(bridge.profile, alone, []))
            self._tell(bridge, f"to load {literal.text}")
            if wanted_by is not None and works_on_records(wanted_by):
                self._parse(step)
        return done

    def _parse_loaded(self, profile: Profile) -> None:
        """Insert parsing steps for loaded tables that nothing has parsed yet."""
        slots = [slot for slot in profile.slots if slot.kind is SlotKind.RECORDS and slot.required]
        fresh = [step for step in self.plan.steps if not step.sink and not step.silent]
        for step in fresh[-max(len(slots), 1) :]:
            if step.format and not self._parsed(step) and not gives_records(step):
                self._parse(step)

    def _parsed(self, step: StepDraft) -> bool:
        pattern = f"steps.{step.id}" + r"\b"
        return any(re.search(pattern, str(other.args)) for other in self.plan.steps)

    def _parse(self, step: StepDraft) -> None:
        bridge = parser(step, self.index.profiles)
        if bridge is None:
            return
        slot = next(slot for slot in bridge.profile.slots if slot.required)
        found = referenced(slot, step, step.clause or SILENCE)
        if found is not None:
            self._step(bridge.profile, None, Binding(args={slot.name: found}))
            self._tell(bridge, f"to parse what {step.id} reads")

    def _tell(self, bridge: Bridge, purpose: str) -> None:
        self.plan.notes.append(f"A step {bridge.profile.tool.name} was added {purpose}.")
        if bridge.rivals:
            self.plan.doubts.append(f"{' or '.join(bridge.rivals)} would do as well {purpose}.")

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

    # -- approvals and conditions -------------------------------------------------------------

    def _qualify(self, step: StepDraft, clause: Clause) -> None:
        effectful = consumes(step.profile)
        if clause.approval and step.profile.tool.effects is Effects.PURE:
            self._awaiting, self._awaited_after = True, self.plan.steps.index(step)
        elif clause.approval or (self._awaiting and effectful):
            step.approval = True
            self._awaiting = False
        if clause.conditions and not effectful:
            said = clause.conditions[0].text.strip(" ,")
            self.plan.doubts.append(f"“{said}” was taken as a condition of {step.id}.")
        for qualifier in clause.conditions:
            earlier = [other for other in self.plan.steps if other is not step]
            found = condition_for(qualifier, earlier)
            if found is None:
                said = qualifier.text.strip(" ,")
                asked = f"When exactly should {step.id} run? The goal says “{said}”."
                self.plan.questions.append((step, "when", asked))
            else:
                step.when = found if step.when is None else f"({step.when}) && ({found})"
        if not step.args and self.plan.steps[:-1] and effectful:
            step.depends_on = [self.plan.steps[-2].id]

    def _approval_step(self, profile: Profile) -> None:
        latest = self.plan.steps[-1]
        binding = Binding()
        for slot in profile.slots:
            if slot.kind in (SlotKind.TEXT, SlotKind.TITLE) and slot.required:
                binding.args[slot.name] = f"Please look at the result of {latest.id} and decide."
        step = self._step(profile, None, binding)
        step.depends_on = [latest.id]
        self._awaiting = False

    def _named(self, name: str) -> Profile | None:
        return next((item for item in self.index.profiles if item.tool.name == name), None)
