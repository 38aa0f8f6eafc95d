"""What policy means for a whole flow, as far as it can be told before anything runs."""

from __future__ import annotations

from collections.abc import Sequence

from flowbuilder.errors import Fix, InvalidValue, Problem, Severity
from flowbuilder.flow import ApprovalPolicy, Flow, Step
from flowbuilder.graph import needs
from flowbuilder.policy.asking import is_asked_before
from flowbuilder.policy.deciding import Decision, Facts, Policies, decide
from flowbuilder.policy.document import DEFAULT_POLICY, Action, Policy
from flowbuilder.policy.taint import Taints
from flowbuilder.tools import ToolRegistry


def apply_policy(
    flow: Flow,
    registry: ToolRegistry,
    policy: Policy | Policies = DEFAULT_POLICY,
    *,
    planned: bool = True,
) -> tuple[Flow, tuple[str, ...]]:
    """Return a flow with the approvals that policy asks for, and a sentence for each.

    Deterministic and idempotent: a second application changes nothing and has nothing to say.
    `planned`: whether its runs are those of a plan, for which policy may ask more.
    """
    judge = _Judge(flow, registry, policy, planned=planned)
    steps: list[Step] = []
    notes: list[str] = []
    for given in flow.steps:
        step, told = judge.with_asked_compensation(given)
        notes += told
        decision = judge.decision(step)
        if decision is None or decision.action is not Action.APPROVE:
            steps.append(step)
            continue
        asked, told = judge.asked(step, decision)
        steps.append(asked)
        notes += told
    if not notes:
        return flow, ()
    return flow.model_copy(update={"steps": steps}), tuple(notes)


def policy_problems(
    flow: Flow, registry: ToolRegistry, policy: Policy | Policies, *, planned: bool = False
) -> list[Problem]:
    """Return what policy refuses of a flow whatever the data, and what it will ask a person for."""
    judge = _Judge(flow, registry, policy, planned=planned)
    problems: list[Problem] = []
    for place, step in enumerate(flow.steps):
        parts = [(step, f"/steps/{place}")]
        if step.compensate is not None:
            parts.append((step.compensate.as_step(step.id), f"/steps/{place}/compensate"))
        for part, pointer in parts:
            decision = judge.decision(part)
            if decision is not None:
                problems += _said_of(part, pointer, decision)
    return problems


def _said_of(step: Step, pointer: str, decision: Decision) -> list[Problem]:
    if decision.action is Action.REFUSE:
        return [
            Problem(
                code="policy_refused",
                pointer=f"{pointer}/tool",
                message=decision.reason,
                hint=f"The policy's rule {decision.rule} does not let it happen, whoever agrees.",
                fix=Fix.USER,
            )
        ]
    if decision.action is Action.APPROVE and step.approval is None:
        whom = ", ".join(decision.by) or "a person"
        many = f"{decision.quorum} of " if decision.quorum > 1 else ""
        return [
            Problem(
                code="policy_asks",
                pointer=pointer,
                message=f"{decision.reason} It will wait for {many}{whom}.",
                hint=f"The policy's rule {decision.rule} says so; nothing is to be done.",
                severity=Severity.WARNING,
                fix=Fix.AUTO,
            )
        ]
    return []


class _Judge:
    """Asks policy about each step of one flow."""

    def __init__(
        self, flow: Flow, registry: ToolRegistry, policy: Policy | Policies, *, planned: bool
    ) -> None:
        self._policies = [policy] if isinstance(policy, Policy) else policy
        self._steps = {step.id: step for step in flow.steps}
        self._registry, self._planned = registry, planned
        self._taints = Taints(self._steps.get, registry)

    def decision(self, step: Step) -> Decision | None:
        """Return what policy says of a step; None for a tool that there is not."""
        tool = self._registry.get(step.tool)
        if tool is None:
            return None
        taint, through = self._taints.of_arguments(step)
        facts = Facts(
            tool=tool.name,
            effects=tool.effects,
            args=step.args,
            resolved=False,
            taint=taint,
            through=through,
            planned=self._planned,
        )
        return decide(self._policies, facts)

    def asked(self, step: Step, decision: Decision) -> tuple[Step, list[str]]:
        """Return the step with the approval that it needs, and what was changed in a sentence."""
        given = step.approval
        asking = decision.asking(given)
        if given is None:
            before = [self._steps[name] for name in needs(step) if name in self._steps]
            if not decision.by and decision.quorum == 1 and _is_asked(step, before):
                return step, []
            return step.model_copy(update={"approval": asking}), [
                f"Step {step.id} waits for an approval: {_lower(decision.reason)}"
            ]
        if asking == given:
            return step, []
        asking_step = step.model_copy(update={"approval": asking})
        return asking_step, [_changed(f"Step {step.id}", given, asking)]

    def with_asked_compensation(self, step: Step) -> tuple[Step, list[str]]:
        """Return the step so that what undoes it asks a person where a step would."""
        undoing = step.compensate
        decision = None if undoing is None else self.decision(undoing.as_step(step.id))
        if undoing is None or decision is None or decision.action is not Action.APPROVE:
            return step, []
        asking = decision.asking(undoing.approval)
        if asking == undoing.approval:
            return step, []
        note = f"What undoes step {step.id} waits for an approval: {_lower(decision.reason)}"
        changed = undoing.model_copy(update={"approval": asking})
        return step.model_copy(update={"compensate": changed}), [note]


def _is_asked(step: Step, before: Sequence[Step]) -> bool:
    try:
        return is_asked_before(step, before)
    except InvalidValue:
        return False


def _changed(what: str, given: ApprovalPolicy, asking: ApprovalPolicy) -> str:
    if given.by != asking.by or given.quorum != asking.quorum:
        whom = ", ".join(asking.by) or "anyone"
        many = f"{asking.quorum} of " if asking.quorum > 1 else ""
        return f"{what} waits for {many}{whom}: policy says who decides."
    if given.on_deadline == asking.on_deadline:
        return f"{what} waits for a person: policy says how it is decided."
    return f"{what} waits for a person: time alone approves nothing."


def _lower(sentence: str) -> str:
    return f"{sentence[:1].lower()}{sentence[1:]}"
