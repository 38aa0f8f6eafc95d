"""The sentences about runs that are not let in, and workers that take nothing."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowbuilder.executor.diagnosis import Reason

_FIGURES = {"cpu": "the processors", "memory": "the memory"}


def not_let_in(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    """Say which limit keeps a run back, with its figures, and who stands before it."""
    from flowbuilder.executor.reasonwords import span

    ahead = details.get("ahead") or 0
    before = f", {ahead} {'run stands' if ahead == 1 else 'runs stand'} before it" if ahead else ""
    if details.get("concurrency") is None and details.get("rate_count") is None:
        return f"The run is about to be let in{before}."
    flow = details.get("flow")
    whose = f"the flow {flow}" if flow else "the workspace"
    if reason.until is not None and reason.until > at:
        count = details["rate_count"]
        return (
            f"The run waits to be let in: {whose} may start {count} {_runs(count)} in "
            f"{_length(details['rate_seconds'])}, the next one in "
            f"{span(reason.until - at)}{before}."
        )
    most = details.get("concurrency")
    if most is None or details["running"] < most:
        return f"The run is about to be let in{before}."
    return (
        f"The run waits to be let in: {details['running']} of at most {most} {_runs(most)} of "
        f"{whose} {'is' if details['running'] == 1 else 'are'} under way{before}."
    )


def host_busy(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    """Say which workers take nothing, and by which figure."""
    shown = [
        f"{one['worker']}: {one['figure']:.0%} of {_FIGURES[one['cause']]} in use, above "
        f"{one['threshold']:.0%}"
        for one in (details.get("hosts") or [])[:3]
    ]
    held, workers = details["held"], details["workers"]
    return f"{held} of {workers} workers take nothing at present ({'; '.join(shown)})."


def _runs(count: int) -> str:
    return "run" if count == 1 else "runs"


def _length(seconds: float) -> str:
    return f"{seconds:g}s" if seconds < 60 or seconds % 60 else f"{seconds / 60:g}m"
