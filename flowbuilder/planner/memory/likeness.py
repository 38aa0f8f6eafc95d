"""How near goals are: the words that they share, once their values are put aside."""

from __future__ import annotations

from flowbuilder.planner.memory.abstraction import abstract_goal
from flowbuilder.planner.retrieval.vocabulary import text_stems

#: Share of the words, of the two goals on average, that a goal worth recalling has in common.
NEAR = 0.5
_MOST_STEMS = 80


def goal_stems(goal: str) -> list[str]:
    """Return the telling stems of a goal without its values, each once, sorted."""
    return sorted(set(text_stems(abstract_goal(goal))))[:_MOST_STEMS]
