"""Tools in the order in which a goal's parts speak of them.

Each part of the goal ranks the tools by itself: what one tool explains of it counts less for the
next. The lists are then laid into one another, so that every part has its first choices in it.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Sequence

from flowbuilder.planner.retrieval.index import FULL, Index
from flowbuilder.planner.retrieval.units import Unit

#: Of how many tools a part chooses one.
_CHOICE = 2.0
#: What is left of a stem's weight once a tool explained it.
_LEFT = 0.8
#: How much the words of the goal's other parts count.
_CONTEXT = 0.1
#: What each place down a part's list costs, and how little a part counts that says little.
_PLACE_COST, _FORCE = 0.03, 0.25


def rank(
    index: Index, parts: Sequence[Unit], limit: int, among: Collection[str] | None = None
) -> tuple[list[str], list[tuple[str, Unit]]]:
    """Return the names of tools, best first, and the first choice of each part.

    At most `limit` names from each part.
    """
    everything = sorted({stem for part in parts for stem in part.stems})
    most = min(limit, 6 + 3 * limit // max(len(parts), 1))
    lists: list[tuple[float, list[tuple[str, float]]]] = []
    chosen: dict[str, Unit] = {}
    for part in parts:
        others = [stem for stem in everything if stem not in part.stems]
        if picked := _picked(index, part.stems, others, most, among):
            lists.append((part.weight, picked))
            chosen.setdefault(picked[0][0], part)
    return _laid_together(lists), list(chosen.items())


def _laid_together(lists: Iterable[tuple[float, list[tuple[str, float]]]]) -> list[str]:
    """Return the names of all lists by how near the top of one they are."""
    known = list(lists)
    strongest = max((picked[0][1] for _, picked in known), default=1.0)
    best: dict[str, float] = {}
    for weight, picked in known:
        top = picked[0][1]
        force = weight * (top / strongest) ** _FORCE / top
        for place, (name, score) in enumerate(picked):
            cost = _PLACE_COST * place - force * score
            if cost < best.get(name, float("inf")):
                best[name] = cost
    return sorted(best, key=lambda name: (best[name], name))


def _picked(
    index: Index,
    stems: Sequence[str],
    others: Sequence[str],
    most: int,
    among: Collection[str] | None,
) -> list[tuple[str, float]]:
    """Return tools with scores, each chosen for what those before it left unexplained.

    What is left only falls, so that a score of before is a bound: the best bound is renewed until
    it is the best score.
    """
    names = index.candidates(stems, int(most * _CHOICE), among)
    fits = _fits(index, names, stems)
    context = _context(index, names, others)
    left = dict.fromkeys(stems, 1.0)
    bounds = [
        (-context[name] - sum(worth for _, worth, _ in fits[name]), name, 0) for name in names
    ]
    heapq.heapify(bounds)
    picked: list[tuple[str, float]] = []
    while bounds and len(picked) < most:
        bound, name, seen = bounds[0]
        if seen < len(picked):
            score = context[name]
            for stem, worth, _ in fits[name]:
                score += left[stem] * worth
            heapq.heapreplace(bounds, (-score, name, len(picked)))
            continue
        heapq.heappop(bounds)
        picked.append((name, -bound))
        for stem, _, fit in fits[name]:
            left[stem] *= 1 - (1 - _LEFT) * fit / FULL
    return picked


def _fits(
    index: Index, names: Sequence[str], stems: Sequence[str]
) -> dict[str, list[tuple[str, float, float]]]:
    """Return for each tool `(stem, worth, fit)` of the stems that it holds."""
    fits: dict[str, list[tuple[str, float, float]]] = {name: [] for name in names}
    for stem in stems:
        holders, rarity = index.holders(stem), index.rarity(stem)
        for name in names:
            if name in holders:
                fit = holders[name]
                fits[name].append((stem, rarity * fit, fit))
    return fits


def _context(index: Index, names: Sequence[str], others: Sequence[str]) -> dict[str, float]:
    bonus = dict.fromkeys(names, 0.0)
    for stem in others:
        holders, rarity = index.holders(stem), _CONTEXT * index.rarity(stem)
        for name in names:
            if name in holders:
                bonus[name] += rarity * holders[name]
    return bonus
