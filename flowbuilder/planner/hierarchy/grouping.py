"""Where a flow may be cut into children: steps in order, in groups that stay together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from flowbuilder.flow import Flow, OnError, Step, TriggerRule
from flowbuilder.graph import dependencies, descendants

#: Parts of a goal with fewer steps are taken together.
_FEW = 3

Group = range


def groups_of(flow: Flow, parts: Sequence[int], split: int) -> list[Group]:
    """Return the positions of a flow's steps in groups, in order.

    `parts` are the numbers of the goal's parts that the steps came from. One group: the flow
    cannot be cut. A group is larger than `split` only where a cut would change what happens.
    """
    safe = safe_cuts(flow)
    size = len(flow.steps)
    ordered = _rising(parts)
    natural = [place for place in range(1, size) if ordered[place] != ordered[place - 1]]
    return _packed([0, *natural, size], safe, split)


def safe_cuts(flow: Flow) -> list[int]:
    """Return the places where steps may be parted: nothing that may be absent is used behind."""
    graph = dependencies(flow)
    unsure = {step.id for step in flow.steps if _may_be_absent(step)}
    absent = unsure | descendants(graph, unsure)
    places = {step.id: place for place, step in enumerate(flow.steps)}
    held = [False] * (len(flow.steps) + 1)
    for place, step in enumerate(flow.steps):
        careful = step.trigger_rule is not TriggerRule.ALL_SUCCESS
        before = [places[name] for name in graph[step.id] if careful or name in absent]
        for first in before:
            held[min(first, place) + 1 : max(first, place) + 1] = [True] * abs(place - first)
    return [place for place in range(1, len(flow.steps)) if not held[place]]


def balanced(groups: Sequence[Group], most: int) -> list[list[Group]]:
    """Return neighbouring groups taken together, at most so many, as even as they can be."""
    size = math.ceil(len(groups) / most)
    return [list(groups[first : first + size]) for first in range(0, len(groups), size)]


def _may_be_absent(step: Step) -> bool:
    return (
        step.when is not None
        or step.on_error is not OnError.FAIL
        or step.trigger_rule is not TriggerRule.ALL_SUCCESS
    )


def _rising(parts: Sequence[int]) -> list[int]:
    """Return the numbers so that they never fall: a step stays behind what it was put behind."""
    found: list[int] = []
    for number in parts:
        found.append(max(number, found[-1] if found else 0))
    return found


def _packed(cuts: Sequence[int], safe: Sequence[int], split: int) -> list[Group]:
    """Return groups that end where cuts are safe, small ones together, large ones apart."""
    allowed = set(safe)
    groups: list[Group] = []
    for first, last in pairwise(cuts):
        if groups and (first not in allowed or _fits_on(groups[-1], last - first, split)):
            groups[-1] = range(groups[-1].start, last)
        else:
            groups.append(range(first, last))
    return [part for group in groups for part in _chopped(group, allowed, split)]


def _fits_on(group: Group, size: int, split: int) -> bool:
    return min(len(group), size) < _FEW and len(group) + size <= split


def _chopped(group: Group, allowed: set[int], split: int) -> list[Group]:
    """Return a group in pieces of at most `split` steps, as far as it can be cut."""
    pieces: list[Group] = []
    first = group.start
    while group.stop - first > split + _FEW - 1:  # nothing small is left over
        places = [place for place in range(first + 1, group.stop) if place in allowed]
        near = [place for place in places if place - first <= split]
        cut = near[-1] if near else (places[0] if places else group.stop)
        if cut == group.stop:
            break
        pieces.append(range(first, cut))
        first = cut
    return [*pieces, range(first, group.stop)]
