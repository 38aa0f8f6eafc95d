"""Re-planning: what is asked when a step has failed, and what an edit of the rest may be.

An edit names what changes and nothing else: whatever it does not name stays byte-identical. What
has started or ended cannot be named. `judged` says what is wrong with one, `guarded` puts in the
approvals that policy asks for; both stand outside whoever proposes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from flowbuilder.errors import Fix, PlanningError, Problem, Severity
from flowbuilder.flow import ApprovalPolicy, Flow, Step
from flowbuilder.plan import Usage
from flowbuilder.planner.inventions import invented_addresses
from flowbuilder.policy import DEFAULT_POLICY, Policies, apply_policy
from flowbuilder.strictjson import dumps
from flowbuilder.tools import HARMLESS, Effects, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue
from flowbuilder.validation import Validation, validate
from flowbuilder.validation.checker import MAX_STEPS

#: From harmless to what cannot be undone.
_RANKS = {effects: rank for rank, effects in enumerate(Effects)}
#: Policies of a step that stay when its tool or its arguments change.
_KEPT = ("approval", "retry", "timeout", "on_error", "trigger_rule", "limit", "concurrency")
#: Characters of what a person is told.
LONGEST_MESSAGE = 2000
DENIED = frozenset({"approval_rejected", "approval_expired"})


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedStep:
    """A step that has failed for good."""

    id: str
    tool: str
    """Its name, without the version."""
    code: str
    message: str
    """Somebody outside may have written it."""
    tried: frozenset[str] = frozenset()
    """Every tool that has failed in this step so far, without versions."""

    @property
    def denied(self) -> bool:
        """Whether a person said no, or nobody said yes in time."""
        return self.code in DENIED


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplanRequest:
    """A run of which the rest is to be planned anew."""

    goal: str
    """Empty for a flow that was not planned."""
    document: JsonObject
    """What the run executes, a valid `flow.v1` document."""
    started: frozenset[str]
    """Steps that run or have ended: they stay as they are."""
    failed: tuple[FailedStep, ...]
    registry: ToolRegistry
    """Tools that new steps may use."""
    input: JsonValue = None
    flows: tuple[str, ...] = ()
    max_steps: int = MAX_STEPS
    policies: Policies = (DEFAULT_POLICY,)

    @property
    def steps(self) -> dict[str, JsonObject]:
        """The steps of the document, by id."""
        listed: Any = self.document["steps"]
        return {step["id"]: step for step in listed}

    @property
    def waiting(self) -> list[str]:
        """The steps that have neither started nor failed."""
        gone = {step.id for step in self.failed}
        return [name for name in self.steps if name not in self.started | gone]


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """What changes in the rest of a run."""

    steps: tuple[JsonObject, ...] = ()
    """Steps that come in the place of failed or waiting ones of their ids, or are new."""
    removed: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    """What a person should know, in whole sentences."""
    usage: Usage = field(default_factory=Usage)
    model: str | None = None
    """The model that proposes it."""


class RePlanner(Protocol):
    """Plans the rest of a run anew."""

    name: str

    async def replan(self, request: ReplanRequest) -> Edit:
        """Return an edit without problems.

        Raises:
            PlanningError: There is no way (replan_impossible), or none was found; `usage` says what
                looking for one took.
            ModelError: The provider failed.
        """
        ...


class NoWay(PlanningError):
    """The rest of the run cannot be planned otherwise."""

    default_code = "replan_impossible"


def edited(request: ReplanRequest, edit: Edit) -> JsonObject:
    """Return the document with an edit applied; what it does not name is the very same."""
    given = {str(step.get("id")): step for step in edit.steps}
    steps: list[JsonValue] = [
        _in_place_of(step, given.pop(name), edit) if name in given else step
        for name, step in request.steps.items()
        if name in given or name not in edit.removed
    ]
    return {**request.document, "steps": [*steps, *given.values()]}


def _in_place_of(old: JsonObject, new: JsonObject, edit: Edit) -> JsonObject:
    """Return a step with the policies, the condition and the order of the one that it replaces."""
    step = dict(new)
    for name in _KEPT:
        if name in old:
            step.setdefault(name, old[name])
    if "when" in old:
        step.setdefault("when", old["when"])
    if "for_each" in old and _names_item(step.get("args")):
        step.setdefault("for_each", old["for_each"])
    before = old.get("depends_on")
    if "depends_on" not in step and isinstance(before, list):
        step["depends_on"] = [name for name in before if name not in edit.removed]
    if "compensate" in old and old["tool"] == step.get("tool"):
        step.setdefault("compensate", old["compensate"])
    return step


def _names_item(args: JsonValue) -> bool:
    text = dumps(args).decode()
    return "{{ item" in text or "{{ index" in text


def judged(request: ReplanRequest, edit: Edit) -> list[Problem]:
    """Return what is wrong with an edit, and was not wrong with the run before it."""
    if any(not isinstance(step.get("id"), str) for step in edit.steps):
        return [_refused("bad_step_id", "a step of the new plan has no id")]
    document = edited(request, edit)
    touched = [
        _refused("step_started", f"step {name} has started or ended and cannot be changed")
        for name in sorted(request.started & ({*_ids(edit)} | edit.removed))
    ]
    left = {step.id for step in request.failed} - {*_ids(edit)} - edit.removed
    open_ = [
        _refused("step_failed", f"step {name} has failed and is neither replaced nor left out")
        for name in sorted(left)
    ]
    found = _validated(document, request)
    known = _errors(request.document, request)
    new = [
        item
        for item, place in placed(document, found.problems)
        if item.severity is Severity.ERROR and (item.code, place) not in known
    ]
    return [*touched, *open_, *_again(request, edit), *new, *_invented(request, edit, document)]


def _validated(document: JsonObject, request: ReplanRequest) -> Validation:
    return validate(document, request.registry, flows=request.flows, max_steps=request.max_steps)


def _ids(edit: Edit) -> list[str]:
    return [str(step.get("id")) for step in edit.steps]


def _refused(code: str, message: str) -> Problem:
    return Problem(code=code, pointer="", message=message, fix=Fix.MODEL)


def _errors(document: JsonObject, request: ReplanRequest) -> set[tuple[str, str]]:
    found = _validated(document, request)
    return {(item.code, place) for item, place in placed(document, found.problems)}


def placed(document: JsonObject, problems: Sequence[Problem]) -> list[tuple[Problem, str]]:
    """Return problems with where they are by the step's id: its place may be another one now."""
    steps: Any = document["steps"]
    placed = []
    for item in problems:
        head, _, rest = item.pointer.removeprefix("/steps/").partition("/")
        inside = item.pointer.startswith("/steps/") and head.isdigit() and int(head) < len(steps)
        name = str(steps[int(head)].get("id")) if inside else None
        placed.append((item, item.pointer if name is None else f"{name}/{rest}"))
    return placed


def _again(request: ReplanRequest, edit: Edit) -> list[Problem]:
    """Refuse to ask a person once more for what was denied."""
    denied = [request.steps[step.id] for step in request.failed if step.denied]
    return [
        _refused("denied_before", f"step {new.get('id')} does again what a person has denied")
        for new in edit.steps
        if any(
            _name(new.get("tool")) == _name(old["tool"])
            and new.get("args", {}) == old.get("args", {})
            for old in denied
        )
    ]


def _name(tool: JsonValue) -> str:
    return str(tool).partition("@")[0]


def _invented(request: ReplanRequest, edit: Edit, document: JsonObject) -> list[Problem]:
    """Return the addresses of new steps that neither goal, nor input, nor the plan so far names."""
    stated = f"{request.goal} {dumps(request.document['steps']).decode()}"
    steps: Any = document["steps"]
    fresh: JsonObject = {
        "steps": [step if step["id"] in _ids(edit) else {} for step in steps if "id" in step]
    }
    found = invented_addresses(stated, fresh, request.input, request.registry)
    return [item for item in found if item.severity is Severity.ERROR]


def guarded(request: ReplanRequest, document: JsonObject) -> tuple[Flow, JsonObject, list[str]]:
    """Return the edited flow with the approvals that it needs, its document, and what was put in.

    Policy is asked about everything that has not started. Besides, whatever the policy: a changed
    step with more effects than anything in the plan that was agreed to needs a person. Steps that
    nothing has changed for stay as they are, down to the byte. `document` was judged.
    """
    flow = Flow.model_validate(document)
    before = Flow.model_validate(request.document)
    wanted, told = apply_policy(flow, request.registry, request.policies)
    earlier, _ = apply_policy(before, request.registry, request.policies)
    asked = {step.id: step.approval for step in earlier.steps}
    failed = {step.id for step in request.failed}
    ceiling = _ceiling(request)
    given: Any = document["steps"]
    steps: list[JsonValue] = []
    notes: list[str] = []
    for step, raw in zip(wanted.steps, given, strict=True):
        same = request.steps.get(step.id) == raw and step.id not in failed
        if same and (step.id in request.started or asked.get(step.id) == step.approval):
            steps.append(raw)
            continue
        tool = request.registry.get(step.tool)
        rises = tool is not None and not same and _RANKS[tool.effects] > ceiling
        if rises and step.approval is None:
            reason = f"The new plan does more than the one that was agreed to: {step.tool}."
            step = step.model_copy(update={"approval": ApprovalPolicy(message=reason)})
            notes.append(f"Step {step.id} waits for an approval: {reason[0].lower()}{reason[1:]}")
        notes += [note for note in told if f" {step.id} waits " in note]
        shown = _warning(request, step).model_dump(mode="json", exclude_defaults=True)
        steps.append({"id": step.id, "tool": step.tool, **shown})
    final: JsonObject = {**document, "steps": steps}
    return Flow.model_validate(final), final, notes


def _warning(request: ReplanRequest, step: Step) -> Step:
    """Return a step so that who approves it knows what may have been done already."""
    failed = next((item for item in request.failed if item.id == step.id), None)
    if failed is None or failed.denied or step.approval is None:
        return step
    tool = request.registry.get(failed.tool)
    if tool is None or tool.effects in HARMLESS:
        return step
    warning = f"{failed.tool} failed here before: what it does may have been done already."
    told = " ".join(part for part in (step.approval.message, warning) if part)
    approval = step.approval.model_copy(update={"message": told[:LONGEST_MESSAGE]})
    return step.model_copy(update={"approval": approval})


def _ceiling(request: ReplanRequest) -> int:
    """Return the most that any step of the plan does that a person has not said no to."""
    denied = {step.id for step in request.failed if step.denied}
    found = [
        _RANKS[tool.effects]
        for name, step in request.steps.items()
        if name not in denied and (tool := request.registry.get(str(step["tool"]))) is not None
    ]
    return max(found, default=-1)
