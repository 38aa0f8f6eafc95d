"""Which step of a plan stands for which of the gold: an assignment of greatest weight.

Steps with the same tool may stand for each other; the more arguments they share, the better. Where
this leaves a choice, the graph around the steps decides: first whether the whole graphs are equal
but for the order of steps, then how far their surroundings agree, then how many references fit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from flowbuilder.evals.metrics.graph import PlanGraph, neighbours, sorted_arguments

#: Rounds of looking one step further around.
ROUNDS = 4
#: Steps of one tool up to which the best assignment is computed; beyond it equal ones go first.
LARGEST_GROUP = 60
#: Edges looked at, times rounds, before the search for a whole match gives up.
_MOST_WORK = 3_000_000
#: Choices made one after the other in that search.
_MOST_GUESSES = 200


def assign(
    plan: PlanGraph,
    gold: PlanGraph,
    likeness: Callable[[int, int], float],
) -> dict[int, int]:
    """Return place in the plan → place in the gold, for all steps that stand for one.

    Args:
        plan: What is judged.
        gold: What it is held against.
        likeness: From 0 to 1, how alike the arguments of two steps of one tool are.
    """
    whole = same_graph(plan, gold)
    if whole is not None:
        return whole
    colours = _surroundings(plan, gold)
    depths = _depths(plan), _depths(gold)
    found: dict[int, int] = {}
    for tool in dict.fromkeys(step.tool for step in plan.steps):
        left = [place for place, step in enumerate(plan.steps) if step.tool == tool]
        right = [place for place, step in enumerate(gold.steps) if step.tool == tool]
        if left and right:
            found |= _assign_group(left, right, likeness, colours, depths)
    return _improved(found, plan, gold, likeness)


def same_graph(plan: PlanGraph, gold: PlanGraph) -> dict[int, int] | None:
    """Return how the steps of two equal graphs stand for each other; None for different ones.

    Equal are tools, arguments, conditions, references and order; places are not looked at.
    """
    size = len(plan.steps)
    if size != len(gold.steps) or len(plan.data) != len(gold.data):
        return None
    if len(plan.order) != len(gold.order) or len(plan.dangling) != len(gold.dangling):
        return None
    search = _Search(plan, gold)
    return search.find(search.start())


class _Search:
    """Colours the steps of both graphs together until each colour stands for one pair."""

    def __init__(self, plan: PlanGraph, gold: PlanGraph) -> None:
        self._size = len(plan.steps)
        self._links = neighbours(plan, 0) + neighbours(gold, self._size)
        self._graphs = (plan, gold)
        self._work = 0

    def start(self) -> list[int]:
        """Return first colours: what steps are, and all that comes before and after them."""
        plan, gold = self._graphs
        names: dict[object, int] = {}
        own = [
            names.setdefault((step.tool, sorted_arguments(step), step.policies), len(names))
            for step in (*plan.steps, *gold.steps)
        ]
        turns = _in_turn(plan, 0), _in_turn(gold, self._size)
        if turns[0] is None or turns[1] is None:
            return own
        listed = [*turns[0], *turns[1]]
        above = self._along(own, listed, ("from", "after"))
        return self._along(above, listed[::-1], ("to", "before"))

    def _along(self, own: list[int], listed: list[int], kinds: tuple[str, str]) -> list[int]:
        """Return colours that tell apart all that lies on one side; places come in turn."""
        names: dict[object, int] = {}
        found = list(own)
        for place in listed:
            near = [
                (kind, found[other]) for kind, other in self._links[place] if kind.startswith(kinds)
            ]
            found[place] = -1 - names.setdefault((own[place], *sorted(near)), len(names))
        return found

    def find(self, colours: list[int], guesses: int = 0) -> dict[int, int] | None:
        """Return the pairs that colours lead to, guessing where they leave a choice."""
        refined = self._refine(colours)
        if refined is None or guesses > _MOST_GUESSES:
            return None
        classes: dict[int, tuple[list[int], list[int]]] = {}
        for place, colour in enumerate(refined):
            side = classes.setdefault(colour, ([], []))
            side[place >= self._size].append(place)
        open_ = [pair for pair in classes.values() if len(pair[0]) > 1 and not self._twins(*pair)]
        if not open_:
            return {
                ours: theirs - self._size
                for left, right in classes.values()
                for ours, theirs in zip(left, right, strict=True)
            }
        left, right = min(open_, key=lambda pair: len(pair[0]))
        for candidate in right:
            tried = list(refined)
            tried[left[0]] = tried[candidate] = len(refined) * 2
            found = self.find(tried, guesses + 1)
            if found is not None or self._work > _MOST_WORK:
                return found
        return None

    def _twins(self, left: list[int], right: list[int]) -> bool:
        """Whether any of these may stand for any: all have the very same neighbours."""
        return all(
            len({tuple(sorted(self._links[place])) for place in side}) == 1
            for side in (left, right)
        )

    def _refine(self, colours: list[int]) -> list[int] | None:
        """Return colours that neighbours cannot split further; None when the graphs differ."""
        kinds = len(set(colours))
        while True:
            self._work += len(self._links) + sum(map(len, self._links))
            if self._work > _MOST_WORK:
                return None
            names: dict[object, int] = {}
            colours = [
                names.setdefault(
                    (own, *sorted((kind, colours[other]) for kind, other in links)), len(names)
                )
                for own, links in zip(colours, self._links, strict=True)
            ]
            if Counter(colours[: self._size]) != Counter(colours[self._size :]):
                return None
            if len(names) == kinds:
                return colours
            kinds = len(names)


def _in_turn(graph: PlanGraph, shift: int) -> list[int] | None:
    """Return the places, each after those it waits for; None when some wait for each other."""
    waits = [0] * len(graph.steps)
    following: list[list[int]] = [[] for _ in graph.steps]
    for before, after in graph.order:
        waits[after] += 1
        following[before].append(after)
    listed = [place for place, count in enumerate(waits) if not count]
    for place in listed:
        for after in following[place]:
            waits[after] -= 1
            if not waits[after]:
                listed.append(after)
    looped = any(edge.producer == edge.consumer for edge in graph.data)
    if looped or len(listed) < len(waits):
        return None
    return [place + shift for place in listed]


def _depths(graph: PlanGraph) -> list[int]:
    """Return how many steps at most come one after the other before each; 0 in cycles."""
    depths = [0] * len(graph.steps)
    preceding: list[list[int]] = [[] for _ in graph.steps]
    for before, after in graph.order:
        preceding[after].append(before)
    for place in _in_turn(graph, 0) or ():
        depths[place] = max((depths[other] + 1 for other in preceding[place]), default=0)
    return depths


def _surroundings(plan: PlanGraph, gold: PlanGraph) -> list[tuple[list[int], list[int]]]:
    """Return colours after each round, of both graphs: equal ones have equal surroundings."""
    size = len(plan.steps)
    links = neighbours(plan, 0) + neighbours(gold, size)
    names: dict[object, int] = {}
    colours = [
        names.setdefault((step.tool, sorted_arguments(step)), len(names))
        for step in (*plan.steps, *gold.steps)
    ]
    rounds = []
    for _ in range(ROUNDS):
        rounds.append((colours[:size], colours[size:]))
        names = {}
        colours = [
            names.setdefault(
                (own, *sorted((kind, colours[other]) for kind, other in near)), len(names)
            )
            for own, near in zip(colours, links, strict=True)
        ]
    return rounds


def _assign_group(
    left: Sequence[int],
    right: Sequence[int],
    likeness: Callable[[int, int], float],
    colours: Sequence[tuple[list[int], list[int]]],
    depths: tuple[list[int], list[int]],
) -> dict[int, int]:
    def weight(a: int, b: int) -> float:
        shared = sum(ours[a] == theirs[b] for ours, theirs in colours)
        apart = abs(depths[0][a] - depths[1][b])
        return 1 + 0.5 * likeness(a, b) + 1e-6 * shared - 1e-9 * apart / (apart + 1)

    found: dict[int, int] = {}
    if max(len(left), len(right)) > LARGEST_GROUP:
        for ours, theirs in reversed(colours):
            free = {place for place in right if place not in found.values()}
            by_colour: dict[int, list[int]] = {}
            for place in sorted(free, reverse=True):
                by_colour.setdefault(theirs[place], []).append(place)
            for place in left:
                if place not in found and by_colour.get(ours[place]):
                    found[place] = by_colour[ours[place]].pop()
        left = [place for place in left if place not in found]
        right = [place for place in right if place not in found.values()]
    if max(len(left), len(right), 0) > LARGEST_GROUP:
        left = sorted(left, key=depths[0].__getitem__)
        right = sorted(right, key=depths[1].__getitem__)
        return found | dict(zip(left, right, strict=False))
    table = [[weight(a, b) for b in right] for a in left]
    return found | {left[a]: right[b] for a, b in heaviest(table).items()}


def heaviest(table: Sequence[Sequence[float]]) -> dict[int, int]:
    """Return row → column of an assignment of greatest sum; weights are not negative.

    The Hungarian method with potentials, O(rows² · columns).
    """
    if not table or not table[0]:
        return {}
    if len(table) > len(table[0]):
        turned = [list(column) for column in zip(*table, strict=True)]
        return {row: column for column, row in heaviest(turned).items()}
    rows, columns = len(table), len(table[0])
    above = max(map(max, table))
    row_price = [0.0] * (rows + 1)
    column_price = [0.0] * (columns + 1)
    owner = [0] * (columns + 1)  # owner[0] is the row that is being placed; 0 stands for none
    for row in range(1, rows + 1):
        owner[0] = row
        _place(table, above, row_price, column_price, owner)
    return {owner[column] - 1: column - 1 for column in range(1, columns + 1) if owner[column]}


def _place(
    table: Sequence[Sequence[float]],
    above: float,
    row_price: list[float],
    column_price: list[float],
    owner: list[int],
) -> None:
    """Place the row in owner[0], moving others along a cheapest way."""
    columns = len(owner) - 1
    cheapest = [float("inf")] * (columns + 1)
    came_from = [0] * (columns + 1)
    done = [False] * (columns + 1)
    at = 0
    while owner[at]:
        done[at] = True
        row, step, following = owner[at], float("inf"), 0
        for column in range(1, columns + 1):
            if done[column]:
                continue
            cost = above - table[row - 1][column - 1] - row_price[row] - column_price[column]
            if cost < cheapest[column]:
                cheapest[column], came_from[column] = cost, at
            if cheapest[column] < step:
                step, following = cheapest[column], column
        for column in range(columns + 1):
            if done[column]:
                row_price[owner[column]] += step
                column_price[column] -= step
            else:
                cheapest[column] -= step
        at = following
    while at:
        owner[at] = owner[came_from[at]]
        at = came_from[at]


def _improved(
    found: dict[int, int],
    plan: PlanGraph,
    gold: PlanGraph,
    likeness: Callable[[int, int], float],
) -> dict[int, int]:
    """Swap steps of one tool as long as no arguments are lost and more references fit."""
    wanted = {(e.producer, e.path, e.consumer, e.where) for e in gold.data}
    touching: dict[int, list[tuple[int, tuple[str | int, ...], int, str]]] = {}
    for edge in plan.data:
        for end in {edge.producer, edge.consumer}:
            item = (edge.producer, edge.path, edge.consumer, edge.where)
            touching.setdefault(end, []).append(item)

    def fitting(*ends: int) -> int:
        edges = {item for end in ends for item in touching.get(end, [])}
        return sum(
            (found.get(a), path, found.get(b), where) in wanted for a, path, b, where in edges
        )

    groups: dict[str, list[int]] = {}
    for place in found:
        groups.setdefault(plan.steps[place].tool, []).append(place)
    pairs = [
        (a, b)
        for group in groups.values()
        if len(group) <= LARGEST_GROUP
        for number, a in enumerate(group)
        for b in group[number + 1 :]
    ]
    for _ in range(ROUNDS):
        changed = False
        for a, b in pairs:
            before = fitting(a, b)
            kept = likeness(a, found[a]) + likeness(b, found[b])
            if likeness(a, found[b]) + likeness(b, found[a]) < kept - 1e-12:
                continue
            found[a], found[b] = found[b], found[a]
            if fitting(a, b) > before:
                changed = True
            else:
                found[a], found[b] = found[b], found[a]
        if not changed:
            break
    return found
