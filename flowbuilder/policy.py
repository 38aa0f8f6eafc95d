"""Policy: which steps of a planned flow need a person.

It stands outside the planners: no plan can lower it, and what a plan asks for itself is kept,
except that the passing of a deadline never stands for a yes.

Two reasons for an approval: what the tool does (`effects`), and where its arguments come from.
Data that an untrusted output (a web page, a model's answer) had a part in is tainted, through any
number of steps; when it reaches an argument of a step with effects, a person looks at it.

A `human.approve` step in front replaces an inserted approval only when the effectful step cannot
start without it and takes nothing from other steps that the person was not shown in its `data`:
else the decision would not be about what is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from flowbuilder.flow import ApprovalPolicy, Flow, OnError, Step, TriggerRule
from flowbuilder.graph import Graph, dependencies, descendants
from flowbuilder.references import Reference, find
from flowbuilder.tools import Effects, Tool, ToolRegistry
from flowbuilder.tools.labels import tool_label

_APPROVE = "human.approve"


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What needs a person."""

    approve: frozenset[Effects] = field(
        default_factory=lambda: frozenset({Effects.WRITE, Effects.EXTERNAL, Effects.IRREVERSIBLE})
    )
    """Effects that always need one."""
    taint: frozenset[Effects] = field(
        default_factory=lambda: frozenset({Effects.WRITE, Effects.EXTERNAL, Effects.IRREVERSIBLE})
    )
    """Effects that need one when tainted data reaches an argument."""


DEFAULT_POLICY = Policy()


def apply_policy(
    flow: Flow, registry: ToolRegistry, policy: Policy = DEFAULT_POLICY
) -> tuple[Flow, tuple[str, ...]]:
    """Return the flow with the approvals that policy asks for, and a sentence for each.

    Deterministic and idempotent: a second application changes nothing and has nothing to say.
    """
    tools = {step.id: registry.get(step.tool) for step in flow.steps}
    graph = dependencies(flow)
    tainted = tainted_steps(graph, tools)
    steps: list[Step] = []
    notes: list[str] = []
    for given in flow.steps:
        step, note = _with_asked_compensation(given, registry, tainted, policy)
        notes += note
        reason = _reason(step, tools[step.id], tainted, policy)
        if reason is not None and step.approval is not None:
            kept = _with_a_person(step.approval)
            if kept is not step.approval:
                notes.append(f"Step {step.id} waits for a person: time alone approves nothing.")
                step = step.model_copy(update={"approval": kept})
        if (
            reason is None
            or step.approval is not None
            or is_asked_before(
                step, [item for name in graph[step.id] if (item := flow.step(name)) is not None]
            )
        ):
            steps.append(step)
            continue
        steps.append(step.model_copy(update={"approval": ApprovalPolicy(message=reason)}))
        notes.append(f"Step {step.id} waits for an approval: {reason[0].lower()}{reason[1:]}")
    if not notes:
        return flow, ()
    return flow.model_copy(update={"steps": steps}), tuple(notes)


def _with_asked_compensation(
    step: Step, registry: ToolRegistry, tainted: set[str], policy: Policy
) -> tuple[Step, list[str]]:
    """Return the step so that what undoes it asks a person where a step would, and a sentence."""
    undoing = step.compensate
    if undoing is None:
        return step, []
    reason = _reason(undoing.as_step(step.id), registry.get(undoing.tool), tainted, policy)
    if reason is None:
        return step, []
    given = undoing.approval
    asked = ApprovalPolicy(message=reason) if given is None else _with_a_person(given)
    if asked is given:
        return step, []
    asking = undoing.model_copy(update={"approval": asked})
    note = f"What undoes step {step.id} waits for an approval: {reason[0].lower()}{reason[1:]}"
    return step.model_copy(update={"compensate": asking}), [note]


def _with_a_person(approval: ApprovalPolicy) -> ApprovalPolicy:
    """Return the approval so that it cannot be given by a deadline that passes."""
    if approval.on_deadline == "reject":
        return approval
    return approval.model_copy(update={"on_deadline": "reject"})


def tainted_steps(graph: Graph, tools: dict[str, Tool | None]) -> set[str]:
    """Return the steps whose output somebody outside had a part in."""
    sources = {name for name, tool in tools.items() if tool is None or tool.untrusted_output}
    return sources | descendants(graph, sources)


def _reason(step: Step, tool: Tool | None, tainted: set[str], policy: Policy) -> str | None:
    if tool is None:
        return None
    reads = {found.reference.step for found in [*find(step.args), *find(step.for_each)]}
    dirty = sorted(name for name in reads if name in tainted)
    if tool.effects in policy.taint and dirty:
        return f"{tool_label(tool.name)} would use data from outside (through {', '.join(dirty)})."
    if tool.effects in policy.approve:
        return f"{tool_label(tool.name)} has effects: {tool.effects.value}."
    return None


def is_asked_before(step: Step, before: Sequence[Step]) -> bool:
    """Whether a person has agreed to exactly the data that a step takes.

    `before` are the steps that it waits for.
    """
    if step.trigger_rule is not TriggerRule.ALL_SUCCESS or step.for_each is not None:
        return False
    takes = [found.reference for found in find(step.args) if found.reference.step is not None]
    for asked in before:
        if not _always_asks(asked):
            continue
        shown = [found.reference for found in find(asked.args.get("data"))]
        if all(taken.step == asked.id or _covers(shown, taken) for taken in takes):
            return True
    return False


def _always_asks(step: Step) -> bool:
    """Whether a step that has completed stands for a person's yes."""
    return (
        step.tool.partition("@")[0] == _APPROVE
        and step.for_each is None  # over no elements, nobody is asked
        and step.on_error is OnError.FAIL
        and step.args.get("on_deadline", "reject") == "reject"
    )


def _covers(shown: Sequence[Reference], taken: Reference) -> bool:
    """Whether the value that is taken is part of one that was shown."""
    return any(
        item.step == taken.step and item.path == taken.path[: len(item.path)] for item in shown
    )
