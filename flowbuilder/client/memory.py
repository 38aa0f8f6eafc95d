"""What finished runs have taught, as FlowBuilder offers it: `fb.memory`."""

from __future__ import annotations

from collections.abc import Sequence

from flowbuilder.client.arguments import check_page
from flowbuilder.client.checking import check_actor
from flowbuilder.client.remembering import take_in
from flowbuilder.client.session import Session
from flowbuilder.errors import InvalidValue, NotFound
from flowbuilder.executor.memories import LessonRow, MemoryRow, PatternRow, Recalled
from flowbuilder.planner.memory.likeness import NEAR, goal_stems
from flowbuilder.planner.memory.recollection import rule_text
from flowbuilder.types import JsonObject


class PlanMemory:
    """Goals, the plans that ran for them, how that went, and what follows from it.

    Kept for each workspace. Goals are the users' own texts; plans are kept without any value, and
    errors as codes. With `memory=off` nothing is noted or learnt, and what is there is not used;
    it can still be looked at and deleted.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def list(self, *, limit: int = 50, before: str | None = None) -> Sequence[MemoryRow]:
        """Return memories, newest first; `before` is the id of the last one of the page before.

        Raises:
            InvalidValue: There is no such page (page_invalid).
            NotFound: `before` is no memory's id (memory_not_found).
        """
        check_page(limit)
        await self._take_in()
        number = None if before is None else (await self._known(before)).number
        return await self._session.store.memories(limit=limit, before=number)

    async def get(self, memory_id: str) -> MemoryRow:
        """Return a memory. Raises: NotFound (memory_not_found)."""
        await self._take_in()
        return await self._known(memory_id)

    async def recall(self, goal: str, *, limit: int = 10) -> Sequence[Recalled]:
        """Return the completed runs whose goals are nearest to a goal, the nearest first.

        Raises:
            InvalidValue: There is no such page (page_invalid).
        """
        check_page(limit)
        await self._take_in()
        stems = goal_stems(str(goal))
        return await self._session.store.recall(stems, least=NEAR, limit=limit)

    async def forget(self, memory_id: str) -> None:
        """Delete a memory for good: its run is not learnt from again.

        Raises:
            NotFound: There is none of this id (memory_not_found).
        """
        if not await self._session.store.forget(memory_id):
            raise _missing(memory_id)

    async def forget_all(self) -> int:
        """Delete all memories, what was noted to be learnt and all rules; returns how many."""
        return await self._session.store.forget_all()

    async def patterns(self, *, limit: int = 100) -> Sequence[PatternRow]:
        """Return chains of tools with their rates of success, the most used first."""
        check_page(limit)
        await self._take_in()
        return await self._session.store.memory_patterns(limit=limit)

    async def lessons(self, *, limit: int = 100) -> Sequence[LessonRow]:
        """Return what failed or was rejected, as candidate rules, the most frequent first.

        `rule_of` says a lesson's rule. It counts once it is adopted.
        """
        check_page(limit)
        await self._take_in()
        return await self._session.store.memory_lessons(limit=limit)

    async def lesson(self, lesson_id: str) -> LessonRow:
        """Return a lesson. Raises: NotFound (lesson_not_found)."""
        for row in await self.lessons(limit=1000):
            if row.id == lesson_id:
                return row
        raise NotFound(f"there is no lesson {str(lesson_id)[:80]}", code="lesson_not_found")

    async def settle(
        self, lesson_id: str, *, suite: str, comparison: JsonObject, by: str | None = None
    ) -> LessonRow:
        """Adopt or refuse the rule of a lesson, by a comparison of a suite with and without it.

        Args:
            lesson_id: The lesson.
            suite: What it was tried on.
            comparison: As `flowbuilder.evals.comparison` gives it; `passed` decides.
            by: Who wanted it.

        Raises:
            NotFound: There is no such lesson (lesson_not_found).
            InvalidValue: The comparison says no `passed` (comparison_invalid), or `by` is no name.
        """
        check_actor(by, "who adopts a rule")
        passed = comparison.get("passed")
        if not isinstance(passed, bool):
            raise InvalidValue(
                "a comparison says whether it has passed",
                pointer="/comparison/passed",
                code="comparison_invalid",
            )
        await self.lesson(lesson_id)
        status = "adopted" if passed else "refused"
        await self._session.store.settle_lesson(
            lesson_id, status, suite=suite, comparison=comparison, by=by
        )
        return await self.lesson(lesson_id)

    async def _take_in(self) -> None:
        if self._session.settings.memory:
            await take_in(self._session)

    async def _known(self, memory_id: str) -> MemoryRow:
        found = await self._session.store.memory(memory_id)
        if found is None:
            raise _missing(memory_id)
        return found


def rule_of(lesson: LessonRow) -> str:
    """Return the rule that a lesson proposes, as planners would be told."""
    return rule_text(lesson.kind, lesson.tool)


def _missing(memory_id: object) -> NotFound:
    return NotFound(f"there is no memory {str(memory_id)[:80]}", code="memory_not_found")
