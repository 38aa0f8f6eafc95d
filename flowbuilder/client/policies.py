"""The workspace's policy as FlowBuilder offers it, `fb.policy`, and what it means for documents."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from flowbuilder.client.checking import check_actor
from flowbuilder.client.session import Session
from flowbuilder.errors import DefinitionError, InvalidValue, Problem, Severity
from flowbuilder.executor.guard import floor_policy
from flowbuilder.executor.records import PolicyRow
from flowbuilder.flow import Flow
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanEvent
from flowbuilder.policy import (
    DEFAULT_POLICY,
    Action,
    Decision,
    Facts,
    Policies,
    Policy,
    decide,
    policies_of,
    policy_problems,
    read_policy,
)
from flowbuilder.policy.plans import asking_flow
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyView:
    """What holds in a workspace."""

    policy: Policy
    """The workspace's own, or the default."""
    row: PolicyRow | None
    """As it was set; None where nothing was said, or what was said was taken back."""
    floor: Policy | None
    """The installation's, which holds besides."""

    @property
    def id(self) -> int:
        """Which policy it is: another one after each change, 0 before the first."""
        return 0 if self.row is None else self.row.id

    def as_json(self) -> JsonObject:
        """Return the view as it is shown by HTTP and `--json`."""
        row = self.row
        return {
            "id": self.id,
            "source": "default" if row is None or row.document is None else "workspace",
            "policy": self.policy.document(),
            "rules": [rule.model_dump(mode="json", exclude_defaults=True)
                      for rule in self.policy.all_rules()],
            "floor": None if self.floor is None else self.floor.document(),
            "set_at": None if row is None else row.set_at.isoformat(),
            "set_by": None if row is None else row.set_by,
        }  # fmt: skip


class WorkspacePolicy:
    """What the runs of a workspace may do by themselves: rules, read in order.

    A change counts for every task that is leased after it, in runs that go on already, too.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def get(self) -> PolicyView:
        """Return what holds. Raises: SettingsError: the installation's policy cannot be used."""
        row = await self._session.store.policy()
        floor = floor_policy(self._session.settings)
        document = None if row is None else row.document
        policy = DEFAULT_POLICY if document is None else read_policy(document)
        return PolicyView(policy=policy, row=row, floor=floor)

    async def set(
        self, document: Policy | JsonObject | str, *, by: str | None = None, base: int | None = None
    ) -> PolicyView:
        """Set the policy, in the place of the one before.

        Args:
            document: `policy.v1` as an object, or as YAML or JSON text.
            by: Who says so, for the record.
            base: Id of the policy that the caller has seen; if another one holds by now, nothing
                is changed.

        Raises:
            DefinitionError: With every problem (policy_invalid).
            InvalidValue: It is no JSON value, or `by` is no name (actor_invalid).
            Conflict: Somebody else changed it meanwhile (policy_changed).
        """
        return await self._store(self.check(document).document(), by, base)

    async def clear(self, *, by: str | None = None, base: int | None = None) -> PolicyView:
        """Take back what was said: the default holds again. Raises as `set`."""
        return await self._store(None, by, base)

    def check(self, document: Policy | JsonObject | str) -> Policy:
        """Return the policy that a document says, without setting it. Raises as `set`."""
        return read_policy(document)

    async def history(self, *, limit: int = 50) -> list[PolicyRow]:
        """Return what was said in the workspace, newest first."""
        return await self._session.store.policies(limit=max(1, min(limit, 1000)))

    async def _store(
        self, document: JsonObject | None, by: str | None, base: int | None
    ) -> PolicyView:
        check_actor(by, "who sets a policy")
        await self._session.store.set_policy(document, actor=by, base=base)
        self._session.known_policies = None
        return await self.get()


async def policies_in_force(session: Session, *, fresh: bool = False) -> Policies:
    """Return the policies that hold now, or held a moment ago.

    What is said of documents may be a moment old: workers have the last word.
    """
    now = time.monotonic()
    known = session.known_policies
    if not fresh and known is not None and now - known[0] < _moment(session):
        return known[1]
    row = await session.store.policy()
    document = None if row is None else row.document
    own = None if document is None else read_policy(document)
    found = policies_of(floor_policy(session.settings), own)
    session.known_policies = (now, found)
    return found


def said_of_flow(flow: Flow, registry: ToolRegistry, policies: Policies) -> list[Problem]:
    """Return what policies that somebody has written say of a flow; the default is no news."""
    if all(policy is DEFAULT_POLICY for policy in policies):
        return []
    return policy_problems(flow, registry, policies)


def policed(event: PlanEvent, registry: ToolRegistry, policies: Policies) -> PlanEvent:
    """Return a planner's event so that its plan keeps to policy, whichever planner made it."""
    plan = event.plan
    if plan is None:
        return event
    changed = _policed(plan, registry, policies)
    if changed is plan:
        return event
    return replace(event, plan=changed, data={**event.data, "plan": changed.as_json()})


def _policed(plan: Plan, registry: ToolRegistry, policies: Policies) -> Plan:
    """Return a plan, and the plans of its parts, with what policy asks for."""
    parts = [_policed(child.plan, registry, policies) for child in plan.children]
    if any(part is not child.plan for part, child in zip(parts, plan.children, strict=True)):
        pairs = zip(plan.children, parts, strict=True)
        plan = replace(plan, children=tuple(replace(child, plan=part) for child, part in pairs))
    if plan.flow is None:
        return plan
    flow, notes = asking_flow(plan, plan.flow, registry, policies)
    if notes:
        plan = replace(plan, flow=flow, notes=(*plan.notes, *notes))
    return with_refusals(plan, registry, policies)


def with_refusals(plan: Plan, registry: ToolRegistry, policies: Policies) -> Plan:
    """Return a plan with an error for each step that policy refuses, whoever agrees."""
    if plan.flow is None:
        return plan
    known = {(item.code, item.pointer) for item in plan.problems}
    refused = tuple(
        item
        for item in policy_problems(plan.flow, registry, policies, planned=plan.changes is None)
        if item.severity is Severity.ERROR and (item.code, item.pointer) not in known
    )
    if not refused:
        return plan
    return replace(plan, problems=(*plan.problems, *refused), certain=False)


async def check_edits(session: Session, tool: str, edits: JsonObject) -> Decision:
    """Return what policy says of edited arguments; refuse those that no agreement brings about.

    Raises:
        DefinitionError: `policy_refused`.
        InvalidValue: The tool is not loaded (edits_not_possible).
    """
    found = session.registry.get(tool)
    if found is None:
        raise InvalidValue(f"tool {tool} is not loaded", code="edits_not_possible")
    facts = Facts(tool=found.name, effects=found.effects, args=edits, resolved=True)
    said = decide(await policies_in_force(session, fresh=True), facts)
    if said.action is Action.REFUSE:
        raise DefinitionError(f"policy refuses the edited arguments: {said.reason}",
                              code="policy_refused")  # fmt: skip
    return said


def _moment(session: Session) -> float:
    return session.settings.poll_interval.total_seconds()
