"""What a benchmark came to: JSON for programs, tables for people.

The JSON is one object, `bench.v1`:

* `format`, `flowbuilder` (version), `python`, `machine` (`{system, processors}`);
* `postgres` (`{version, own, settings}`), `started_at`, `seconds` (of the whole run);
* `plan`: `{workloads, repeat, fraction, concurrency}`;
* `measurements`: one object each, in the order of measuring: `workload`, `contender`
  (`flowbuilder`, `floor`: batches of 100, `floor_single`: one message at a time on 8 connections),
  `repeat` from 0, `units`, `values`, `checked` (how many flows, events, rows were compared with
  what they must be), `error` (null, or why there are no values);
* `summary`: for each workload and contender `{workload, title, contender, values, ratios}`: every
  value over the repeats as `{median, low, high, count}`, and the same for its ratio over the
  batched floor's value of the same repeat;
* `bars`: `{workload, name, over_floor, at_least, at_most, found, cleared}`.

Values by name. Throughput (W1-W4, M1): `seconds` from the first submission to the last durable
end, `submit_seconds` of it, `steps_per_second`. In milliseconds, with `_p50` and `_p99`: `start`
(submission to the handler's first line) and `result` (submission to the result in the client's
hand) of L1, `step` of L2, `change` (just before a change is sent until the subscriber has its
event) and `commit` (from its commit, where that can be told) of E1, with `events_per_second`.
Costs, over `units` (steps; E1: events; I1: seconds): `round_trips` (statements as
pg_stat_statements counts them; pipelined ones count each), `write_transactions` (transaction ids
given out), `wal_bytes`, `worker_cpu_ms` (the contender's process, which is client and worker),
`server_cpu_ms` (all of PostgreSQL), `cpu_ms` (both). `rss_mb`: the process at its largest.
`machine_commit_ms`: what a durable commit took just before and after: how fast the machine was.
A value that could not be measured is missing.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rich.console import Group
from rich.table import Table
from rich.text import Text

from flowbuilder.bench.bars import BARS, Missed, bars_json, check_bars
from flowbuilder.bench.contender import FLOOR, FLOWBUILDER, SINGLE
from flowbuilder.bench.figures import Figure, Figures, Measurement
from flowbuilder.bench.workloads import WORKLOADS, Kind
from flowbuilder.types import JsonObject, JsonValue

_NAMES = {FLOWBUILDER: "flowbuilder", FLOOR: "floor", SINGLE: "floor by one"}
_WIDEST = max(map(len, _NAMES.values()))
_COSTS = {
    "worker_cpu_ms": ("worker CPU ms", 3),
    "server_cpu_ms": ("server CPU ms", 3),
    "round_trips": ("round trips", 3),
    "write_transactions": ("write txns", 3),
    "wal_bytes": ("WAL bytes", 0),
}
_LATENCIES = {
    "start": "submit → start",
    "result": "submit → result",
    "step": "per step",
    "change": "change → subscriber",
    "commit": "commit → subscriber",
}


@dataclass(frozen=True, kw_only=True)
class Report:
    """All measurements of one run."""

    workloads: tuple[str, ...]
    repeat: int
    fraction: float
    concurrency: int
    own_server: bool
    postgres: str
    settings: JsonObject
    started_at: datetime
    seconds: float
    measurements: tuple[Measurement, ...]

    @property
    def figures(self) -> Figures:
        """What the measurements come to."""
        return Figures(self.measurements)

    @property
    def errors(self) -> list[Measurement]:
        """The measurements that failed, or whose results were wrong."""
        return [one for one in self.measurements if one.error is not None]

    @property
    def missed(self) -> list[Missed]:
        """The bars that were missed."""
        return check_bars(self.figures, self.workloads)

    # -- for programs -----------------------------------------------------------------------

    def as_json(self) -> JsonObject:
        """Return the report as JSON; the module's description says what it holds."""
        from flowbuilder import __version__

        figures = self.figures
        measurements: list[JsonValue] = [one.as_json() for one in self.measurements]
        bars: list[JsonValue] = list(bars_json(figures, self.workloads))
        return {
            "format": "bench.v1",
            "flowbuilder": __version__,
            "python": platform.python_version(),
            "machine": {"system": platform.platform(), "processors": os.cpu_count()},
            "postgres": {
                "version": self.postgres,
                "own": self.own_server,
                "settings": self.settings,
            },
            "started_at": self.started_at.isoformat(),
            "seconds": round(self.seconds, 1),
            "plan": {
                "workloads": list(self.workloads),
                "repeat": self.repeat,
                "fraction": self.fraction,
                "concurrency": self.concurrency,
            },
            "measurements": measurements,
            "summary": self._summary(figures),
            "bars": bars,
        }

    def _summary(self, figures: Figures) -> list[JsonValue]:
        rows: list[JsonValue] = []
        for load in self.workloads:
            for who in _NAMES:
                names = figures.names(load, who)
                if not names:
                    continue
                values = {name: figures.value(load, who, name) for name in names}
                ratios = {name: figures.ratio(load, name, who, FLOOR) for name in names}
                row: JsonObject = {
                    "workload": load,
                    "title": WORKLOADS[load].title,
                    "contender": who,
                    "values": _json(values),
                    "ratios": _json(ratios),
                }
                rows.append(row)
        return rows

    # -- for people -------------------------------------------------------------------------

    def tables(self) -> Group:
        """Return the report for a terminal."""
        of = {kind: [n for n in self.workloads if WORKLOADS[n].kind is kind] for kind in Kind}
        timed = [n for n in self.workloads if WORKLOADS[n].kind not in (Kind.THROUGHPUT, Kind.IDLE)]
        parts = [
            self._speed(of[Kind.THROUGHPUT]) if of[Kind.THROUGHPUT] else None,
            self._latency(timed) if timed else None,
            self._cost("Per step (E1: per event)", [*of[Kind.THROUGHPUT], *timed]),
            self._cost("Idle, per second", of[Kind.IDLE]) if of[Kind.IDLE] else None,
            self._machine(),
        ]
        lines = [line for part in parts if part is not None for line in (part, Text())]
        return Group(*lines, *self._verdict())

    def _speed(self, loads: list[str]) -> Table:
        figures = self.figures
        table = _table(
            "Steps per second: median (low-high)",
            *("workload", *_NAMES.values(), "over the floor"),
        )
        for load in loads:
            speeds = [figures.value(load, who, "steps_per_second") for who in _NAMES]
            ratio = figures.ratio(load, "steps_per_second", FLOWBUILDER, FLOOR)
            table.add_row(_title(load), *(_span(one, 0) for one in speeds), _span(ratio, 3))
        return table

    def _latency(self, loads: list[str]) -> Table:
        figures = self.figures
        table = _table(
            "Milliseconds: median of the repeats",
            "",
            *("", *_NAMES.values(), "over the floor"),
        )
        for load in loads:
            for name in figures.names(load, FLOWBUILDER):
                kind, _, part = name.rpartition("_")
                if kind not in _LATENCIES:
                    continue
                times = [_median(figures.value(load, who, name), 3) for who in _NAMES]
                ratio = _span(figures.ratio(load, name, FLOWBUILDER, FLOOR), 2)
                table.add_row(load, f"{_LATENCIES[kind]} {part}", *times, ratio)
        return table

    def _cost(self, title: str, loads: Iterable[str]) -> Table:
        figures = self.figures
        heads = [head for head, _ in _COSTS.values()]
        table = _table(title, "", "", *heads, "peak MB")
        for load in loads:
            for who, shown in _NAMES.items():
                if not figures.names(load, who):
                    continue
                costs = [
                    _median(figures.value(load, who, name), digits)
                    for name, (_, digits) in _COSTS.items()
                ]
                memory = _median(figures.value(load, who, "rss_mb"), 0)
                table.add_row(load, shown, *costs, memory)
        return table

    def _machine(self) -> Text:
        name = "machine_commit_ms"
        commits = [one.values[name] for one in self.measurements if name in one.values]
        speed = f"{min(commits):.2f}-{max(commits):.2f} ms" if commits else "-"
        checked: dict[str, int] = {}
        for one in self.measurements:
            for name, count in one.checked.items():
                checked[name] = checked.get(name, 0) + count
        counts = ", ".join(f"{count:,} {name}" for name, count in checked.items()) or "nothing"
        return Text(
            f"{self.repeat} repeats at fraction {self.fraction:g}, concurrency "
            f"{self.concurrency}, {self.seconds:.0f} s; checked: {counts}; a durable commit "
            f"took {speed}",
            style="dim",
        )

    def _verdict(self) -> list[Text]:
        lines = [
            Text(f"{one.workload} {one.contender} {one.repeat}: {one.error}", style="bold red")
            for one in self.errors
        ]
        lines += [Text(f"missed: {missed}", style="yellow") for missed in self.missed]
        bars = sum(bar.workload in self.workloads for bar in BARS)
        if bars:
            lines.append(Text(f"{bars - len(self.missed)} of {bars} bars cleared", style="bold"))
        return lines


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, header_style="bold"
    )
    table.add_column(first, no_wrap=True)
    for other in others:
        if other:
            table.add_column(other, justify="right")
        else:  # names, which make no sense cut short
            table.add_column("", no_wrap=True, min_width=_WIDEST)
    return table


def _title(load: str) -> str:
    return f"{load} {WORKLOADS[load].title}"


def _median(figure: Figure | None, digits: int) -> str:
    return "-" if figure is None else f"{figure.median:,.{digits}f}"


def _span(figure: Figure | None, digits: int) -> str:
    if figure is None or figure.count == 1:
        return _median(figure, digits)
    return f"{figure.median:,.{digits}f} ({figure.low:,.{digits}f}-{figure.high:,.{digits}f})"


def _json(found: dict[str, Figure | None]) -> JsonObject:
    return {name: figure.as_json() for name, figure in found.items() if figure is not None}
