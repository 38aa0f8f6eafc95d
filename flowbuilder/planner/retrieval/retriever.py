"""Find the tools of a large catalogue that a goal could need, by words and by how tools connect.

One index a registry, built when it is first asked and brought up to date when tools are added.
Nothing is random and ties go by name: the same goal gets the same tools in the same order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from threading import Lock
from weakref import WeakKeyDictionary

from flowbuilder.planner.retrieval.couse import CoUse
from flowbuilder.planner.retrieval.index import Index
from flowbuilder.planner.retrieval.mentions import mentioned
from flowbuilder.planner.retrieval.producers import producers
from flowbuilder.planner.retrieval.ranking import rank
from flowbuilder.planner.retrieval.units import Unit, units
from flowbuilder.tools import Tool, ToolRegistry

#: Of a list, one place in so many is for producers, and for tools that usually go with the others.
_PRODUCERS, _PARTNERS = 8, 4
#: How many of the first choices lead to others.
_LEADING = 8


class Retriever:
    """The searchable catalogue of one registry."""

    def __init__(self) -> None:
        self._index = Index()
        self._revision = -1
        self._lock = Lock()

    def is_current(self, registry: ToolRegistry) -> bool:
        """Whether the index knows the registry as it is now."""
        return self._revision == registry.revision

    def update(self, registry: ToolRegistry) -> None:
        """Take over what changed in the registry since the last time."""
        with self._lock:
            if not self.is_current(registry):
                revision = registry.revision
                self._index.update(registry)
                self._revision = revision

    def find(
        self,
        goal: str,
        limit: int,
        *,
        pinned: Iterable[str] = (),
        among: Collection[str] | None = None,
        co_use: CoUse | None = None,
    ) -> list[str]:
        """Return the names of at most `limit` tools, see `retrieve`."""
        index, parts = self._index, units(goal)
        pins = self.pins(goal, pinned=pinned, among=among)
        ranked, chosen = rank(index, parts, limit, among)
        kept = list(dict.fromkeys([*pins, *ranked]))[: max(limit, len(pins))]
        leading = _leading(pins, chosen, ranked)
        made = producers(index, leading, parts, among)
        usual = co_use.partners(dict.fromkeys(name for name, _ in leading)) if co_use else []
        partners = [
            name for name in usual if name in index.profiles and (among is None or name in among)
        ]
        extra = dict.fromkeys(
            [
                *_new(made, kept)[: limit // _PRODUCERS],
                *_new(partners, kept)[: limit // _PARTNERS],
            ]
        )
        room = max(limit - len(extra), len(pins))
        return [*kept[:room], *extra][: max(limit, len(pins))]

    def first_choices(self, goal: str, *, pinned: Iterable[str] = ()) -> set[str]:
        """Return the names of the tools that the parts of a goal speak of first, and the pins."""
        _, chosen = rank(self._index, units(goal), 1)
        return {name for name, _ in chosen} | set(self.pins(goal, pinned=pinned))

    def pins(
        self, goal: str, *, pinned: Iterable[str] = (), among: Collection[str] | None = None
    ) -> list[str]:
        """Return the names of the tools that are pinned, and of those that the goal names."""
        known = self._index.profiles
        asked = [name for name in pinned if name in known and (among is None or name in among)]
        return list(dict.fromkeys([*asked, *mentioned(self._index, goal, among)]))


def _leading(
    pins: Iterable[str], chosen: Iterable[tuple[str, Unit]], ranked: Sequence[str]
) -> list[tuple[str, Unit]]:
    """Return the tools that lead to others: pins, first choices, and what stands high up."""
    leading = {name: Unit() for name in pins}
    for name, part in (*chosen, *((name, Unit()) for name in ranked)):
        leading.setdefault(name, part)
    return list(leading.items())[:_LEADING]


def _new(names: Iterable[str], kept: Sequence[str]) -> list[str]:
    return [name for name in names if name not in kept]


_retrievers: WeakKeyDictionary[ToolRegistry, Retriever] = WeakKeyDictionary()


def retriever_of(registry: ToolRegistry) -> Retriever:
    """Return the one retriever of a registry, as it was when it was last asked."""
    return _retrievers.setdefault(registry, Retriever())


def retrieve(
    registry: ToolRegistry,
    goal: str,
    limit: int = 20,
    *,
    pinned: Iterable[str] = (),
    among: Collection[str] | None = None,
    co_use: CoUse | None = None,
) -> list[Tool]:
    """Return the tools that a goal could need, the likeliest first, never more than `limit`.

    But for pins: tools named in the goal, and those pinned by name, come before all others and are
    never left out. Without any shared word, a tool is found only as a producer of what another one
    needs, or as one that usually goes with it. With `among` no others than these are considered,
    though all count when it comes to how rare a word is.
    """
    found = retriever_of(registry)
    found.update(registry)
    names = found.find(goal, limit, pinned=pinned, among=among, co_use=co_use)
    tools = (registry.get(name) for name in names)
    return [tool for tool in tools if tool is not None]
