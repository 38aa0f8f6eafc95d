"""Arguments that do not pass validation become questions, so that a plan is not lost for one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flowbuilder.errors import Problem, Severity
from flowbuilder.planner.rules.composition import Composition
from flowbuilder.planner.rules.wording import question_text

_STEP = re.compile(r"/steps/(\d+)/args")
_ONE_OF = re.compile(r" needs one of these: '([^']+)'")
_ARGUMENT = re.compile(r"/steps/(?P<step>\d+)/args/(?P<name>[^/]+)")


def ask_instead(made: Composition, problems: Sequence[Problem]) -> bool:
    """Take out the arguments that problems point at; ask for those that a tool requires.

    Returns whether anything was changed, so that it is worth validating again.
    """
    changed = _ask_for_one(made, problems)
    for problem in problems:
        found = _ARGUMENT.match(problem.pointer)
        if found is None or problem.severity is not Severity.ERROR:
            continue
        if int(found.group("step")) >= len(made.steps):
            continue
        step = made.steps[int(found.group("step"))]
        name = found.group("name").replace("~1", "/").replace("~0", "~")
        slot = next((slot for slot in step.profile.slots if slot.name == name), None)
        if slot is None or name not in step.args:
            continue
        value = step.args.pop(name)
        changed = True
        made.doubts.append(f"{name} of {step.id} was left out: {value!r} does not fit it.")
        asked = any(other is step and place == f"args/{name}" for other, place, _ in made.questions)
        if slot.required and not asked:
            made.questions.append((step, f"args/{name}", question_text(slot, step)))
    return changed


def _ask_for_one(made: Composition, problems: Sequence[Problem]) -> bool:
    """Ask for the first of several arguments of which a tool needs one."""
    asked = False
    for problem in problems:
        found = _ONE_OF.search(problem.message)
        place = _STEP.fullmatch(problem.pointer)
        if found is None or place is None or problem.code != "missing_argument":
            continue
        step = made.steps[int(place[1])]
        slot = next((slot for slot in step.profile.slots if slot.name == found[1]), None)
        if slot is not None:
            made.questions.append((step, f"args/{slot.name}", question_text(slot, step)))
            asked = True
    return asked
