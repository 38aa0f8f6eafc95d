"""A text as the orders that it gives, one clause each.

`clauses.py` cuts a text where another verb begins. Which of its clauses are one order, and which
are two, is a matter of what the tools do.
"""

from __future__ import annotations

from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.clauses import split_goal
from flowbuilder.planner.rules.continuing import continued
from flowbuilder.planner.rules.downloads import saved_apart
from flowbuilder.planner.rules.matching import ToolIndex
from flowbuilder.planner.rules.regrouping import regrouped
from flowbuilder.planner.rules.table_arguments import measures_by


def orders(text: str, index: ToolIndex) -> list[Clause]:
    """Return the clauses of a goal or an edit, as the tools can carry them out.

    Raises:
        PlanningError: It has more conditions than a plan could have.
    """
    found = split_goal(text, index.verbs)
    if any(measures_by(profile) for profile in index.profiles):
        found = regrouped(found)
    return continued(saved_apart(found, index.profiles))
