"""The tools that make what a chosen tool needs: an order's id for the tool that takes one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from flowbuilder.planner.retrieval.index import Index
from flowbuilder.planner.retrieval.units import Unit
from flowbuilder.planner.retrieval.vocabulary import name_stems
from flowbuilder.tools import HARMLESS

#: What more tools than this give leads from one to another only if they share a rare name.
_MANY_GIVERS = 12
#: How rare a word of two names is that makes tools of one family.
_RARE = 4.0


def producers(
    index: Index,
    chosen: Iterable[tuple[str, Unit]],
    parts: Sequence[Unit],
    among: Collection[str] | None = None,
) -> list[str]:
    """Return the harmless tools that give what chosen tools need and their parts do not name.

    In the order of the chosen tools; of the givers of one thing the one that is most of the same
    family, which then fits the goal best.
    """
    stems = sorted({stem for part in parts for stem in part.stems})
    found: dict[str, None] = {}
    for name, part in chosen:
        for key in index.profiles[name].needs:
            if part.has_value and set(key.split()) <= set(part.stems):
                continue
            best = _best(index, name, index.givers.get(key, ()), stems, among)
            if best is not None:
                found[best] = None
    return list(found)


def _best(
    index: Index,
    taker: str,
    givers: Collection[str],
    stems: Sequence[str],
    among: Collection[str] | None,
) -> str | None:
    family = {stem for stem in name_stems(taker) if index.rarity(stem) >= _RARE}
    best: tuple[float, float, str] | None = None
    for name in givers:
        if name == taker or index.profiles[name].tool.effects not in HARMLESS:
            continue
        if among is not None and name not in among:
            continue
        shared = sum(index.rarity(stem) for stem in family.intersection(name_stems(name)))
        if not shared and len(givers) > _MANY_GIVERS:
            continue
        fit = sum(index.rarity(stem) * index.holders(stem).get(name, 0.0) for stem in stems)
        best = min(best or (1.0, 0.0, ""), (-shared, -fit, name))
    return best[2] if best else None
