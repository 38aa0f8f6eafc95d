"""Looking after many runs at once: whether they have ended is asked for all of them together.

A program may wait for thousands of runs. If each asked by itself, their questions would take every
connection of the pool, and the worker of the same process would come too late with what ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from flowbuilder.errors import NotFound
from flowbuilder.executor.records import RunRow

#: Runs asked about in one statement.
MOST_AT_ONCE = 500

#: Reads runs by id: the row of one that has ended, None for an open one; unknown ones are left out.
Read = Callable[[Sequence[str]], Awaitable[Mapping[str, RunRow | None]]]


class Ends:
    """Tells which runs have ended, in one statement at a time.

    Whoever asks while a statement is under way is answered by the next one.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._asked: dict[str, list[asyncio.Future[RunRow | None]]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def row(self, run_id: str) -> RunRow | None:
        """Return the row of a run that has ended, None while it is open.

        Raises:
            NotFound: `run_not_found`.
        """
        answer: asyncio.Future[RunRow | None] = asyncio.get_running_loop().create_future()
        self._asked.setdefault(run_id, []).append(answer)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_on(), name="flowbuilder-ends")
        return await answer

    async def _read_on(self) -> None:
        try:
            while self._asked:
                page = list(self._asked)[:MOST_AT_ONCE]
                await self._answer({run_id: self._asked.pop(run_id) for run_id in page})
        finally:
            self._reading = None

    async def _answer(self, asked: dict[str, list[asyncio.Future[RunRow | None]]]) -> None:
        waiting = [answer for answers in asked.values() for answer in answers]
        try:
            found = await self._read(list(asked))
        except Exception as error:
            _tell(waiting, error)
        except BaseException:
            for answer in waiting:
                answer.cancel()
            raise
        else:
            for run_id, answers in asked.items():
                missing = NotFound(f"there is no run {run_id}", code="run_not_found")
                _tell(answers, found.get(run_id, missing))


def _tell(
    answers: Sequence[asyncio.Future[RunRow | None]], said: RunRow | Exception | None
) -> None:
    for answer in answers:
        if answer.done():
            continue  # nobody waits any more
        if isinstance(said, Exception):
            answer.set_exception(said)
        else:
            answer.set_result(said)
