"""Policy: which steps of a planned flow need a person. It stands outside the planners: no plan can
lower it, and what a plan asks for itself is kept.

Two reasons for an approval: what the tool does (`effects`), and where its arguments come from.
Data that an untrusted output (a web page, a model's answer) had a part in is tainted, through any
number of steps; when it reaches an argument of a step with effects, a person looks at it.

A `human.approve` step in front replaces an inserted approval only when the effectful step cannot
start without it and takes no data from any step that the person was not shown: else the decision
would not be about what is done.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flowbuilder.flow import ApprovalPolicy, Flow, Step, TriggerRule
from flowbuilder.graph import ancestors, dependencies
from flowbuilder.references import find
from flowbuilder.tools import Effects, Tool, ToolRegistry

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
    tainted = tainted_steps(flow, tools)
    graph = dependencies(flow)
    steps: list[Step] = []
    notes: list[str] = []
    for step in flow.steps:
        reason = _reason(step, tools[step.id], tainted, policy)
        if reason is None or step.approval is not None or _is_asked_before(step, flow, graph):
            steps.append(step)
            continue
        steps.append(step.model_copy(update={"approval": ApprovalPolicy(message=reason)}))
        notes.append(f"Step {step.id} waits for an approval: {reason[0].lower()}{reason[1:]}")
    if not notes:
        return flow, ()
    return flow.model_copy(update={"steps": steps}), tuple(notes)


def tainted_steps(flow: Flow, tools: dict[str, Tool | None]) -> set[str]:
    """Return the steps whose output somebody outside had a part in."""
    graph = dependencies(flow)
    sources = {name for name, tool in tools.items() if tool is None or tool.untrusted_output}
    return {name for name in graph if name in sources or ancestors(graph, [name]) & sources}


def _reason(step: Step, tool: Tool | None, tainted: set[str], policy: Policy) -> str | None:
    if tool is None:
        return None
    reads = {found.reference.step for found in [*find(step.args), *find(step.for_each)]}
    dirty = sorted(name for name in reads if name in tainted)
    if tool.effects in policy.taint and dirty:
        return f"{tool.name} would use data from outside (through {', '.join(dirty)})."
    if tool.effects in policy.approve:
        return f"{tool.name} has effects: {tool.effects.value}."
    return None


def _is_asked_before(step: Step, flow: Flow, graph: dict[str, tuple[str, ...]]) -> bool:
    """Whether a person has agreed to exactly the data that this step takes."""
    if step.trigger_rule is not TriggerRule.ALL_SUCCESS or step.for_each is not None:
        return False
    takes = {found.reference.step for found in find(step.args)} - {None}
    for name in graph[step.id]:
        asked = flow.step(name)
        if asked is None or asked.tool.partition("@")[0] != _APPROVE:
            continue
        shown = {found.reference.step for found in find(asked.args.get("data"))}
        if asked.on_error.value == "fail" and takes <= shown | {asked.id}:
            return True
    return False
