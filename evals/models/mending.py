"""How a model that knows the gold plan mends another one: what it is shown, and what it answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flowbuilder.evals.models.base import Request
from flowbuilder.planner.schema import IMPOSSIBLE
from flowbuilder.repair.edits import with_texts
from flowbuilder.types import JsonObject, JsonValue

_OTHER = re.compile(r"^- (\w+): ([\w.@-]+), gives ", re.MULTILINE)
_STEP = re.compile(r"\bsteps\.([A-Za-z_]\w*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What a request for a patch shows of a plan."""

    steps: tuple[JsonObject, ...]
    """Those that may be changed."""
    others: Mapping[str, str]
    """The tools of the steps that stay, by id."""


def shown_in(request: Request) -> Shown | None:
    """Return what a request for a patch shows, None if it asks for something else."""
    properties = (request.schema or {}).get("properties", {})
    if request.kind != "steps" or IMPOSSIBLE not in properties:
        return None
    text = request.messages[-1]["content"]
    lines = [line for line in text.splitlines() if line.startswith('{"id":')]
    return Shown(
        steps=tuple(json.loads(line) for line in lines),
        others=dict(_OTHER.findall(text)),
    )


def mended(gold: JsonObject, shown: Shown) -> JsonObject:
    """Return the patch that makes the shown plan the gold one, as far as it is shown.

    `tasks` are steps of a document, under the names that the plan has for them; a step that says
    what the gold says is not written again.
    """
    listed: Any = gold.get("steps")
    names = _names(listed, shown)
    written: dict[str, JsonObject] = {}
    for step in listed:
        name = names[str(step["id"])]
        if name not in shown.others:
            written[name] = {**_renamed(step, names), "id": name}
    steps = {str(step["id"]): step for step in shown.steps}
    tasks: list[JsonValue] = [
        step for name, step in written.items() if not _says(steps.get(name), step)
    ]
    removed: list[JsonValue] = [name for name in steps if name not in written]
    return {"steps": tasks, "remove": removed}


def _names(steps: list[Any], shown: Shown) -> dict[str, str]:
    """Return the plan's ids of gold steps: of a step that does the same, else a new one.

    The same name and tool are surest, then the same arguments, then the same tool, then the name
    of a step that may change.
    """
    args = {str(step["id"]): step.get("args") for step in shown.steps}
    known = {**{str(step["id"]): str(step.get("tool")) for step in shown.steps}, **shown.others}
    free = dict(known)
    names: dict[str, str] = {}

    def take(fits: Callable[[JsonObject, str], bool]) -> None:
        for step in steps:
            given = str(step["id"])
            found = [name for name in free if fits(step, name)] if given not in names else []
            if found:
                names[given] = found[0]
                del free[found[0]]

    take(lambda step, name: name == step["id"] and free[name] == step["tool"])
    take(lambda step, name: bool(args.get(name)) and args[name] == step.get("args"))
    take(lambda step, name: free[name] == step["tool"])
    take(lambda step, name: name == step["id"] and name not in shown.others)
    for step in steps:
        given = name = str(step["id"])
        number = 2
        while given not in names and name in {*known, *names.values()}:
            name, number = f"{given}_{number}", number + 1
        names.setdefault(given, name)
    return names


def _renamed(step: JsonObject, names: Mapping[str, str]) -> JsonObject:
    def rename(text: str) -> str:
        return _STEP.sub(lambda found: f"steps.{names.get(found[1], found[1])}", text)

    made: JsonObject = {key: with_texts(value, rename) for key, value in step.items()}
    after = step.get("depends_on")
    if isinstance(after, list):
        made["depends_on"] = [names.get(str(name), name) for name in after]
    return made


def _says(shown: JsonObject | None, wanted: JsonObject) -> bool:
    """Whether a shown step, as an answer has it, says what a document's step says."""
    if shown is None:
        return False
    keys = (("tool", "tool"), ("for_each", "for_each"), ("when", "when"), ("after", "depends_on"))
    same = all((shown.get(one) or None) == (wanted.get(other) or None) for one, other in keys)
    return same and (shown.get("args") or {}) == (wanted.get("args") or {})
