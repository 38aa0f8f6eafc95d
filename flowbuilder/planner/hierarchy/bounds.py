"""How large a plan of several flows may be."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flowbuilder.errors import PlanningError
from flowbuilder.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What is left for a flow and everything below it."""

    split: int
    """Steps beyond which a flow is divided."""
    subgoals: int
    """Children that one flow may have."""
    depth: int
    """Levels of flows, this one included."""

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """Return the bounds of a whole plan."""
        return cls(
            split=settings.plan_split, subgoals=settings.plan_subgoals, depth=settings.plan_depth
        )

    @property
    def below(self) -> Bounds:
        """What is left for a child."""
        return replace(self, depth=self.depth - 1)

    @property
    def may_divide(self) -> bool:
        """Whether a flow may have children at all."""
        return self.depth > 1

    def check(self, subgoals: int) -> None:
        """Refuse more children than a flow may have. Raises: PlanningError (too_many_subgoals)."""
        if subgoals > self.subgoals:
            raise PlanningError(
                f"the goal falls into {subgoals} parts, and a plan has at most {self.subgoals} "
                f"on each of {self.depth} level{'s' if self.depth > 1 else ''} of flows",
                code="too_many_subgoals",
                hint="Plan it in parts, or raise FLOWBUILDER_PLAN_SUBGOALS or "
                "FLOWBUILDER_PLAN_DEPTH.",
            )


def in_one_flow(settings: Settings) -> Settings:
    """Return settings with which a goal is planned as one flow, however long it is."""
    return settings.model_copy(update={"plan_depth": 1})
