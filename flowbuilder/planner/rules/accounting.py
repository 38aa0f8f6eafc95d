"""What a step leaves unexplained of the clause that it was made for."""

from __future__ import annotations

from flowbuilder.planner.rules.addressing import nameless
from flowbuilder.planner.rules.ambiguity import asks_nobody, open_choices
from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.choice import Choice
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.earlier import sends_addressee, whole_list
from flowbuilder.planner.rules.handing import titles_only
from flowbuilder.planner.rules.matching import ToolIndex
from flowbuilder.planner.rules.outputs import StepDraft
from flowbuilder.planner.rules.reading import asks_more, part_asked, points_back
from flowbuilder.planner.rules.sharing import one_of_several
from flowbuilder.planner.rules.wishes import unsaid
from flowbuilder.planner.rules.wording import known_words, leftovers


def unaccounted(
    clause: Clause,
    choice: Choice,
    step: StepDraft,
    binding: Binding,
    steps: list[StepDraft],
    index: ToolIndex,
) -> list[str]:
    """Return doubts, as sentences, about the last step: what it takes no account of.

    `steps`: all of the plan until now, this one too.
    """
    doubts: list[str] = []
    alone = not binding.refers and not steps[:-1] and not clause.question
    if alone and not clause.extra and points_back(clause, choice.profile):
        doubts.append(f"“{clause.text}” points to a result that no step gives.")
    if (nobody := asks_nobody(clause, choice.profile)) is not None:
        doubts.append(f"{nobody}.")
    doubts += [f"{doubt}." for doubt in (*unsaid(clause, step), *nameless(step))]
    doubts += open_choices(clause, choice.profile, step, binding.used)
    if asks_more(clause, choice.profile):
        doubts.append(
            f"“{clause.text}” asks something of what {step.id} reads; only reading is planned."
        )
    if (part := part_asked(clause, choice.profile)) is not None:
        doubts.append(f"{step.id} gives all that it reads, and not “{part}” alone.")
    several = (
        sends_addressee(step),
        one_of_several(clause, step, steps),
        whole_list(clause, step, steps),
    )
    doubts += [f"{doubt}." for doubt in several if doubt is not None]
    doubts += [f"{doubt}." for doubt in titles_only(clause, step, index)]
    others = [other for other in steps if other.clause is not clause]
    said = " ".join(clause.text.split())
    left = leftovers(clause, choice.match, binding, known_words(steps), others)
    return [*doubts, *(f"In “{said}”, nothing accounts for “{text}”." for text in left)]
