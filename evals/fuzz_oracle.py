"""Which effects were allowed, decided from first principles.

Nothing of the policy's or the engine's own code is used here: the rules of the documents are read
again, taint is followed by a walk of its own, and what people have agreed to is what the fuzzer
wrote down when it showed it to them, not what the database says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flowbuilder.evals.fuzz_tools import KNOWN, Effect

_WRITTEN = re.compile(r"(?<!\$)\$\{\{\s*(.*?)\s*\}\}")
_CHANGES = ("write", "external", "irreversible")
_DEFAULT: list[dict[str, Any]] = [
    {"effects": ["write", "external"], "data": "text", "then": "approve"},
    {"effects": ["irreversible"], "data": "outside", "then": "approve"},
    {"effects": list(_CHANGES), "flows": "planned", "then": "approve"},
]
_CLOSED_KEYS = {"number", "kind"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """Somebody said yes to something, as it was shown to them."""

    approval_id: str
    person: str
    args: str
    """Canonical JSON of what was agreed to."""


@dataclass(kw_only=True, slots=True)
class Question:
    """An approval as a person saw it."""

    run_id: str
    step_id: str
    task_id: str
    kind: str
    by: tuple[str, ...]
    shown: str
    """JSON, its keys in the order in which they were shown: a text may hold them so."""


@dataclass(kw_only=True, slots=True)
class Story:
    """All that is known of one fuzzing."""

    policies: list[Any] = field(default_factory=list)
    """The document of each epoch."""
    programs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The flow of each run."""
    planned: set[str] = field(default_factory=set)
    parents: dict[str, str] = field(default_factory=dict)
    """The parent of each child run."""
    children: set[tuple[str, str]] = field(default_factory=set)
    """Which runs have started which flows: a child that never ran has said nothing."""
    questions: dict[str, Question] = field(default_factory=dict)
    agreements: list[Agreement] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Violation:
    """An effect that was not allowed."""

    effect: Effect
    why: str


def violations(effects: Sequence[Effect], story: Story) -> list[Violation]:
    """Return the effects that nobody may have brought about."""
    return [
        Violation(effect=effect, why=why)
        for effect in effects
        if (why := _why_not(effect, story)) is not None
    ]


def _why_not(effect: Effect, story: Story) -> str | None:
    step = _step_of(effect, story)
    rule = _rule_for(effect, step, story)
    if rule["then"] == "refuse":
        return f"refused by {rule}"
    own = step.get("approval")
    if rule["then"] == "allow" and own is None:
        return None
    needed = max(rule.get("quorum", 1), (own or {}).get("quorum", 1))
    allowed = tuple(rule.get("by") or ())
    best = _most_agreeing(effect, story, allowed)
    if best >= needed:
        return None
    if rule["then"] == "allow" and effect.late and (own or {}).get("on_deadline") == "approve":
        return None
    if own is None and not allowed and needed == 1 and _was_asked_in_front(effect, step, story):
        return None
    return f"{best} of {needed} have agreed to these arguments; rule {rule}"


def _step_of(effect: Effect, story: Story) -> dict[str, Any]:
    name = effect.step_id.removeprefix("compensate:")
    step = next(item for item in story.programs[effect.run_id]["steps"] if item["id"] == name)
    if effect.step_id != name:
        undoing: dict[str, Any] = {"id": name, **step["compensate"]}
        return undoing
    found: dict[str, Any] = step
    return found


def _most_agreeing(effect: Effect, story: Story, allowed: tuple[str, ...]) -> int:
    """Return how many people have agreed last to exactly this, on one question about this task."""
    wanted = canonical(effect.args)
    counts = [0]
    for number, question in story.questions.items():
        if (question.task_id, question.run_id) != (effect.task_id, effect.run_id):
            continue
        if question.kind != "gate" or (
            allowed and not (question.by and set(question.by) <= set(allowed))
        ):
            continue
        last = {item.person: item.args for item in story.agreements if item.approval_id == number}
        counts.append(sum(1 for said in last.values() if said == wanted))
    return max(counts)


def _was_asked_in_front(effect: Effect, step: Mapping[str, Any], story: Story) -> bool:
    """Whether a step before has shown somebody the very values that came from other steps."""
    steps = {item["id"]: item for item in story.programs[effect.run_id]["steps"]}
    if step.get("for_each") is not None or step.get("trigger_rule", "all_success") != "all_success":
        return False
    for number, question in story.questions.items():
        asked = steps.get(question.step_id)
        if question.run_id != effect.run_id or question.kind != "decision" or asked is None:
            continue
        if question.step_id not in _needs(step):
            continue
        data, shown = asked["args"].get("data") or {}, json.loads(question.shown) or {}
        seen: dict[str, Any] = {
            _WRITTEN.findall(text)[0]: shown.get(key)
            for key, text in data.items()
            if isinstance(text, str) and _WRITTEN.fullmatch(text)
        }
        for said in (item for item in story.agreements if item.approval_id == number):
            answer = {"approved": True, "by": said.person, "comment": None, "value": None}
            if _all_was_shown(effect, step, {**seen, f"steps.{question.step_id}": answer}, shown):
                return True
    return False


def _all_was_shown(
    effect: Effect, step: Mapping[str, Any], seen: Mapping[str, Any], shown: Mapping[str, Any]
) -> bool:
    told = [canonical(item) for item in shown.values()]
    for key, text in step["args"].items():
        if not isinstance(text, str) or not _WRITTEN.search(text):
            if text not in (None, "") and canonical(text) not in told:
                return False
            continue
        if not set(_WRITTEN.findall(text)) <= {*seen}:
            return False
        if canonical(effect.args.get(key)) != canonical(_written(text, seen)):
            return False
    return True


def _written(text: str, values: Mapping[str, Any]) -> Any:
    """Return a text with its references replaced by the values that were shown."""
    if _WRITTEN.fullmatch(text):
        return values.get(_WRITTEN.findall(text)[0])

    def shown(found: re.Match[str]) -> str:
        value = values.get(found[1])
        return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))

    return _WRITTEN.sub(shown, text)


# -- what the policy says -------------------------------------------------------------------


def _rule_for(effect: Effect, step: Mapping[str, Any], story: Story) -> dict[str, Any]:
    document = story.policies[effect.epoch] or {}
    kind = KNOWN[effect.tool][0]
    level = _taint_of_arguments(effect.run_id, step, story)
    otherwise = document.get("otherwise", "default")
    behind = _DEFAULT if otherwise == "default" else [{"then": otherwise}]
    for rule in [*document.get("rules", []), *behind]:
        if not any(_names(item, effect.tool) for item in rule.get("tools", ["*"])):
            continue
        if rule.get("effects") and kind not in rule["effects"]:
            continue
        if level < {"any": 0, "outside": 1, "text": 2}[rule.get("data", "any")]:
            continue
        if rule.get("flows") == "planned" and effect.run_id not in story.planned:
            continue
        if not all(_holds(item, effect.args) for item in rule.get("where", [])):
            continue
        unless = rule.get("unless", [])
        if unless and all(_holds(item, effect.args) for item in unless):
            continue
        found: dict[str, Any] = rule
        return found
    return {"then": "allow"}


def _names(pattern: str, tool: str) -> bool:
    return pattern in ("*", tool) or (pattern[-2:] == ".*" and tool.split(".")[0] == pattern[:-2])


def _holds(constraint: Mapping[str, Any], args: Mapping[str, Any]) -> bool:
    key = constraint["arg"][1:]
    if key not in args:
        return False
    values = list(_leaves(args[key]))
    return bool(values) and all(_fits(constraint, value) for value in values)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _fits(constraint: Mapping[str, Any], value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if "domain_in" in constraint and not (
        isinstance(value, str)
        and value.count("@") == 1
        and value.isascii()
        and " " not in value
        and value.partition("@")[2] in constraint["domain_in"]
    ):
        return False
    if "one_of" in constraint and value not in constraint["one_of"]:
        return False
    if "starts_with" in constraint and not (
        isinstance(value, str)
        and ".." not in value
        and value.startswith(tuple(constraint["starts_with"]))
    ):
        return False
    if "at_least" in constraint and not (number and value >= constraint["at_least"]):
        return False
    return not ("at_most" in constraint and not (number and value <= constraint["at_most"]))


# -- where the data comes from --------------------------------------------------------------


def _taint_of_arguments(run_id: str, step: Mapping[str, Any], story: Story) -> int:
    """Return 0: ours, 1: numbers and choices of outsiders, 2: words of outsiders."""
    parts = [step.get("args"), step.get("for_each")]
    levels = [0]
    for name in {name for part in parts for name in _steps_in(part)}:
        levels.append(_taint_of_step(run_id, name, story, ()))
    if any(_reads_input(part) for part in parts) and _input_taint(run_id, story):
        levels.append(2)
    return max(levels)


def _taint_of_step(run_id: str, name: str, story: Story, seen: tuple[str, ...]) -> int:
    steps = {item["id"]: item for item in story.programs[run_id]["steps"]}
    step = steps.get(name)
    if step is None or name in seen:
        return 0
    if step["tool"] == "llm.extract":
        fields = set(step["args"]["schema"].get("properties", {}))
        shut = step["args"]["schema"].get("additionalProperties") is False
        return 1 if shut and fields <= _CLOSED_KEYS else 2
    if KNOWN[step["tool"]][1]:
        return 2
    levels = [_taint_of_step(run_id, item, story, (*seen, name)) for item in _needs(step)]
    if step["tool"] == "flow.run" and (run_id, step["args"]["flow"]) in story.children:
        inside = story.programs[f"flow:{step['args']['flow']}"]["steps"]
        given = _taint_of_arguments(run_id, step, story)
        levels.append(2 if given or any(KNOWN[item["tool"]][1] for item in inside) else 0)
    if _reads_input(step.get("args")) and _input_taint(run_id, story):
        levels.append(2)
    return max(levels, default=0)


def _input_taint(run_id: str, story: Story) -> bool:
    """Whether the run is a child that was given data from outside."""
    parent = story.parents.get(run_id)
    if parent is None:
        return False
    slug = story.programs[run_id]["flow"]
    return any(
        _taint_of_arguments(parent, step, story) > 0
        for step in story.programs[parent]["steps"]
        if step["tool"] == "flow.run" and step["args"]["flow"] == slug
    )


def _needs(step: Mapping[str, Any]) -> set[str]:
    names = set(step.get("depends_on", ()))
    for part in (step.get("args"), step.get("for_each")):
        names |= _steps_in(part)
    return names | set(re.findall(r"steps\.([A-Za-z0-9_]+)", step.get("when") or ""))


def _steps_in(value: Any) -> set[str]:
    return {
        found[1]
        for text in _texts(value)
        for found in (re.match(r"steps\.([A-Za-z0-9_]+)", item) for item in _WRITTEN.findall(text))
        if found is not None
    }


def _reads_input(value: Any) -> bool:
    found = [item for text in _texts(value) for item in _WRITTEN.findall(text)]
    return any(item.startswith("input") for item in found)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def canonical(value: Any) -> str:
    """Return a value as JSON with sorted keys."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
