"""Hear only of tasks that failed for good, with the error: what a pager would be given.

    python examples/subscribers/task_failures.py [COUNT]

It ends after COUNT failures, or never. A failure that could not be told of (an exception in the
loop) is told again later.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from flowbuilder import FlowBuilder

QUEUE = "task_failures"


async def tell(data: dict[str, Any]) -> None:
    error = data["error"]
    print(f"{data['step_name']} failed in run {data['workflow_id']}: ", end="")
    print(f"{error['message']} ({error['code']}, tries: {data['retry_count'] + 1})", flush=True)


async def main(count: int | None) -> None:
    async with FlowBuilder.connect(worker=False) as fb:
        await fb.notifications.subscribe(
            "task_events", queue=QUEUE, pattern="task_events.task_failed"
        )
        print("watching", flush=True)
        seen = 0
        async with fb.notifications.messages(QUEUE) as messages:
            async for message in messages:
                data: Any = message.payload["data"]
                await tell(data)
                seen += 1
                if seen == count:
                    break


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else None))
