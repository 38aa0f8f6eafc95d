"""The figures of WorFBench's evaluation, WorFEval, as it computes them, faults included.

A workflow is a list of nodes in words, START first and END last, and edges between their places.
What is peculiar, and kept: edges are compared by place, whichever nodes stand for each other; a
chain has length 1 at least, also when nothing fits; and of a gold with ten nodes or more only the
listed order counts, START and END in it included.

The likeness of texts is given by the caller. The published figures use the cosine of sentence
embeddings; `word_likeness` is a stand-in that needs no model.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from flowbuilder.errors import InvalidValue
from flowbuilder.evals.metrics.assignment import heaviest

START, END = "START", "END"
THRESHOLD = 0.6
#: Orders of the gold that are tried, and from how many nodes on only the listed one is.
MOST_ORDERS, LISTED_ONLY = 20, 10

_NODE = re.compile(r"\d+[:.] (.+)")
_EDGE = re.compile(r"\(\s*(\d+|START)\s*,\s*(\d+|END)\s*\)")

Likeness = Callable[[str, str], float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Workflow:
    """Nodes in words with START and END, and edges between places."""

    nodes: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """Precision, recall and F1."""

    precision: float
    recall: float
    f1: float


NOTHING = Figures(precision=0.0, recall=0.0, f1=0.0)


def read_workflow(text: str) -> Workflow | None:
    """Return the workflow that a model wrote in words; None when it cannot be read.

    Nodes are lines such as `1: Boil water`, edges pairs such as `(START, 1)`. Without the word
    `Node`, or without a single edge, nothing is read.
    """
    if "Node" not in text:
        return None
    named = [node.strip() for node in _NODE.findall(text)]
    nodes = (START, *named, END)
    places = {START: 0, END: len(nodes) - 1}
    edges = tuple(
        (places[first] if first in places else int(first),
         places[second] if second in places else int(second))
        for first, second in _EDGE.findall(text)
    )  # fmt: skip
    return Workflow(nodes=nodes, edges=edges) if edges else None


def word_likeness(left: str, right: str) -> float:
    """Return the cosine of the counts of words in two texts, from 0 to 1."""
    ours, theirs = (Counter(re.findall(r"\w+", text.lower())) for text in (left, right))
    if ours == theirs:
        return 1.0
    dot = sum(count * theirs[word] for word, count in ours.items())
    size = math.sqrt(sum(n * n for n in ours.values()) * sum(n * n for n in theirs.values()))
    return dot / size if size else 0.0


def chain_figures(plan: Workflow, gold: Workflow, likeness: Likeness = word_likeness) -> Figures:
    """Return f1_chain: the longest chain of matched nodes, for the order that suits best.

    Raises:
        InvalidValue: The gold's edges form a cycle or lead to no node (workflow_invalid).
    """
    ours = [node for node in plan.nodes if node not in (START, END)]
    best = NOTHING
    for order in _orders(gold):
        if not ours or not order:
            continue
        length = _longest_chain(_matched(ours, order, likeness))
        found = _figures(length / len(ours), length / len(order))
        if found.f1 > best.f1:
            best = found
    return best


def graph_figures(plan: Workflow, gold: Workflow, likeness: Likeness = word_likeness) -> Figures:
    """Return f1_graph: the largest part that hangs together by edges of both."""
    if not plan.nodes or not gold.nodes:
        return NOTHING
    matched = {
        ours: theirs
        for ours, theirs in enumerate(_matched(plan.nodes, gold.nodes, likeness))
        if theirs is not None
    }
    if not matched:
        return NOTHING
    theirs = set(matched.values())
    kept = {edge for edge in gold.edges if theirs.issuperset(edge)}
    common = [edge for edge in plan.edges if matched.keys() >= {*edge} and edge in kept]
    return _figures(
        _largest_part(matched.keys(), common) / len(plan.nodes),
        _largest_part(theirs, common) / len(gold.nodes),
    )


def mean_figures(
    pairs: Iterable[tuple[Workflow | None, Workflow]],
    judge: Callable[[Workflow, Workflow], Figures],
) -> Figures:
    """Return the means over all golds; a plan that could not be read, None, counts 0."""
    found = [NOTHING if plan is None else judge(plan, gold) for plan, gold in pairs]
    count = len(found) or 1
    return Figures(
        precision=sum(one.precision for one in found) / count,
        recall=sum(one.recall for one in found) / count,
        f1=sum(one.f1 for one in found) / count,
    )


def _figures(precision: float, recall: float) -> Figures:
    both = precision + recall
    f1 = 2 * precision * recall / both if both else 0.0
    return Figures(precision=precision, recall=recall, f1=f1)


def _matched(ours: Sequence[str], theirs: Sequence[str], likeness: Likeness) -> list[int | None]:
    """Return which of theirs each of ours stands for, by greatest likeness in all."""
    table = [[max(likeness(a, b), 0.0) for b in theirs] for a in ours]
    weights = [[value if value > THRESHOLD else 0.0 for value in row] for row in table]
    pairs = heaviest(weights)
    return [
        pairs[place] if place in pairs and weights[place][pairs[place]] > 0 else None
        for place in range(len(ours))
    ]


def _longest_chain(places: Sequence[int | None]) -> int:
    lengths: list[int] = []
    for number, place in enumerate(places):
        before = [
            lengths[other] + 1
            for other, theirs in enumerate(places[:number])
            if place is not None and theirs is not None and place > theirs
        ]
        lengths.append(max(before, default=1))
    return max(lengths)


def _largest_part(nodes: Iterable[int], edges: Iterable[tuple[int, int]]) -> int:
    """Return how many nodes the largest part has that hangs together."""
    above = {node: node for node in nodes}

    def top(node: int) -> int:
        while above.setdefault(node, node) != node:
            node = above[node]
        return node

    for first, second in edges:
        above[top(first)] = top(second)
    return max(Counter(map(top, list(above))).values())


def _orders(gold: Workflow) -> list[list[str]]:
    """Return the orders of the gold's nodes that are tried."""
    if len(gold.nodes) >= LISTED_ONLY:
        return [list(gold.nodes)]
    size = len(gold.nodes)
    following: list[list[int]] = [[] for _ in range(size)]
    for before, after in dict.fromkeys(gold.edges):
        if not (0 <= before < size and 0 <= after < size):
            raise InvalidValue("an edge leads to no node", code="workflow_invalid")
        following[before].append(after)
    waits = Counter(after for later in following for after in later)
    ready = tuple(place for place in range(size) if not waits[place])
    orders = list(islice(_sorts(ready, following, waits, size), MOST_ORDERS))
    if not orders:
        raise InvalidValue("the edges form a cycle", code="workflow_invalid")
    return [
        [gold.nodes[place] for place in order if gold.nodes[place] not in (START, END)]
        for order in orders
    ]


def _sorts(
    ready: tuple[int, ...], following: Sequence[Sequence[int]], waits: Counter[int], left: int
) -> Iterator[list[int]]:
    """Yield topological orders, the last node that became free first.

    Which of many orders come first decides the figure, so they come as the evaluation has them.
    """
    if not left:
        yield []
        return
    for _ in range(len(ready)):
        chosen, rest = ready[-1], ready[:-1]
        freed = []
        for after in following[chosen]:
            waits[after] -= 1
            if not waits[after]:
                freed.append(after)
        for order in _sorts((*rest, *freed), following, waits, left - 1):
            yield [chosen, *order]
        for after in following[chosen]:
            waits[after] += 1
        ready = (chosen, *rest)
