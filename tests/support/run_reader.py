"""A process that shares the embedded server and reads a run: `python run_reader.py DATA_DIR`.

Prints `ready` when it is connected, reads a run's id from its standard input, and prints the
run's events as one line of JSON once the run has ended.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from flowbuilder import FlowBuilder, Settings
from flowbuilder.errors import DatabaseUnavailable


async def read(folder: Path) -> None:
    async with FlowBuilder.connect(settings=Settings(data_dir=folder), worker=False) as fb:
        print("ready", flush=True)
        run_id = (await asyncio.to_thread(sys.stdin.readline)).strip()
        events: list[dict[str, Any]] = []
        while not (events and events[-1]["type"].startswith("workflow_completed")):
            try:
                async for event in fb.follow(run_id, after=len(events)):
                    data = {"seq": event.seq, "type": event.type, "task": event.task_id}
                    events.append(data)
            except DatabaseUnavailable:
                continue
        print(json.dumps(events), flush=True)


if __name__ == "__main__":
    asyncio.run(read(Path(sys.argv[1])))
