"""The long form: `python -m tests.conformance --calls 20000`, on a database of its own."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from flowbuilder.executor import embedded
from tests.conformance.calling import call
from tests.conformance.scene import scene


def main() -> int:
    """Make rounds of calls, each with another seed, until there were enough or one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=int, default=40, help="of an operation and round")
    parser.add_argument("--phases", default="examples,coverage,fuzzing,stateful")
    parser.add_argument("--only", help="operations whose address matches this expression")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="flowbuilder-conformance-") as folder,
        embedded.start(Path(folder)) as running,
    ):
        return asyncio.run(_rounds(running.dsn, given))


async def _rounds(dsn: str, given: argparse.Namespace) -> int:
    more = ["--include-path-regex", given.only] if given.only else []
    made, seed = 0, given.seed
    async with scene(dsn) as place:
        while made < given.calls:
            report = await call(
                place, examples=given.examples, seed=seed, phases=given.phases, more=more
            )
            made += report.calls
            said = f"seed {seed}: {report.calls} calls, no finding"
            print(report.text if report.code else said, flush=True)
            if report.code or not report.calls:
                return 1
            seed += 1
    print(f"{made} calls, no finding")
    return 0


if __name__ == "__main__":
    sys.exit(main())
