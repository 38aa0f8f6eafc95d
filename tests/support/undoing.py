"""What a random program that fails must have undone, worked out without the engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flowbuilder.types import JsonObject, JsonValue
from tests.support.programs import Ending, Program


def same(one: JsonValue, other: JsonValue) -> bool:
    """Whether two values are the same JSON: 0 is not false, and 1 is not true."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def surely_before(program: Program, name: str) -> set[str]:
    """Return the steps that have ended whenever this one has begun.

    A step that may begin with its first success waits for none of them in particular, and what was
    skipped has not waited either: only steps that complete lead further back.
    """
    rules = {str(step["id"]): step["trigger_rule"] for step in program.steps}
    if rules[name] == "one_success" and len(program.before[name]) > 1:
        return set()
    return {*program.before[name]}


def history(program: Program, ending: Ending, name: str) -> set[str]:
    """Return all that have completed whenever this step has begun."""
    found: set[str] = set()
    for earlier in surely_before(program, name):
        if ending.status.get(earlier) == "completed":
            found |= {earlier} | history(program, ending, earlier)
    return found


def check_undone(
    program: Program, ending: Ending, error: Mapping[str, Any], entered: set[str]
) -> int:
    """Assert that a failed run has undone what it had to, in an order that makes sense.

    Args:
        program: What was run.
        ending: What it comes to.
        error: Of the failed run: `compensated` and `not_compensated`, where anything was undone.
        entered: Names of the steps for which a compensation has begun, by the ledger.

    Returns:
        How many steps were undone, or could not be.
    """
    undoable = {name for name, script in program.scripts.items() if script.undo}
    done = {name for name in undoable
            if ending.status.get(name) == "completed" and name not in ending.forgiven}  # fmt: skip
    histories = [history(program, ending, name) for name in ending.fatal]
    good: list[str] = error.get("compensated", [])
    bad: list[JsonObject] = error.get("not_compensated", [])
    touched = {*good, *(str(one["step"]) for one in bad)}
    assert len(touched) == len(good) + len(bad), "a step stands in both lists, or twice"
    assert done & set[str].intersection(*histories) <= touched <= done
    assert entered == touched
    stubborn = {name for name in touched if program.scripts[name].undo == "stubborn"}
    assert {str(one["step"]) for one in bad} == stubborn
    for place, name in enumerate(good):
        later = history(program, ending, name) & set(good[:place])
        assert not later, f"{later} were undone before {name}, which had begun after them"
    return len(touched)
