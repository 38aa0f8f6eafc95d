"""The figures of Seal-Tools as its evaluation computes them, faults included.

What is peculiar, and kept: a planned call is held against the first gold call of its name, so that
several calls of one tool all count against the same one; and values are compared as Python writes
them, so that 3 and "3" are the same, and 3 and 3.0 are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class SealToolsFigures:
    """What the evaluation prints; where it prints nothing because a count is 0, this is 0."""

    format_rate: float
    """Share of the answers that could be read."""
    api_precision: float
    api_recall: float
    api_f1: float
    parameter_precision: float
    parameter_recall: float
    parameter_f1: float


def sealtools_figures(
    pairs: Iterable[tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]] | None]],
) -> SealToolsFigures:
    """Return the published figures.

    Args:
        pairs: Gold calls and planned calls, each with `api` and `parameters`; None for an answer
            that could not be read.
    """
    listed = list(pairs)
    apis, parameters = _Count(), _Count()
    for gold, plan in listed:
        apis.wanted += len(gold)
        parameters.wanted += sum(len(call["parameters"]) for call in gold)
        for call in plan or ():
            if "api" in call:
                _count_call(call, gold, apis, parameters)
    readable = sum(plan is not None for _, plan in listed)
    api, parameter = apis.figures(), parameters.figures()
    return SealToolsFigures(
        format_rate=readable / len(listed) if listed else 0.0,
        api_precision=api[0],
        api_recall=api[1],
        api_f1=api[2],
        parameter_precision=parameter[0],
        parameter_recall=parameter[1],
        parameter_f1=parameter[2],
    )


@dataclass(slots=True)
class _Count:
    right: int = 0
    planned: int = 0
    wanted: int = 0

    def figures(self) -> tuple[float, float, float]:
        if not self.right or not self.planned or not self.wanted:
            return 0.0, 0.0, 0.0
        precision, recall = self.right / self.planned, self.right / self.wanted
        return precision, recall, 2 * precision * recall / (precision + recall)


def _count_call(
    call: Mapping[str, Any], gold: Sequence[Mapping[str, Any]], apis: _Count, parameters: _Count
) -> None:
    given = call.get("parameters")
    given = given if isinstance(given, dict) else {}
    apis.planned += 1
    parameters.planned += len(given)
    wanted = next((other["parameters"] for other in gold if other["api"] == call["api"]), None)
    if wanted is not None:
        apis.right += 1
        parameters.right += sum(
            name in wanted and str(value) == str(wanted[name]) for name, value in given.items()
        )
