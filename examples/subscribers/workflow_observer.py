"""Follow the runs of a whole installation: a line for each that starts, pauses or ends.

    python examples/subscribers/workflow_observer.py [COUNT]

It ends after COUNT events, or never. While it is down, events wait in its queue.
"""

from __future__ import annotations

import asyncio
import sys

from flowbuilder import FlowBuilder

QUEUE = "workflow_observer"


async def main(count: int | None) -> None:
    async with FlowBuilder.connect(worker=False) as fb:
        await fb.notifications.subscribe("workflow_events", queue=QUEUE)
        print("watching", flush=True)
        seen = 0
        async with fb.notifications.messages(QUEUE) as messages:
            async for message in messages:
                event = message.payload
                print(event["at"], event["run_id"], event["type"], flush=True)
                seen += 1
                if seen == count:
                    break


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else None))
