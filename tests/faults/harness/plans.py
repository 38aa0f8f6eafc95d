"""Reads, statement by statement, how the server came by what a call asked for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from tests.support.engine import Engine
from tests.support.one_connection import OneConnection

T = TypeVar("T")

#: Tables that grow with the history or the load.
GROWING = {"runs", "run_steps", "tasks", "events", "approvals", "q_flowbuilder_tasks"}
#: Partial indexes, which hold nothing of what has ended: reading one from end to end is no more
#: than what is open.
_SMALL = ("_held", "_due", "_pending", "_owned", "_deadline", "_task")
_SETTINGS = (
    "select setseed(0.9)",  # starts count the open runs now and then: here never, or always
    "load 'auto_explain'",
    "set auto_explain.log_min_duration = 0",
    "set auto_explain.log_nested_statements = on",
    "set auto_explain.log_analyze = on",
    "set auto_explain.log_buffers = on",
    "set auto_explain.log_timing = off",
    "set auto_explain.log_format = json",
    "set client_min_messages = log",
)


@dataclass(frozen=True, kw_only=True)
class Read:
    """What one call has read."""

    blocks: int
    """Of eight kilobytes, found in memory or not."""
    nodes: list[dict[str, Any]]
    """Of all plans of all statements inside."""

    def scans(self) -> list[str]:
        """Name the nodes that read a growing table from end to end."""
        return [f"{n['Node Type']} on {n['Relation Name']}" for n in self.nodes if _is_scan(n)]

    def most_rows(self) -> float:
        """Return how many rows the busiest node has looked at."""
        return max((_rows(node) for node in self.nodes if "Relation Name" in node), default=0)


@dataclass
class Watched:
    """A connection whose every plan is read, and an engine on it."""

    engine: Engine
    plans: list[dict[str, Any]] = field(default_factory=list)

    async def read(self, call: Awaitable[T]) -> tuple[T, Read]:
        """Wait for a call; returns its answer and what it has read."""
        self.plans.clear()
        answer = await call
        # The figures of the statement that was sent hold those of all statements inside it.
        blocks = max(
            plan["Plan"].get("Shared Hit Blocks", 0) + plan["Plan"].get("Shared Read Blocks", 0)
            for plan in self.plans
        )
        nodes = [node for plan in self.plans for node in _nodes(plan["Plan"])]
        return answer, Read(blocks=blocks, nodes=nodes)


@asynccontextmanager
async def watched(dsn: str, worker: str) -> AsyncIterator[Watched]:
    """Watch an engine's calls, as this worker, on a connection of its own."""
    async with await AsyncConnection.connect(
        dsn, autocommit=True, row_factory=dict_row, prepare_threshold=0
    ) as connection:
        for statement in _SETTINGS:
            await connection.execute(statement.encode())
        engine = Engine(OneConnection(connection))  # type: ignore[arg-type]
        engine.worker = worker
        found = Watched(engine)

        def take(text: str) -> None:
            if (begin := text.find("{")) >= 0 and "plan:" in text[:begin]:
                found.plans.append(json.loads(text[begin:]))

        connection.add_notice_handler(lambda notice: take(notice.message_primary or ""))
        yield found


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def _is_scan(node: dict[str, Any]) -> bool:
    if node.get("Relation Name") not in GROWING or node.get("Actual Loops") == 0:
        return False
    if node["Node Type"] == "Seq Scan":
        return True
    return (
        node["Node Type"] in ("Index Scan", "Index Only Scan")
        and "Index Cond" not in node
        and not node["Index Name"].endswith(_SMALL)
    )


def _rows(node: dict[str, Any]) -> float:
    loops: float = node.get("Actual Loops", 0)
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    looked: float = loops * (node.get("Actual Rows", 0) + removed)
    return looked
