"""What is to be done when a step fails: "if that fails, …", "otherwise …"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.composition import Composition
from flowbuilder.planner.rules.outputs import StepDraft
from flowbuilder.planner.rules.qualifiers import Qualifier
from flowbuilder.planner.rules.slots import SlotKind

_IT = r"(?:it|this|that|the \w+(?: \w+)?|(?:reading|loading|fetching|getting|doing) (?:it|that))"
_FAILING = re.compile(
    rf"\b(?:if|when|in case)\s+{_IT}\s+(?:fails?|failed|does ?n['’]t (?:work|exist)"
    rf"|does not (?:work|exist|succeed)|did ?n['’]t work|goes wrong|went wrong"
    rf"|is missing|is not there|is ?n['’]t there"
    rf"|can(?:not|['’]t| not) be (?:read|found|reached|loaded|opened|fetched)|errors(?: out)?"
    rf"|gives an error|is unavailable|is not available)\b"
    r"|\bin case of (?:an? )?(?:failure|error)\b|\bfailing that\b",
    re.IGNORECASE,
)
_OTHERWISE = re.compile(r"\b(?:otherwise|or else|if not)\b", re.IGNORECASE)
_NEW_SENTENCE = re.compile(r"[.;!?\n]|\bthen\b|\bafter\b|\bfinally\b", re.IGNORECASE)


@dataclass
class Recovery:
    """A step that may fail, and the steps that stand in for it."""

    failed: StepDraft
    branch: list[StepDraft] = field(default_factory=list)
    said: str = ""


def says_failure(qualifier: Qualifier) -> bool:
    """Whether a condition speaks of the failure of what stands before it."""
    return not qualifier.negated and _FAILING.search(qualifier.text) is not None


def says_otherwise(qualifier: Qualifier) -> bool:
    """Whether a condition is the opposite of the one before it."""
    return _OTHERWISE.search(qualifier.text) is not None


def guard(step: StepDraft, qualifier: Qualifier, previous: Sequence[StepDraft]) -> Recovery | None:
    """Let a step run only where those before it failed; None if nothing stands before it."""
    if not previous:
        return None
    for other in previous:
        other.on_error = "skip"
    failed = previous[-1]
    step.when = f"steps.{failed.id} == null"
    step.trigger_rule = "all_done"
    if failed.id not in step.depends_on:
        step.depends_on.append(failed.id)
    return Recovery(failed, [step], qualifier.text.strip(" ,.;"))


def opposite(step: StepDraft, previous: Sequence[StepDraft]) -> bool:
    """Let a step run where the condition of the one before it does not hold."""
    guarded = next((other for other in reversed(previous) if other.when), None)
    if guarded is None or guarded.when is None:
        return False
    step.when = f"!({guarded.when})"
    return True


def ends(gap: str) -> bool:
    """Whether the words between two clauses end what is done in place of a failed step."""
    return _NEW_SENTENCE.search(gap) is not None


def resume(plan: Composition, recovery: Recovery) -> None:
    """Go on after a recovery: read again what was restored, or say what stays open."""
    failed = recovery.failed
    places = [slot.name for slot in failed.profile.slots if slot.kind is SlotKind.PATH]
    origin = next((failed.args[name] for name in places if name in failed.args), None)
    restored = next(
        (step for step in recovery.branch if origin is not None and _writes(step, origin)), None
    )
    if restored is None or "${{" in str(failed.args):
        plan.doubts.append(
            f"After “{recovery.said}”, what follows does not know which of the two results to take."
        )
        return
    again = plan.add(failed.profile, failed.clause, Binding(args=dict(failed.args)))
    again.depends_on = [restored.id]
    again.trigger_rule = "none_failed"
    plan.notes.append(f"A step {again.profile.tool.name} was added to read {origin} again.")


def _writes(step: StepDraft, origin: str) -> bool:
    return any(
        slot.kind is SlotKind.PATH and slot.writes and step.args.get(slot.name) == origin
        for slot in step.profile.slots
    )
