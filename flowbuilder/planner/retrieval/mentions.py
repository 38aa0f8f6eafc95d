"""The tools that a goal names by their names: "with `report`, then mail.send"."""

from __future__ import annotations

import re
from collections.abc import Collection

from flowbuilder.planner.retrieval.index import Index

_NAME = re.compile(r"(?P<quote>[`\"'“‘]?)(?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)*)(?P<end>[`\"'”’]?)")
_INNER_CAPITAL = re.compile(r"[a-z0-9][A-Z]")


def mentioned(index: Index, goal: str, among: Collection[str] | None = None) -> list[str]:
    """Return the names of the tools that a goal names, in the order of the goal.

    A name that is a plain word, such as `report`, counts in quotation marks only.
    """
    found: dict[str, None] = {}
    for match in _NAME.finditer(goal):
        name = match["name"]
        plain = not ("." in name or "_" in name or _INNER_CAPITAL.search(name))
        if not plain or (match["quote"] and match["end"]):
            known = sorted(index.names.get(name.lower(), ()))
            found |= dict.fromkeys(item for item in known if among is None or item in among)
    return list(found)
