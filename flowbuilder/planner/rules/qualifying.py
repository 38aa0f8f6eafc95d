"""Approvals and conditions: what in a clause says whether and when its step may run."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.composition import Composition
from flowbuilder.planner.rules.conditions import condition_for
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.outputs import StepDraft, consumes
from flowbuilder.planner.rules.qualifiers import Qualifier
from flowbuilder.planner.rules.recovery import (
    Recovery,
    guard,
    opposite,
    says_failure,
    says_otherwise,
)
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.tools import Effects

_NAMED_APPROVER = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\b(?:role|user):[\w.-]+"
    r"|\b(?:the|our|my)\s+\w+\s+(?:team|department|group)\b",
    re.IGNORECASE,
)


_ANYBODY = (
    r"(?!(?:me|us|you|them|someone|somebody|anyone|anybody|everyone|people|humans?|users?|a|an|the|my|"
    r"our|your|for|to|if|whether|first|before|again|once|it|this|that|here)\b)"
)
#: "Ask *Bob* for approval", "get approval from *finance*".
_ASKED_APPROVER = re.compile(
    rf"\bask\s+{_ANYBODY}(?P<who>[a-zà-þ][\w'’-]*)"
    rf"|\b(?:approval|okay|ok|permission|consent|confirmation|sign[- ]?off|go[- ]ahead)\s+"
    rf"(?:of|from|by)\s+{_ANYBODY}(?P<of>[a-zà-þ][\w'’-]*)",
    re.IGNORECASE,
)


def qualify(
    plan: Composition, step: StepDraft, clause: Clause, previous: Sequence[StepDraft]
) -> Recovery | None:
    """Give a step the approval and the conditions of its clause.

    Returns the recovery that it begins, if it stands in for a step that may fail.
    """
    effectful = consumes(step.profile)
    if clause.approval and step.profile.tool.effects is Effects.PURE:
        plan.await_approval(plan.steps.index(step))
    elif clause.approval or (plan.awaiting and effectful):
        step.approval = True
        plan.awaiting = False
    recovery = None
    for qualifier in clause.conditions:
        recovery = _recovering(step, qualifier, previous) or recovery
        if recovery is None and not (says_otherwise(qualifier) and opposite(step, previous)):
            _conditioned(plan, step, qualifier, effectful)
    if not step.args and plan.steps[:-1] and effectful:
        step.depends_on = [plan.steps[-2].id]
    return recovery


def _recovering(
    step: StepDraft, qualifier: Qualifier, previous: Sequence[StepDraft]
) -> Recovery | None:
    conditional = any(other.when for other in previous)
    if says_failure(qualifier) or (says_otherwise(qualifier) and not conditional):
        return guard(step, qualifier, previous)
    return None


def _conditioned(plan: Composition, step: StepDraft, qualifier: Qualifier, effectful: bool) -> None:
    said = qualifier.text.strip(" ,.;")
    if not effectful:
        plan.doubts.append(f"“{said}” was taken as a condition of {step.id}.")
    found = condition_for(qualifier, [other for other in plan.steps if other is not step])
    if found is None:
        asked = f"When exactly should {step.id} run? The goal says “{said}”."
        plan.questions.append((step, "when", asked))
    else:
        step.when = found if step.when is None else f"({step.when}) && ({found})"


_GOING_ON = re.compile(
    r"\b(?:should|shall|may|can|could|ok|okay|fine|right|agree|approve|proceed|continue|go)\b", re.I
)


def asks_to_go_on(qualifier: Qualifier) -> bool:
    """Whether what follows "ask me" is the question itself: "… *if we should proceed*"."""
    return not qualifier.leading and _GOING_ON.search(qualifier.text) is not None


def named_approver(clause: Clause) -> str | None:
    """Return whom an approval is asked of by an address, a role, a name or a team."""
    if found := _NAMED_APPROVER.search(clause.text):
        return found.group()
    asked = _ASKED_APPROVER.search(clause.text)
    return (asked["who"] or asked["of"]) if asked else None


def ask_at_end(plan: Composition, approve: Profile | None) -> None:
    """Give an approval that no step took to what follows it, or to a step of its own."""
    if not plan.awaiting or not plan.steps:
        return
    if plan.awaited_after < len(plan.steps):
        plan.steps[plan.awaited_after].approval = True
    elif plan.beforehand and consumes(plan.steps[-1].profile):
        plan.steps[-1].approval = True
    elif approve is None:
        plan.doubts.append("An approval was asked for, but nothing follows it.")
    else:
        _approval_step(plan, approve)


def _approval_step(plan: Composition, approve: Profile) -> None:
    latest = plan.steps[-1]
    binding = Binding()
    for slot in approve.slots:
        if slot.kind in (SlotKind.TEXT, SlotKind.TITLE) and slot.required:
            binding.args[slot.name] = f"Please look at the result of {latest.id} and decide."
    step = plan.add(approve, None, binding)
    step.depends_on = [latest.id]
    plan.awaiting = False
