"""What policies say of one call: before anything runs, and right before it happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from flowbuilder.flow import ApprovalPolicy, Escalation
from flowbuilder.policy.document import DEFAULT_POLICY, Action, Constraint, Policy, Rule
from flowbuilder.policy.taint import Taint
from flowbuilder.tools import Effects
from flowbuilder.tools.labels import tool_label
from flowbuilder.types import JsonObject

#: All of them hold: the strictest word counts.
Policies: TypeAlias = Sequence[Policy]

_STRICT = {Action.ALLOW: 0, Action.APPROVE: 1, Action.REFUSE: 2}
_LEVELS = {"any": Taint.NONE, "outside": Taint.VALUES, "text": Taint.TEXT}


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What is known of a call."""

    tool: str
    """Name, or `name@version`."""
    effects: Effects
    args: JsonObject
    resolved: bool
    """Whether the arguments are what is really used; otherwise they hold references."""
    taint: Taint = Taint.NONE
    """How much of the arguments is from outside."""
    through: tuple[str, ...] = ()
    """The steps that it came through."""
    planned: bool = False
    """Whether the step is part of a plan."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What is to happen with a call."""

    action: Action
    rule: str
    """The name of the rule that has decided."""
    by: tuple[str, ...] = ()
    quorum: int = 1
    reason: str = ""
    certain: bool = True
    """False: it depends on what references will bring."""
    rejections: int = 1
    separate_duties: bool = False
    locked: tuple[str, ...] = ()
    escalate: tuple[Escalation, ...] = ()

    @property
    def deciders(self) -> frozenset[str]:
        """Everybody whom policy lets decide, now or by escalation; empty for anyone who may."""
        further = {name for step in self.escalate for name in step.to}
        return frozenset({*self.by, *further}) if self.by else frozenset()

    def asking(self, given: ApprovalPolicy | None) -> ApprovalPolicy:
        """Return the approval that a step needs, whatever it asks for by itself.

        Whom policy names is asked and nobody else, and no deadline agrees by passing.
        """
        own = given or ApprovalPolicy(message=self.reason)
        return own.model_copy(
            update={
                "by": list(self.by) or own.by,
                "quorum": max(self.quorum, own.quorum),
                "on_deadline": "reject",
                "rejections": self.rejections,
                "separate_duties": self.separate_duties or own.separate_duties,
                "locked": sorted({*self.locked, *own.locked}),
                # whom policy names, no author adds to
                "escalate": list(self.escalate) if self.by or self.escalate else own.escalate,
            }
        )


def policies_of(floor: Policy | None, policy: Policy | None) -> Policies:
    """Return what holds: what the installation says, and what the workspace says.

    Neither lowers the other. Where neither says anything, it is the default.
    """
    return [item for item in (floor, policy) if item is not None] or [DEFAULT_POLICY]


def decide(policies: Policies, facts: Facts) -> Decision:
    """Return the strictest of what the policies say of a call."""
    said = [_said_by(policy, facts) for policy in policies]
    strictest = max(said, key=_strictness)
    asking = [item for item in said if item.action is strictest.action]
    return strictest if len(asking) == 1 else _together(strictest, asking)


def _together(strictest: Decision, said: Sequence[Decision]) -> Decision:
    """Return what satisfies all who ask: of the people that each names, as many as any wants."""
    named = [set(item.by) for item in said if item.by]
    common = set.intersection(*named) if named else set()
    if named and not common:
        return Decision(
            action=Action.REFUSE,
            rule=strictest.rule,
            reason="The policies ask people who have nobody in common.",
        )
    return Decision(
        action=strictest.action,
        rule=strictest.rule,
        by=tuple(sorted(common)),
        quorum=max(item.quorum for item in said),
        reason=strictest.reason,
        certain=all(item.certain for item in said),
        rejections=min(item.rejections for item in said),
        separate_duties=any(item.separate_duties for item in said),
        locked=tuple(sorted({name for item in said for name in item.locked})),
    )


def _strictness(said: Decision) -> tuple[int, int, int]:
    return _STRICT[said.action], said.quorum, len(said.by)


def _said_by(policy: Policy, facts: Facts) -> Decision:
    """Return what the first rule that fits says, or the strictest of those that may fit."""
    possible: list[Decision] = []
    for rule in policy.all_rules():
        fits = _fits(rule, facts)
        if fits is False:
            continue
        possible.append(_decision(rule, facts, certain=fits is True))
        if fits:
            break
    # what may be refused in the end is no reason to refuse it now
    open_ = [item for item in possible if item.action is not Action.REFUSE]
    strictest = max(open_ or possible, key=_strictness)
    return strictest if len(possible) == 1 else _uncertain(strictest)


def _uncertain(said: Decision) -> Decision:
    return replace(said, certain=False)


def _decision(rule: Rule, facts: Facts, *, certain: bool) -> Decision:
    return Decision(
        action=rule.then,
        rule=rule.name,
        by=tuple(rule.by),
        quorum=rule.quorum,
        reason=rule.reason or _reason(rule, facts),
        certain=certain,
        rejections=rule.rejections,
        separate_duties=rule.separate_duties,
        locked=tuple(rule.locked),
        escalate=tuple(rule.escalate),
    )


def _fits(rule: Rule, facts: Facts) -> bool | None:
    """Whether a rule is about a call; None: that depends on what references will bring."""
    if not rule.may_concern(facts.tool, facts.effects):
        return False
    if rule.flows == "planned" and not facts.planned:
        return False
    if facts.taint < _LEVELS[rule.data]:
        return False
    wanted = _all_hold(rule.where, facts)
    excused = _all_hold(rule.unless, facts) if rule.unless else False
    if wanted is False or excused is True:
        return False
    return True if wanted is True and excused is False else None


def _all_hold(constraints: Sequence[Constraint], facts: Facts) -> bool | None:
    found = [item.holds(facts.args, resolved=facts.resolved) for item in constraints]
    if any(item is False for item in found):
        return False
    return None if any(item is None for item in found) else True


def _reason(rule: Rule, facts: Facts) -> str:
    label = tool_label(facts.tool)
    if rule.data != "any" and facts.taint:
        through = f" (through {', '.join(facts.through)})" if facts.through else ""
        return f"{label} would use data from outside{through}."
    if rule.then is Action.REFUSE:
        return f"{label} is refused by the policy's rule {rule.name}."
    if rule.effects is not None or rule.name == "otherwise":
        return f"{label} has effects: {facts.effects.value}."
    return f"{label} needs an approval by the policy's rule {rule.name}."
