"""What finished runs teach: noted, learnt, recalled, forgotten."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.types.json import Json

from flowbuilder.executor import queries, rows
from flowbuilder.executor.memories import EndedRun, LessonRow, MemoryRow, PatternRow, Recalled
from flowbuilder.executor.store.base import StoreBase, as_uuid
from flowbuilder.types import JsonObject


class MemoryStore(StoreBase):
    """Memories of one workspace. No function of the engine reads or writes any of this."""

    async def note_run(self, run_id: str, plan_id: str) -> None:
        """Note a run of a plan to be learnt from once it has ended."""
        await self._one(queries.NOTE_RUN, self.workspace, as_uuid(run_id), as_uuid(plan_id))

    async def runs_to_learn(self, *, limit: int) -> list[EndedRun]:
        """Read runs that have ended and were not learnt from, oldest first."""
        found = await self._all(queries.RUNS_TO_LEARN, self.workspace, limit)
        return [rows.read(EndedRun, row) for row in found]

    async def learn(self, lessons: Sequence[JsonObject], *, most: int) -> int:
        """Keep what runs have taught; returns how many of them were new."""
        row = await self._one(queries.LEARN, self.workspace, Json([*lessons]), most)
        return int(row["learnt"])

    async def recall(self, stems: Sequence[str], *, least: float, limit: int) -> list[Recalled]:
        """Read the completed runs whose goals are nearest, the nearest first."""
        found = await self._all(queries.RECALL, self.workspace, [*stems], least, limit)
        return [rows.read(Recalled, row) for row in found]

    async def memories(self, *, limit: int, before: int | None = None) -> list[MemoryRow]:
        """Read memories, newest first; `before` is the number of the last one of a page."""
        found = await self._all(queries.MEMORIES, self.workspace, before, before, limit)
        return [rows.read(MemoryRow, row) for row in found]

    async def memory(self, memory_id: str) -> MemoryRow | None:
        """Read one memory, None if there is none of this id."""
        found = await self._all(queries.MEMORY, self.workspace, as_uuid(memory_id))
        return rows.read(MemoryRow, found[0]) if found else None

    async def forget(self, memory_id: str) -> bool:
        """Delete a memory. Returns whether there was one."""
        return bool(await self._all(queries.FORGET, self.workspace, as_uuid(memory_id)))

    async def forget_all(self) -> int:
        """Delete everything that was learnt, noted and decided; returns how many memories."""
        return int((await self._one(queries.FORGET_ALL, self.workspace))["forgotten"])

    async def memory_patterns(self, *, limit: int) -> list[PatternRow]:
        """Read chains of tools, the most used first."""
        found = await self._all(queries.MEMORY_PATTERNS, self.workspace, limit)
        return [rows.read(PatternRow, row) for row in found]

    async def memory_lessons(self, *, limit: int) -> list[LessonRow]:
        """Read what went wrong, the most frequent first."""
        found = await self._all(queries.MEMORY_LESSONS, self.workspace, limit)
        return [rows.read(LessonRow, row) for row in found]

    async def settle_lesson(
        self, lesson_id: str, status: str, *, suite: str, comparison: JsonObject, by: str | None
    ) -> bool:
        """Write down what was decided about a lesson. False: there is no such lesson."""
        row = await self._one(
            queries.SETTLE_LESSON,
            self.workspace,
            as_uuid(lesson_id),
            status,
            suite,
            Json(comparison),
            by,
        )
        return bool(row["settled"])
