"""The plan while it is being put together: its steps, questions, notes and doubts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from flowbuilder.plan import Question
from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.bridges import ask_for_text, extension
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.outputs import StepDraft, consumes
from flowbuilder.planner.rules.reading import new_id
from flowbuilder.planner.rules.slots import Slot, SlotKind
from flowbuilder.planner.rules.table_arguments import works_on_records
from flowbuilder.planner.rules.wording import question_text


@dataclass
class Composition:
    """Steps so far, what to ask, what to tell."""

    steps: list[StepDraft] = field(default_factory=list)
    questions: list[tuple[StepDraft, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    output: str | None = None
    awaiting: bool = False
    """An approval was asked for that no step has taken yet."""
    awaited_after: int = 0
    """How many steps there were when it was asked for."""
    beforehand: bool = False
    """It was asked for before what was there already."""

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

    def ask_for(self, step: StepDraft, missing: Iterable[Slot]) -> None:
        """Ask for what a step's goal leaves out."""
        for slot in missing:
            self.questions.append((step, f"args/{slot.name}", question_text(slot, step)))

    def await_approval(self, after: int, *, beforehand: bool = False) -> None:
        """Remember that what comes after so many steps needs a person's agreement."""
        self.awaiting, self.awaited_after, self.beforehand = True, after, beforehand

    def add(self, profile: Profile, clause: Clause | None, binding: Binding) -> StepDraft:
        """Append a step with the arguments found for it."""
        places = (SlotKind.PATH, SlotKind.URL)
        named = [slot.name for slot in profile.slots if slot.kind in places]
        path = next((str(binding.args[name]) for name in named if name in binding.args), "")
        step = StepDraft(
            id=new_id(profile, self.steps),
            profile=profile,
            clause=clause,
            args=dict(binding.args),
            sink=consumes(profile) and binding.refers,
            format=extension(path) if not consumes(profile) else "",
            origin=path if not consumes(profile) else "",
            computed=binding.computed,
        )
        if not step.computed and self.steps and works_on_records(profile):
            step.computed = self.steps[-1].computed
        ask_for_text(step, self.steps)
        self.steps.append(step)
        return step
