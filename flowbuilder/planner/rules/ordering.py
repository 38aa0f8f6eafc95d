"""Which step has to wait for which, beyond what it takes in: "then", pauses, people's answers."""

from __future__ import annotations

import json
from collections.abc import Sequence

from flowbuilder.planner.document import MENTION
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.outputs import StepDraft

#: Tools that are there to hold the run up; what stands after them in the goal comes after them.
PAUSES = frozenset({"time.sleep", "human.approve"})
_HOLDS = "human."


def set_order(
    clause: Clause, new: Sequence[StepDraft], previous: Sequence[StepDraft], steps: list[StepDraft]
) -> list[str]:
    """Make the new steps of a clause wait for what the goal's words put before them.

    Returns what is doubtful about it.
    """
    first = steps.index(new[0]) if new else len(steps)
    pauses = [step for step in steps[:first] if _holds(step)][-1:]
    pausing = any(step.profile.tool.name in PAUSES for step in new)
    ends = _ends(previous) if clause.later or pausing else []
    wanted = [*ends, *(step for step in pauses if step not in ends)]
    doubts: list[str] = []
    for step in new:
        for other in wanted:
            if other.id not in reach(step, steps):
                step.depends_on.append(other.id)
                if other.when is not None:
                    doubts.append(
                        f"{step.id} waits for {other.id}, which may be skipped by its condition."
                    )
    return doubts


def _holds(step: StepDraft) -> bool:
    name = step.profile.tool.name
    return name in PAUSES or name.startswith(_HOLDS)


def _ends(previous: Sequence[StepDraft]) -> list[StepDraft]:
    """Return the steps of a clause that no other step of it takes anything from."""
    taken = {name for step in previous for name in mentions(step)}
    return [step for step in previous if step.id not in taken]


def mentions(step: StepDraft) -> set[str]:
    """Return the ids of the steps that a step names in its arguments and conditions."""
    text = json.dumps([step.args, step.for_each, step.when], default=str)
    return {*MENTION.findall(text), *step.depends_on}


def reach(step: StepDraft, steps: Sequence[StepDraft]) -> set[str]:
    """Return the ids of all steps that a step waits for, directly or not, and its own."""
    by_id = {item.id: item for item in steps}
    found: set[str] = set()
    open_ids = [step.id]
    while open_ids:
        name = open_ids.pop()
        if name in found or name not in by_id:
            continue
        found.add(name)
        open_ids += mentions(by_id[name])
    return found
