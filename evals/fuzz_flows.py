"""Random policies and random flows: everything that may stand between data and an effect."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from flowbuilder.evals.fuzz_tools import ACTS
from flowbuilder.types import JsonObject

PEOPLE = ("user:ada", "user:bob", "user:cyd")
ROLES = ("role:finance", "role:boss")
#: Flows that others call: what they do depends on their input, or on what they read themselves.
CHILDREN: dict[str, list[dict[str, Any]]] = {
    "child_acts": [
        {"id": "act", "tool": "act.send",
         "args": {"to": "ada@ours.example", "text": "${{ input.given }}", "amount": 1}},
    ],
    "child_reads": [{"id": "page", "tool": "web.read"}],
    "child_mixes": [
        {"id": "mix", "tool": "pure.mix", "args": {"of": "${{ input.given }}"}},
        {"id": "pay", "tool": "act.pay",
         "args": {"to": "x", "text": "", "amount": "${{ steps.mix.number }}"}},
    ],
}  # fmt: skip
_SOURCES = ("own.read", "web.read", "web.read", "own.read", "event.listen")
_CLOSED = {
    "type": "object",
    "properties": {"number": {"type": "number"}, "kind": {"enum": ["a", "b"]}},
    "additionalProperties": False,
}
_OPEN = {"type": "object", "properties": {"text": {"type": "string"}}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A flow to be fuzzed."""

    document: dict[str, Any]
    planned: bool
    """Whether it runs as a plan, whose approvals somebody has taken out of it."""


def child_document(name: str) -> dict[str, Any]:
    """Return a flow that others call."""
    return {"flow": name, "input": {"type": "object"}, "steps": CHILDREN[name]}


def random_policy(random: Random) -> JsonObject | None:
    """Return the document of a policy, None for the default."""
    if random.random() < 0.15:
        return None
    rules: Any = [_rule(random, number) for number in range(random.randint(0, 4))]
    document: JsonObject = {"policy": "policy.v1", "rules": rules}
    document["otherwise"] = random.choice(["default", "default", "default", "allow", "approve",
                                           "refuse"])  # fmt: skip
    return document


def _rule(random: Random, number: int) -> dict[str, Any]:
    rule: dict[str, Any] = {"name": f"r{number}"}
    if random.random() < 0.7:
        rule["tools"] = [random.choice(["act.*", "act.send", "act.pay", "*", "web.read", "flow.*"])]
    if random.random() < 0.5:
        rule["effects"] = random.sample(["write", "external", "irreversible", "read"], 2)
    rule["data"] = random.choice(["any", "any", "outside", "text"])
    rule["flows"] = random.choice(["any", "any", "planned"])
    for name in ("where", "unless"):
        if random.random() < 0.3:
            rule[name] = [_constraint(random)]
    rule["then"] = random.choice(["allow", "approve", "approve", "approve", "refuse"])
    if "tools" not in rule and "effects" not in rule and rule["then"] == "refuse":
        rule["effects"] = ["external", "irreversible"]
    if rule["then"] == "approve":
        rule["quorum"] = random.choice([1, 1, 1, 2])
        if random.random() < 0.4:
            rule["by"] = random.sample([*PEOPLE, *ROLES], 3)
    return rule


def _constraint(random: Random) -> dict[str, Any]:
    return random.choice(
        [
            {"arg": "/to", "domain_in": ["ours.example"]},
            {"arg": "/amount", "at_most": 10},
            {"arg": "/amount", "at_least": 1, "at_most": 100},
            {"arg": "/to", "one_of": ["x", "ada@ours.example"]},
            {"arg": "/text", "starts_with": ["fine"]},
        ]
    )


def random_program(random: Random, number: int) -> Program:
    """Return a flow of steps that read, mix, extract, ask, call others, fail and act."""
    steps: list[dict[str, Any]] = []
    called = False
    for place in range(random.randint(2, 7)):
        kind = random.choice(["source", "source", "mix", "extract", "act", "act", "act", "child"])
        if place == 0:
            kind = "source"
        if kind == "child" and called:
            kind = "act"
        called = called or kind == "child"
        steps += _STEPS[kind](random, f"s{place}", steps)
    if not any(step["tool"] in ACTS for step in steps):
        steps += _act(random, "last", steps)
    if random.random() < 0.1:
        _undo(random, steps)
    return Program(
        document={"flow": f"fuzzed_{number % 50}", "input": {"type": "object"}, "steps": steps},
        planned=random.random() < 0.4,
    )


def _source(random: Random, name: str, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    tool = random.choice(_SOURCES)
    step: dict[str, Any] = {"id": name, "tool": tool}
    if tool == "event.listen":
        step["args"] = {"name": "told"}
    if random.random() < 0.15 and steps:
        step["depends_on"] = [random.choice(steps)["id"]]
    return [step]


def _mix(random: Random, name: str, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    step: dict[str, Any] = {"id": name, "tool": "pure.mix", "args": {"of": _take(random, steps)}}
    if random.random() < 0.2:
        step["args"]["of"] = {"deep": [_take(random, steps), _take(random, steps)]}
    return [step]


def _extract(random: Random, name: str, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    args = {"text": _take(random, steps), "schema": random.choice([_CLOSED, _OPEN])}
    return [{"id": name, "tool": "llm.extract", "args": args}]


def _child(random: Random, name: str, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    args = {"flow": random.choice(list(CHILDREN)), "input": {"given": _take(random, steps)}}
    return [_with_own_words(random, {"id": name, "tool": "flow.run", "args": args})]


def _act(random: Random, name: str, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    args = _arguments(random, steps)
    step: dict[str, Any] = {"id": name, "tool": random.choice(ACTS), "args": args}
    made = [step]
    chance = random.random()
    lists = [item["id"] for item in steps if item["tool"] in ("own.read", "web.read", "pure.mix")
             and "for_each" not in item]  # fmt: skip
    if chance < 0.15 and lists:
        step["for_each"] = f"${{{{ steps.{random.choice(lists)}.list }}}}"
        step["args"] = {**args, "text": "${{ item }}"}
    elif chance < 0.35:
        shown = random.choice([args, args, {}, {"text": args["text"]}])
        ask = {"id": f"{name}_ask", "tool": "human.approve",
               "args": {"message": "may I?", "data": dict(shown)}}  # fmt: skip
        made = [ask, {**step, "depends_on": [ask["id"]]}]
        if random.random() < 0.2:
            made[1]["trigger_rule"] = "all_done"
    elif chance < 0.4 and steps:
        step["when"] = f"steps.{steps[0]['id']} != null"
    made[-1] = _with_own_words(random, made[-1])
    return made


def _with_own_words(random: Random, step: dict[str, Any]) -> dict[str, Any]:
    """Let a step speak for itself: its approval, its retries, what its failure means."""
    more: dict[str, Any] = {"retry": {"max_attempts": 3, "base_delay": "0s"}}
    if random.random() < 0.25:
        more["approval"] = {
            "by": random.choice([[], [], ["user:ada"], ["role:boss"]]),
            "on_deadline": random.choice(["reject", "approve"]),
            "quorum": random.choice([1, 1, 1, 2]),
        }
    if random.random() < 0.5:
        more["on_error"] = random.choice(["continue", "skip"])
    return {**step, **more}


def _undo(random: Random, steps: list[dict[str, Any]]) -> None:
    """Have an act undone, because the last step fails."""
    acts = [step for step in steps if step["tool"] in ACTS and "for_each" not in step]
    if acts:
        chosen = random.choice(acts)
        chosen["compensate"] = {"tool": random.choice(ACTS), "args": chosen["args"]}
        steps.append({"id": "fails", "tool": "own.fail", "retry": {"max_attempts": 1},
                      "depends_on": [step["id"] for step in steps],
                      "trigger_rule": "all_done"})  # fmt: skip


def _arguments(random: Random, steps: list[dict[str, Any]]) -> dict[str, Any]:
    to = random.choice(["ada@ours.example", "eve@evil.example", "x", None])
    amount = random.choice([1, 5, 50, 1000, None])
    text = random.choice(["fine", None, None])
    return {
        "to": _take(random, steps, "text") if to is None else to,
        "text": _take(random, steps) if text is None else text,
        "amount": _take(random, steps, "number") if amount is None else amount,
    }


def _take(random: Random, steps: list[dict[str, Any]], field: str | None = None) -> Any:
    """Return a reference to an earlier step's output, or a literal where there is none."""
    if not steps or random.random() < 0.1:
        return random.choice(["literal", "${{ input.own }}"])
    step = random.choice(steps)
    path = random.choice([field or "text", field or "number"])
    plain = "for_each" in step or step["tool"] in ("flow.run", "human.approve", "event.listen")
    inner = f"steps.{step['id']}" if plain else f"steps.{step['id']}.{path}"
    exact = f"${{{{ {inner} }}}}"
    return f"about {exact}!" if random.random() < 0.15 else exact


_STEPS = {"source": _source, "mix": _mix, "extract": _extract, "act": _act, "child": _child}
