"""Divide the plan of a long goal along the parts that the goal is written in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flowbuilder.flow import Flow
from flowbuilder.plan import Plan
from flowbuilder.planner.hierarchy.bounds import Bounds
from flowbuilder.planner.hierarchy.cutting import Part, cut_flow
from flowbuilder.planner.hierarchy.grouping import Group, balanced, groups_of
from flowbuilder.planner.hierarchy.judging import is_sound
from flowbuilder.planner.hierarchy.rewriting import is_readable
from flowbuilder.planner.hierarchy.sections import Section, section_at, sections
from flowbuilder.settings import Settings
from flowbuilder.tools import ToolRegistry


def in_parts(
    plan: Plan, starts: Sequence[int | None], registry: ToolRegistry, settings: Settings
) -> Plan:
    """Return a plan of more than `plan_split` steps as a parent and its children.

    `starts` says for each step where in the goal the words are that it came from; None for a step
    that nothing was said of, which stays with the next one. A plan that cannot be cut without
    changing what happens stays as it is.

    Raises:
        PlanningError: It falls into more parts than plans may have (too_many_subgoals).
    """
    bounds, flow = Bounds.of(settings), plan.flow
    if flow is None or not bounds.may_divide or len(flow.steps) <= bounds.split:
        return plan
    if any(step.compensate is not None for step in flow.steps):
        return plan  # what a child has done is not undone when its parent fails
    if not all(is_readable(step) for step in flow.steps):
        return plan
    found = sections(plan.goal)
    divided = _divided(plan, flow, _Text(found, _numbers(starts, found)), bounds, registry)
    if divided is None:
        return plan
    count = len(list(divided.tree())) - 1
    note = f"The goal is planned in {count} parts, flows of their own that one flow calls."
    return replace(divided, notes=(*plan.notes, note))


class _Text:
    """The goal's parts, and the number of the part that each step came from."""

    def __init__(self, found: Sequence[Section], numbers: Sequence[int]) -> None:
        self.found, self.numbers = found, numbers

    def said(self, group: Group) -> str:
        """Return the words of the goal that a group of steps is about."""
        if not self.found:
            return ""
        first, last = self.numbers[group.start], self.numbers[group.stop - 1]
        return " ".join(item.text for item in self.found[first : last + 1])

    def of(self, group: Group) -> _Text:
        """Return the same for the steps of a group alone."""
        return _Text(self.found, self.numbers[group.start : group.stop])


def _divided(
    plan: Plan, flow: Flow, text: _Text, bounds: Bounds, registry: ToolRegistry
) -> Plan | None:
    groups = groups_of(flow, text.numbers, bounds.split)
    many = sum(len(group) > 1 for group in groups) > bounds.subgoals
    deeper = many and bounds.below.may_divide
    clusters = balanced(groups, bounds.subgoals) if deeper else [[group] for group in groups]
    merged = [range(item[0].start, item[-1].stop) for item in clusters]
    larger = [group for group in merged if len(group) > 1]
    if len(merged) < 2 or not larger:
        return None
    bounds.admit(len(larger))
    parts = _parts(flow, larger, text)
    made = cut_flow(plan, flow, parts, registry)
    if made is None or not is_sound(made, registry):
        return None
    inner = {part.name: text.of(part.group) for part in parts}
    children = []
    for child in made.children:
        assert child.plan.flow is not None
        below = None
        if deeper and len(child.plan.flow.steps) > bounds.split:
            below = _divided(child.plan, child.plan.flow, inner[child.step], bounds.below, registry)
        children.append(child if below is None else replace(child, plan=below))
    return replace(made, children=tuple(children))


def _parts(flow: Flow, groups: Sequence[Group], text: _Text) -> list[Part]:
    taken = {step.id for step in flow.steps}
    names = (f"part_{number}" for number in range(1, 10_000))
    free = (name for name in names if name not in taken)
    return [Part(name=next(free), goal=text.said(group), group=group) for group in groups]


def _numbers(starts: Sequence[int | None], found: Sequence[Section]) -> list[int]:
    """Return the part of each step; one that nothing was said of goes with the next."""
    numbers: list[int] = []
    following = max(len(found) - 1, 0)
    for start in reversed(starts):
        following = following if start is None else section_at(found, start)
        numbers.append(following)
    return numbers[::-1]
