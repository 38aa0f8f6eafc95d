"""What a process counts of itself: plain numbers in memory, which nobody has to read.

Counting costs a look into a dictionary and an addition. Names, help and labels stand here, so that
the dashboard, the alerts and the page for operators can be held against them; how they are handed
to Prometheus is the business of `flowbuilder.telemetry`.

No label says which run, workspace, user or address something is about. What a label may hold is
bounded all the same: of one metric at most `MOST_SERIES` are kept, the rest is counted as `other`.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

#: Series of one metric; what comes later is counted under `other`.
MOST_SERIES = 200
_OTHER = "other"
_LONGEST_LABEL = 100

Labels = tuple[str, ...]
Values = Mapping[Labels, float]
Source = Callable[[], Values]


class Kind(StrEnum):
    """What a metric is to Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"


@dataclass(kw_only=True, eq=False)
class Metric:
    """One metric: its name without the prefix, what it says, and its labels in order."""

    name: str
    help: str
    kind: Kind
    labels: Labels = ()

    def __post_init__(self) -> None:
        METRICS[self.full_name] = self

    @property
    def full_name(self) -> str:
        """The name as it is exposed."""
        return f"flowbuilder_{self.name}"


#: Every metric there is, by its full name.
METRICS: dict[str, Metric] = {}
_making = threading.Lock()


def _cleaned(labels: Labels) -> Labels:
    return tuple(label[:_LONGEST_LABEL] for label in labels)


@dataclass(kw_only=True, eq=False)
class Counter(Metric):
    """A number that only grows."""

    kind: Kind = Kind.COUNTER
    _cells: dict[Labels, list[float]] = field(default_factory=dict, repr=False)

    def add(self, amount: float, *labels: str) -> None:
        """Add to the series of these labels, given in the order of `self.labels`."""
        cell = self._cells.get(labels)
        if cell is None:
            cell = self._make(labels)
        cell[0] += amount  # one step for the interpreter: no count is lost between threads

    def value(self, *labels: str) -> float:
        """Return what was counted so far."""
        cell = self._cells.get(_cleaned(labels))
        return cell[0] if cell is not None else 0.0

    def values(self) -> Values:
        """Return all series."""
        return {labels: cell[0] for labels, cell in self._cells.copy().items()}

    def reset(self) -> None:
        """Forget everything: for tests."""
        self._cells.clear()

    def _make(self, labels: Labels) -> list[float]:
        if len(labels) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}")
        with _making:
            kept = _cleaned(labels)
            if kept not in self._cells and len(self._cells) >= MOST_SERIES:
                kept = (_OTHER,) * len(labels)
            return self._cells.setdefault(kept, [0.0])


@dataclass(kw_only=True, eq=False)
class Gauge(Metric):
    """A number as it is at the moment: asked of those who know it when somebody wants to see it."""

    kind: Kind = Kind.GAUGE
    _sources: list[Source] = field(default_factory=list, repr=False)

    def attach(self, source: Source) -> Callable[[], None]:
        """Ask `source` too from now on; what several say of one series is added up.

        Returns what ends it.
        """
        self._sources.append(source)

        def detach() -> None:
            if source in self._sources:
                self._sources.remove(source)

        return detach

    def values(self) -> Values:
        """Return all series as they are now."""
        found: dict[Labels, float] = {}
        for source in self._sources.copy():
            for labels, value in source().items():
                found[labels] = found.get(labels, 0.0) + value
        return found


@dataclass(kw_only=True, eq=False)
class Summary(Metric):
    """How often, and how much together: `values` gives pairs that somebody else keeps."""

    kind: Kind = Kind.SUMMARY
    _sources: list[Callable[[], tuple[float, float]]] = field(default_factory=list, repr=False)

    def attach(self, source: Callable[[], tuple[float, float]]) -> Callable[[], None]:
        """Ask `source`, which gives `(count, sum)`, from now on. Returns what ends it."""
        self._sources.append(source)

        def detach() -> None:
            if source in self._sources:
                self._sources.remove(source)

        return detach

    def total(self) -> tuple[float, float]:
        """Return `(count, sum)`."""
        told = [source() for source in self._sources.copy()]
        return (sum(count for count, _ in told), sum(amount for _, amount in told))


@dataclass(kw_only=True, eq=False)
class Histogram(Metric):
    """How long or how much, sorted into buckets by their upper bounds."""

    kind: Kind = Kind.HISTOGRAM
    bounds: tuple[float, ...]
    _cells: dict[Labels, list[float]] = field(default_factory=dict, repr=False)

    def observe(self, value: float, *labels: str) -> None:
        """Take note of one measurement."""
        cell = self._cells.get(labels)
        if cell is None:
            cell = self._make(labels)
        cell[bisect_left(self.bounds, value)] += 1.0
        cell[-1] += value

    def count(self, *labels: str) -> int:
        """Return how many measurements there were."""
        cell = self._cells.get(_cleaned(labels))
        return int(sum(cell[:-1])) if cell is not None else 0

    def series(self) -> dict[Labels, tuple[list[float], float]]:
        """Return, by labels, the counts of each bucket (the last: above all bounds) and the sum."""
        return {labels: (cell[:-1], cell[-1]) for labels, cell in self._cells.copy().items()}

    def reset(self) -> None:
        """Forget everything: for tests."""
        self._cells.clear()

    def _make(self, labels: Labels) -> list[float]:
        if len(labels) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}")
        with _making:
            kept = _cleaned(labels)
            if kept not in self._cells and len(self._cells) >= MOST_SERIES:
                kept = (_OTHER,) * len(labels)
            # a count for each bound, one for what is above all of them, and the sum
            return self._cells.setdefault(kept, [0.0] * (len(self.bounds) + 2))


_FAST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_WORK = (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)
_RUNS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 43_200.0, 259_200.0)
_PEOPLE = (2.0, 10.0, 60.0, 300.0, 1800.0, 7200.0, 28_800.0, 86_400.0, 604_800.0)

# -- runs and steps ---------------------------------------------------------------------------
RUNS_STARTED = Counter(
    name="runs_started_total",
    help="Runs that this process has started, by what asked for them.",
    labels=("trigger",),
)
RUNS_FINISHED = Counter(
    name="runs_finished_total",
    help="Runs that have ended and that this process was the first to count.",
    labels=("status",),
)
RUN_DURATION = Histogram(
    name="run_duration_seconds",
    help="From the start of a run's first step to its end.",
    labels=("status",),
    bounds=_RUNS,
)
STEPS = Counter(
    name="steps_total",
    help="Attempts of tasks, by kind of tool and what they ended with.",
    labels=("tool_kind", "status"),
)
STEP_DURATION = Histogram(
    name="step_duration_seconds",
    help="How long attempts took.",
    labels=("tool_kind",),
    bounds=_WORK,
)
STEP_QUEUE_WAIT = Histogram(
    name="step_queue_wait_seconds",
    help="From the moment when a task could start to its start, of some tasks of each ended run.",
    bounds=_FAST,
)
STEP_RETRIES = Counter(
    name="step_retries_total",
    help="Attempts that are repeated, by the code of their error.",
    labels=("reason",),
)
# -- queue and workers ------------------------------------------------------------------------
QUEUE_MESSAGES = Gauge(
    name="queue_messages",
    help="Messages in a queue: visible ones, and those that are taken or put off.",
    labels=("queue", "state"),
)
QUEUE_OLDEST = Gauge(
    name="queue_oldest_message_age_seconds",
    help="Age of the oldest message of a queue.",
    labels=("queue",),
)
DEAD_LETTERS = Gauge(
    name="dead_letter_messages",
    help="Events for a queue that takes none; of the queue of tasks, those suspected of taking "
    "their workers down.",
    labels=("queue",),
)
LEASES_EXPIRED = Counter(
    name="leases_expired_total",
    help="Tasks that were queued again because nobody extended their lease, in the database.",
)
WORKER_SLOTS = Gauge(
    name="worker_slots",
    help="Slots of the workers in this process: busy and free.",
    labels=("state",),
)
# -- people -----------------------------------------------------------------------------------
APPROVALS_PENDING = Gauge(
    name="approvals_pending", help="Approvals that nobody has decided.", labels=("risk",)
)
APPROVALS_OLDEST = Gauge(
    name="approvals_oldest_age_seconds", help="Age of the oldest approval that nobody has decided."
)
APPROVAL_WAIT = Histogram(
    name="approval_wait_seconds",
    help="From the question to the decision.",
    labels=("decision",),
    bounds=_PEOPLE,
)
# -- planning and models ----------------------------------------------------------------------
PLANNER_REQUESTS = Counter(
    name="planner_requests_total", help="Goals that were planned.", labels=("outcome",)
)
PLANNER_ATTEMPTS = Histogram(
    name="planner_attempts",
    help="Calls of a model that one plan took.",
    bounds=(0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0),
)
LLM_TOKENS = Counter(
    name="llm_tokens_total",
    help="Tokens of language models.",
    labels=("model", "direction"),
)
LLM_COST = Counter(
    name="llm_cost_usd_total", help="What models with a known price have cost.", labels=("model",)
)
# -- service ----------------------------------------------------------------------------------
HTTP_DURATION = Histogram(
    name="http_request_duration_seconds",
    help="How long requests took until their answer had been sent.",
    labels=("route", "method", "status_class"),
    bounds=_FAST,
)
SSE_CONNECTIONS = Gauge(name="sse_connections", help="Event streams that are open.")
SSE_LAG = Histogram(
    name="sse_delivery_lag_seconds",
    help="From an event's time in the database to when it was handed to a stream.",
    bounds=_FAST,
)
WEBHOOKS = Counter(
    name="webhooks_total", help="Webhooks that came in, by what became of them.", labels=("result",)
)
SCHEDULE_LAG = Histogram(
    name="schedule_lag_seconds", help="From a schedule's tick to its fire.", bounds=_FAST
)
EGRESS_BLOCKED = Counter(
    name="egress_blocked_total",
    help="Outgoing requests that were not allowed to go where they were meant to go.",
    labels=("reason",),
)
AUTH_FAILURES = Counter(
    name="auth_failures_total",
    help="Requests and log-ins that were refused for who they came from.",
    labels=("kind",),
)
# -- database and build -----------------------------------------------------------------------
DB_POOL = Gauge(
    name="db_pool_connections",
    help="Connections of the pool: free, in use, and requests that wait for one.",
    labels=("state",),
)
DB_POOL_WAIT = Summary(
    name="db_pool_wait_seconds", help="How long requests for a connection had to wait."
)
BUILD_INFO = Gauge(name="build_info", help="Always 1; the label says which.", labels=("version",))
MIGRATION_VERSION = Gauge(
    name="migration_version", help="Number of the last migration that the database has."
)


class Deliveries:
    """Tells how late the events of one stream are; those of before it was opened do not count."""

    def __init__(self) -> None:
        self._opened = time.time()

    def note(self, at: datetime) -> None:
        """Take note of an event that is handed over now; `at`: its time in the database."""
        moment = at.timestamp()
        if moment >= self._opened:
            SSE_LAG.observe(max(time.time() - moment, 0.0))


#: What asked for a run that is started from here on: `api`, `cli`, `schedule`, `webhook`, …
TRIGGER: ContextVar[str] = ContextVar("flowbuilder_trigger", default="library")

#: First parts of the names of tools that come with flowbuilder; all others count as `own`.
_FAMILIES = frozenset(
    {
        *("csv", "data", "email", "event", "file", "flow", "http", "human", "json", "llm"),
        *("slack", "sql", "text", "time"),
    }
)


def tool_kind(tool: str | None) -> str:
    """Return what a tool counts as: its family, `own` for what users brought, or `control`."""
    if tool is None:
        return "control"
    family = tool.partition(".")[0]
    return family if family in _FAMILIES else "own"


def error_reason(code: object) -> str:
    """Return an error's code as a label: codes are slugs, anything else is `other`."""
    return code if isinstance(code, str) and code.isidentifier() else _OTHER
