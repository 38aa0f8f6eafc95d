"""How large a plan of several flows may be."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from flowbuilder.errors import PlanningError
from flowbuilder.plan import Plan
from flowbuilder.settings import Settings


@dataclass(kw_only=True)
class Room:
    """Flows that a plan may still get, on all its levels together."""

    left: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What is left for a flow and everything below it."""

    split: int
    """Steps beyond which a flow is divided."""
    subgoals: int
    """Children that one flow may have."""
    depth: int
    """Levels of flows, this one included."""
    flows: int
    """Children that all levels may have together."""
    room: Room = field(compare=False)
    """Shared by all flows of one plan."""

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """Return the bounds of a whole plan, for one goal."""
        return cls(
            split=settings.plan_split,
            subgoals=settings.plan_subgoals,
            depth=settings.plan_depth,
            flows=settings.plan_flows,
            room=Room(left=settings.plan_flows),
        )

    @property
    def below(self) -> Bounds:
        """What is left for a child."""
        return replace(self, depth=self.depth - 1)

    @property
    def may_divide(self) -> bool:
        """Whether a flow may have children at all."""
        return self.depth > 1

    def admit(self, subgoals: int) -> None:
        """Take room for the children of a flow.

        Raises:
            PlanningError: A flow may not have so many, or the plan may not (too_many_subgoals).
        """
        if subgoals > self.subgoals:
            raise _too_many(subgoals, f"a flow calls at most {self.subgoals} others")
        if subgoals > self.room.left:
            raise _too_many(subgoals, f"there is room for {self.room.left} more in the plan")
        self.room.left -= subgoals

    def check_whole(self, plan: Plan) -> None:
        """Refuse a plan whose parts were planned apart and are too many together."""
        flows = len(list(plan.tree())) - 1
        if flows > self.flows:
            raise _too_many(flows, f"a plan has at most {self.flows}")


def in_one_flow(settings: Settings) -> Settings:
    """Return settings with which a goal is planned as one flow, however long it is."""
    return settings.model_copy(update={"plan_depth": 1})


def _too_many(subgoals: int, why: str) -> PlanningError:
    return PlanningError(
        f"the goal falls into {subgoals} parts, and {why}",
        code="too_many_subgoals",
        hint="Plan it in parts, or raise FLOWBUILDER_PLAN_SUBGOALS, FLOWBUILDER_PLAN_DEPTH or "
        "FLOWBUILDER_PLAN_FLOWS.",
    )
