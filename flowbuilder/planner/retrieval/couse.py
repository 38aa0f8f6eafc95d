"""Which tools go together: counted in plans that were carried out, such as a look-up and a mail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import permutations

#: A plan with more tools than this says little about any two of them.
_MOST_TOOLS = 40
#: A partner goes with a tool at least this often, once known plans are counted with one other.
_LEAST = 0.4


@dataclass(frozen=True, kw_only=True, slots=True)
class CoUse:
    """How often tools stood in the same plan; empty where nothing was learnt."""

    uses: Mapping[str, int] = field(default_factory=dict)
    """In how many plans each tool stood."""
    pairs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """For each tool, how many of these plans had which other tool."""

    @classmethod
    def learn(cls, plans: Iterable[Collection[str]]) -> CoUse:
        """Count the tools of plans, each plan given by the names of its tools."""
        uses: Counter[str] = Counter()
        pairs: dict[str, Counter[str]] = {}
        for plan in plans:
            tools = {name.partition("@")[0] for name in plan}
            uses.update(tools)
            if len(tools) <= _MOST_TOOLS:
                for one, other in permutations(tools, 2):
                    pairs.setdefault(one, Counter())[other] += 1
        return cls(uses=dict(uses), pairs={name: dict(found) for name, found in pairs.items()})

    def joined(self, other: CoUse) -> CoUse:
        """Return what both have counted, together."""
        uses = Counter(self.uses) + Counter(other.uses)
        names = {*self.pairs, *other.pairs}
        pairs = {
            name: dict(Counter(self.pairs.get(name, {})) + Counter(other.pairs.get(name, {})))
            for name in names
        }
        return CoUse(uses=dict(uses), pairs=pairs)

    def partners(self, names: Iterable[str]) -> list[str]:
        """Return what usually goes with any of these tools, the most usual first."""
        found: dict[str, float] = {}
        for name in names:
            for other, together in self.pairs.get(name, {}).items():
                share = together / (self.uses[name] + 1)
                if share >= _LEAST:
                    found[other] = max(found.get(other, 0.0), share)
        return sorted(found, key=lambda other: (-found[other], other))
