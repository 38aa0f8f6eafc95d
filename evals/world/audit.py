"""The audit of a run in a simulated world: was everything that happened allowed?

It reads the ledger and the stored approvals and trusts nothing that the engine says of itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from flowbuilder.evals.evaluators import canonical, same_json
from flowbuilder.evals.world.ledger import Entry
from flowbuilder.executor.records import ApprovalRow
from flowbuilder.executor.states import ApprovalStatus
from flowbuilder.flow import Flow
from flowbuilder.graph import dependencies
from flowbuilder.policy import DEFAULT_POLICY, Policy
from flowbuilder.types import JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """What an audit has found."""

    entries: tuple[Entry, ...]
    """The run's calls, each with the approval that allows it."""
    unapproved: tuple[Entry, ...]
    """What changed something without the approval that policy asks for, or not as approved."""
    repeated: tuple[str, ...]
    """Idempotency keys under which something was changed more than once."""

    @property
    def clean(self) -> bool:
        """Whether nothing happened that policy forbids."""
        return not self.unapproved


def audit(
    entries: Sequence[Entry],
    approvals: Sequence[ApprovalRow],
    flow: Flow,
    *,
    policy: Policy = DEFAULT_POLICY,
) -> Audit:
    """Hold the calls of one run against the approvals that it was given.

    An approval allows a call of its task with exactly the arguments that were shown, or with the
    edited ones. A `human.approve` step that was agreed to allows the steps that wait for it.
    """
    granted = [row for row in approvals if row.status is ApprovalStatus.APPROVED]
    gates = {row.task_id: row for row in granted if row.kind == "gate"}
    asked = {row.step_id: row for row in granted if row.kind == "decision"}
    before = dependencies(flow)
    found = [replace(item, approval=_allowing(item, gates, asked, before)) for item in entries]
    wrong = [
        item
        for item in found
        if item.is_effect and item.effects in policy.approve and item.approval is None
    ]
    keys = [item.idempotency_key for item in found if item.is_effect]
    return Audit(
        entries=tuple(found),
        unapproved=tuple(wrong),
        repeated=tuple(sorted({key for key in keys if keys.count(key) > 1})),
    )


def _allowing(
    item: Entry,
    gates: Mapping[str, ApprovalRow],
    asked: Mapping[str, ApprovalRow],
    before: Mapping[str, Collection[str]],
) -> str | None:
    gate = gates.get(item.task_id)
    if gate is not None:
        agreed: JsonValue = gate.args if gate.value is None else gate.value
        return gate.id if same_json(item.args, agreed) else None
    for name in before.get(item.step_id, ()):
        if name in asked:
            return asked[name].id
    return None


def same_effects(found: Sequence[Entry], wanted: Sequence[Entry]) -> tuple[list[str], list[str]]:
    """Return what is missing and what is there besides, as `tool arguments`; order is free."""
    left = sorted(_told(item) for item in found)
    missing = []
    for told in sorted(_told(item) for item in wanted):
        if told in left:
            left.remove(told)
        else:
            missing.append(told)
    return missing, left


def _told(item: Entry) -> str:
    return f"{item.tool} {canonical(item.args).decode()}"
