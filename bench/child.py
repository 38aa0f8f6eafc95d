"""The process that one measurement runs in: `python -m flowbuilder.bench.child`.

One JSON object a line. In: the request, then a line for each further phase. Out: `ready` when
connections are open and warm, `measured`, `verified`; or `failed` at any point. What happens
around a phase (counters of the server, processor times) is the parent's business. The end of
standard input ends the process.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from flowbuilder.bench.contender import FLOOR, FLOWBUILDER, Contender
from flowbuilder.bench.trial import measure, warm_up
from flowbuilder.bench.workloads import WORKLOADS
from flowbuilder.errors import FlowBuilderError


def contender_of(name: str, dsn: str, concurrency: int) -> Contender:
    """Return a contender by its name; only what it needs is imported."""
    if name == FLOWBUILDER:
        from flowbuilder.bench.engine import Engine

        return Engine(dsn, concurrency=concurrency)
    from flowbuilder.bench.floor import SINGLE_LOOPS, Floor

    return Floor(dsn) if name == FLOOR else Floor(dsn, batch=1, loops=SINGLE_LOOPS)


def main() -> None:
    """Measure what the first line of standard input asks for."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what anything prints goes to the log, not between the answers

    def answer(phase: str, **values: object) -> None:
        answers.write(json.dumps({"phase": phase, **values}) + "\n")
        answers.flush()

    request = json.loads(sys.stdin.readline())
    try:
        asyncio.run(_serve(request, answer))
    except Exception as error:
        code = error.code if isinstance(error, FlowBuilderError) else type(error).__name__
        answer("failed", code=code, message=str(error)[:1000])
        raise


async def _serve(request: Mapping[str, Any], answer: Any) -> None:
    workload = WORKLOADS[request["workload"]].scaled(request["fraction"])
    contender = contender_of(request["contender"], request["dsn"], request["concurrency"])
    try:
        await contender.open(workload.shape)
        await warm_up(contender, workload)
        # What importing has left would be collected in the middle of somebody's measurement, for
        # as long as a fifth of it: by chance, and once in the life of a process.
        gc.collect()
        gc.freeze()
        answer("ready")
        await _told()
        trial = await measure(contender, workload)
        answer("measured", units=trial.units, values=trial.values)
        await _told()
        answer("verified", checked=await contender.verify())
    finally:
        await contender.close()


async def _told() -> None:
    """Wait for the parent's next line; leave when there is no parent any more."""
    if not await asyncio.to_thread(sys.stdin.readline):
        os._exit(1)


if __name__ == "__main__":
    main()
