"""Write the addresses of a plan as the goal writes them."""

from __future__ import annotations

import re

from flowbuilder.planner.coercion import texts_of
from flowbuilder.planner.literals import literals
from flowbuilder.types import JsonObject


def trim_addresses(document: JsonObject, goal: str) -> list[str]:
    """Write addresses as the goal does where other words of it were hung on them: `…/rates.USD`.

    What is composed otherwise, behind a slash or a question mark, stays. Return one sentence for
    each change.
    """
    known = [item.text for item in literals(goal) if item.kind == "address"]
    steps, notes = document.get("steps"), []
    for step in steps if isinstance(steps, list) else []:
        given = step.get("args") if isinstance(step, dict) else None
        for name, value in (given if isinstance(given, dict) else {}).items():
            text = "".join(texts_of(value)[:1])
            found = next((item for item in known if _hangs_on(text, item, goal)), None)
            if found is not None and isinstance(step, dict) and isinstance(given, dict):
                given[name] = [found] if isinstance(value, list) else found
                notes.append(f"{step.get('id')}: {name} {value!r} was read as {found}.")
    return notes


def _hangs_on(text: str, address: str, goal: str) -> bool:
    found = re.fullmatch(rf"{re.escape(address)}([.-][.\w-]*\w)", text.strip())
    asked = re.fullmatch(rf"{re.escape(address)}\?(\w+(?:\.\w+)+)=[^&]*", text.strip())
    if asked and asked[1] in goal:
        return True  # a path within the answer is no parameter
    if re.fullmatch(rf"{re.escape(address)}[?!]+", text.strip()):
        return True
    return found is not None and found[1].strip(".-") in goal
