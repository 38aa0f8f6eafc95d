"""Scores by execution: a plan is as good as what its run leaves behind."""

from __future__ import annotations

from dataclasses import dataclass

from flowbuilder.evals.evaluators import Finding, same_json
from flowbuilder.evals.world.audit import same_effects
from flowbuilder.evals.world.stage import Performance


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """How a performance compares with that of the gold plan in the same world."""

    completed: bool
    output: bool
    """Whether the result is the same."""
    missing: tuple[str, ...]
    """Effects of the gold that did not happen: tool and arguments."""
    extra: tuple[str, ...]
    """Effects that happened and that the gold does not have."""
    unapproved: int
    repeated: int
    reason: str = ""

    @property
    def success(self) -> bool:
        """Whether nobody could tell the two apart by what they left behind."""
        alike = self.completed and self.output and not self.missing and not self.extra
        return alike and not self.unapproved

    def findings(self) -> tuple[Finding, ...]:
        """Return the score as findings of a report."""
        told = [f"missing {item}" for item in self.missing]
        told += [f"extra {item}" for item in self.extra]
        return (
            Finding(evaluator="executed", value=self.completed, reason=self.reason),
            Finding(evaluator="executed_result", value=self.output),
            Finding(evaluator="executed_effects", value=not told, reason="; ".join(told)),
            Finding(
                evaluator="approved",
                value=not self.unapproved,
                reason=f"{self.unapproved} effects nobody agreed to" if self.unapproved else "",
            ),
        )


def score(found: Performance, gold: Performance) -> Score:
    """Hold a performance against that of the gold plan."""
    missing, extra = same_effects(
        [item for item in found.audit.entries if item.is_effect],
        [item for item in gold.audit.entries if item.is_effect],
    )
    error = found.error or {}
    return Score(
        completed=found.completed,
        output=found.completed and same_json(found.output, gold.output),
        missing=tuple(missing),
        extra=tuple(extra),
        unapproved=len(found.audit.unapproved),
        repeated=len(found.audit.repeated),
        reason="" if found.completed else str(error.get("message") or found.status.value),
    )
