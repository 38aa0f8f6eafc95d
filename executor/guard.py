"""Holds each call against policy and against what people have agreed to, right before it happens.

What a task's rows say of themselves is not believed. The arguments are resolved anew and compared
with what the person was shown, by the hash that the decision is bound to; what is executed is what
was agreed to, or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flowbuilder.approving import risk_of, touched
from flowbuilder.errors import ExecutionError, FlowBuilderError, InvalidValue
from flowbuilder.executor.fingerprints import fingerprint
from flowbuilder.executor.records import ApprovalRow, LeasedTask
from flowbuilder.executor.states import ApprovalStatus
from flowbuilder.executor.store import Store
from flowbuilder.flow import ApprovalPolicy, Step
from flowbuilder.graph import needs
from flowbuilder.policy import (
    Action,
    Decision,
    Facts,
    Policies,
    Policy,
    Taint,
    Taints,
    decide,
    policies_of,
    read_policy,
    showing_steps,
)
from flowbuilder.references import CLOSE, OPEN, Reference, Scope, find, resolve
from flowbuilder.settings import Settings
from flowbuilder.tools import Fail, Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

#: Versions and policies kept in memory; above that they are read anew.
_MOST = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """What may happen: a call with these arguments, or first a question to a person."""

    args: JsonObject
    ask: ApprovalPolicy | None = None
    why: JsonObject = field(default_factory=dict)
    """What a person is told of it: `{risk, reasons, taint, policy}`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    """One call that is about to happen, as it was resolved just now."""

    task: LeasedTask
    step: Step
    tool: Tool
    args: JsonObject
    scope: Scope


class _Version:
    """The steps of a version, read one by one when they are asked for."""

    def __init__(self, document: JsonObject, declared: frozenset[str]) -> None:
        listed: Any = document.get("steps")
        self._raw: dict[str, Any] = {item["id"]: item for item in listed}
        self._read: dict[str, Step] = {}
        self._declared = declared
        self._taints: dict[frozenset[str], tuple[ToolRegistry, Taints]] = {}

    def step(self, name: str) -> Step | None:
        """Return a step by its id."""
        if name not in self._read and name in self._raw:
            self._read[name] = Step.model_validate(self._raw[name])
        return self._read.get(name)

    def taints(self, registry: ToolRegistry, marks: frozenset[str]) -> Taints:
        """Return what is known of the data of a run with these marks."""
        known = self._taints.get(marks)
        if known is None or known[0] is not registry:
            if len(self._taints) >= _MOST:
                self._taints.clear()
            found = Taints(self.step, registry, declared=self._declared, marks=marks)
            known = self._taints[marks] = (registry, found)
        return known[1]


def _is_part(task: LeasedTask, step: Step, args: JsonObject) -> bool:
    """Whether a call runs a part of a divided plan: inside of it, people are asked what they must.

    What it is given from outside is marked as that in the part's own run.
    """
    parts: Any = (task.guard or {}).get("parts") or {}
    return "version" in args and parts.get(step.id) == args.get("flow")


class Guard:
    """Asks policy about the calls of one worker.

    Raises:
        SettingsError: The policy file that the settings name cannot be used.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._floor = floor_policy(settings)
        self._policies: dict[object, Policies] = {None: policies_of(self._floor, None)}
        self._concerned: dict[tuple[object, str], bool] = {}
        self._versions: dict[str, _Version] = {}

    def is_free(self, task: LeasedTask, step: Step, tool: Tool) -> bool:
        """Whether nobody has anything to say of a tool's calls, as far as is known by now."""
        if task.approved or step.approval is not None:
            return False
        named = (_policy_id(task), tool.ref)
        concerned = self._concerned.get(named)
        if concerned is None and named[0] in self._policies:
            concerned = any(
                rule.then is not Action.ALLOW and rule.may_concern(tool.name, tool.effects)
                for policy in self._policies[named[0]]
                for rule in policy.all_rules()
            )
            if len(self._concerned) >= 10 * _MOST:
                self._concerned.clear()
            self._concerned[named] = concerned
        return concerned is False

    async def admit(
        self,
        task: LeasedTask,
        step: Step,
        tool: Tool,
        args: JsonObject,
        *,
        scope: Scope,
        registry: ToolRegistry,
    ) -> Admission:
        """Return what may happen with a call.

        Args:
            task: As it was leased.
            step: Its step.
            tool: What is to be called.
            args: The arguments as references give them now.
            scope: What they were resolved against.
            registry: Tools, for what they declare.

        Raises:
            Fail: Policy refuses it (policy_refused), or what was agreed to is something else
                (approval_mismatch, approval_insufficient).
        """
        policies = await self._policies_of(task)
        call = _Call(task=task, step=step, tool=tool, args=args, scope=scope)
        part = _is_part(task, step, args)
        taint, through = (Taint.NONE, ()) if part else await self.taint(task, step, registry)
        facts = Facts(
            tool=tool.name,
            effects=tool.effects,
            args=args,
            resolved=True,
            taint=taint,
            through=through,
            planned=bool((task.guard or {}).get("planned")) and not part,
        )
        said = decide(policies, facts)
        _refuse(said)
        if task.approved:
            return await self._agreed(call, said, policies, facts)
        ask = said.asking(step.approval) if said.action is Action.APPROVE else step.approval
        if ask is not None and step.approval is None and await self._was_asked(call, ask):
            ask = None
        return Admission(args=args, ask=ask, why={} if ask is None else _why(call, said, facts))

    async def taint(
        self, task: LeasedTask, step: Step, registry: ToolRegistry
    ) -> tuple[Taint, tuple[str, ...]]:
        """Return how much of a step's arguments is from outside, and through which steps."""
        marks: Any = (task.guard or {}).get("marks") or ()
        reads = [item.reference for item in (*find(step.args), *find(step.for_each))]
        if not any(item.step or (item.root == "input" and marks) for item in reads):
            return Taint.NONE, ()
        version = await self._version(task.version_id)
        return version.taints(registry, frozenset(marks)).of_arguments(step)

    async def _agreed(
        self, call: _Call, said: Decision, policies: Policies, facts: Facts
    ) -> Admission:
        """Return the call that a person has agreed to, with exactly these arguments.

        Where policy asks for more by now than the person was asked, it is asked anew.
        """
        row = await self._store.gate_of_task(call.task.run_id, call.task.task_id)
        try:
            agreed = _what_was_agreed(call, row)
        except Fail as error:
            await self._store.note_refusal(row, str(error))
            raise
        assert row is not None
        edited = fingerprint(agreed) != row.args_hash
        if edited:
            said = decide(policies, _with_arguments(facts, agreed))
            _refuse(said)
        if _suffices(row, said):
            return Admission(args=agreed)
        if edited:
            raise Fail(
                "the edited arguments need more people, or others, than have agreed to them",
                code="approval_insufficient",
            )
        asked = said.asking(call.step.approval)
        return Admission(args=call.args, ask=asked, why=_why(call, said, facts))

    async def _was_asked(self, call: _Call, ask: ApprovalPolicy) -> bool:
        """Whether a step in front has shown a person all that the call takes, as it is now."""
        if ask.by or ask.quorum > 1 or not needs(call.step):
            return False
        version = await self._version(call.task.version_id)
        before = [item for name in needs(call.step) if (item := version.step(name)) is not None]
        try:
            asked = showing_steps(call.step, before)
        except InvalidValue:
            return False
        for step in asked:
            row = await self._store.decision_of_step(call.task.run_id, step.id)
            if row is not None and _was_shown(row, step, call):
                return True
        return False

    async def _policies_of(self, task: LeasedTask) -> Policies:
        named = _policy_id(task)
        if named not in self._policies:
            row = await self._store.policy_by_id(named)
            if len(self._policies) >= _MOST:
                self._policies = {None: self._policies[None]}
            self._policies[named] = policies_of(self._floor, _usable(row.document))
        return self._policies[named]

    async def _version(self, version_id: str) -> _Version:
        found = self._versions.get(version_id)
        if found is None:
            if len(self._versions) >= _MOST:
                self._versions.clear()
            document, declared = await self._store.guarded_version(version_id)
            found = self._versions[version_id] = _Version(document, declared)
        return found


def floor_policy(settings: Settings) -> Policy | None:
    """Return the installation's policy, None without one. Raises: SettingsError."""
    from flowbuilder.policy.files import load_policy

    return None if settings.policy_file is None else load_policy(settings.policy_file)


def _usable(document: JsonObject | None) -> Policy | None:
    """Return a stored policy. Raises: ExecutionError: nothing may happen under such a one."""
    try:
        return None if document is None else read_policy(document)
    except FlowBuilderError as error:
        raise ExecutionError(
            f"the workspace's policy cannot be read: {error.message}", code="policy_unreadable"
        ) from None


def _policy_id(task: LeasedTask) -> Any:
    return None if task.guard is None else task.guard.get("policy")


def _refuse(said: Decision) -> None:
    if said.action is Action.REFUSE:
        raise Fail(said.reason, code="policy_refused")


def _with_arguments(facts: Facts, args: JsonObject) -> Facts:
    return replace(facts, args=args)


def _why(call: _Call, said: Decision, facts: Facts) -> JsonObject:
    """Return what the people who are asked are told besides the arguments."""
    asked = said.action is Action.APPROVE
    return {
        "risk": risk_of(facts.effects, facts.taint).value,
        "reasons": [{"rule": said.rule, "text": said.reason}] if asked else [],
        "taint": [{"step": name, "words": facts.taint is Taint.TEXT} for name in facts.through],
        "policy": _policy_id(call.task),
    }


def _what_was_agreed(call: _Call, row: ApprovalRow | None) -> JsonObject:
    """Return the arguments of a granted approval that is about this very call.

    Raises:
        Fail: `approval_mismatch`.
    """
    task = call.task
    granted = row is not None and (
        row.status is ApprovalStatus.APPROVED
        or (row.status is ApprovalStatus.EXPIRED and row.on_deadline == "approve")
    )
    if row is None or not granted:
        raise _mismatch("nobody has agreed to it")
    if (row.task_id, row.run_id, row.step_id) != (str(task.task_id), task.run_id, task.step_id):
        raise _mismatch("the approval is about another step")
    if row.tool.partition("@")[0] != call.tool.name:
        raise _mismatch("the approval is about another tool")
    if fingerprint(row.args) != row.args_hash:
        raise _mismatch("what was shown has been changed since")
    if fingerprint(call.args) != row.args_hash:
        raise _mismatch("the arguments are not those that were shown")
    agreed = row.args if row.value is None else row.value
    bound = row.agreed_hash or (row.args_hash if row.value is None else None)
    if not isinstance(agreed, dict) or fingerprint(agreed) != bound:
        raise _mismatch("what was agreed to has been changed since")
    if task.args is None or fingerprint(task.args) != bound:
        raise _mismatch("the task's arguments have been changed since")
    if isinstance(row.args, dict) and touched(row.args, agreed, row.locked):
        raise _mismatch("the edits have changed what they must leave alone")
    return agreed


def _suffices(row: ApprovalRow, said: Decision) -> bool:
    """Whether those who have agreed are enough, and are those whom policy names."""
    if row.status is not ApprovalStatus.APPROVED:  # a deadline has passed
        return said.action is not Action.APPROVE
    agreeing = {
        str(vote.get("by")).removeprefix("user:").lower()
        for vote in row.votes
        if vote.get("hash") == (row.agreed_hash or row.args_hash)
    }
    if len(agreeing) < row.quorum:
        raise _mismatch("fewer people have agreed than had to")
    if said.action is not Action.APPROVE:
        return True
    if agreeing & set(row.excluded):
        raise _mismatch("somebody has agreed to their own affair")
    if said.separate_duties and not row.separate_duties:
        return False
    asked_right = not said.by or (bool(row.by) and set(row.by) <= said.deciders)
    return asked_right and len(agreeing) >= said.quorum


def _was_shown(row: ApprovalRow, step: Step, call: _Call) -> bool:
    """Whether the values that a call takes are those that the person has agreed to."""
    if row.status is not ApprovalStatus.APPROVED or fingerprint(row.args) != row.args_hash:
        return False
    shown = find(step.args.get("data"))
    for found in find(call.step.args):
        taken = found.reference
        if taken.root not in ("steps", "input") or taken.step == step.id:
            continue
        now = fingerprint(resolve(f"{OPEN} {taken.raw} {CLOSE}", call.scope))
        places = [
            (item.pointer, taken.path[len(item.reference.path) :])
            for item in shown
            if item.exact and _leads_to(item.reference, taken)
        ]
        if not any(_hash_at(row.args, pointer, rest) == now for pointer, rest in places):
            return False
    return True


def _leads_to(shown: Reference, taken: Reference) -> bool:
    same = (shown.root, shown.step) == (taken.root, taken.step)
    return same and shown.path == taken.path[: len(shown.path)]


def _hash_at(value: JsonValue, pointer: str, rest: tuple[str | int, ...]) -> str | None:
    """Return the hash of what stands at a pointer and a path behind it, None for nothing."""
    keys = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for key in (*keys, *rest):
        inside: Mapping[Any, Any] | list[Any] | None = None
        if isinstance(value, dict):
            inside, key = value, str(key)
        elif isinstance(value, list) and str(key).isdigit():
            inside, key = value, int(key)
        if inside is None:
            return None
        try:
            value = inside[key]  # type: ignore[index]
        except (KeyError, IndexError):
            return None
    return fingerprint(value)


def _mismatch(why: str) -> Fail:
    return Fail(f"it was not done: {why}", code="approval_mismatch")
