"""What finished runs of plans have taught: read and deleted, never written over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from flowbuilder.api.dependencies import Builder
from flowbuilder.api.memories import (
    ForgottenOut,
    LessonList,
    LessonOut,
    MemoryOut,
    MemoryPage,
    PatternList,
    PatternOut,
)
from flowbuilder.api.problem_documents import documented

router = APIRouter(prefix="/memory", tags=["memory"])

MemoryId = Annotated[str, Path(description="Id of a memory.")]
Limit = Annotated[int, Query(ge=1, le=200)]


@router.get("", summary="List memories", responses=documented(404))
async def list_memories(
    builder: Builder,
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> MemoryPage:
    """Return what runs have taught, newest first."""
    found = await builder.memory.list(limit=limit, before=cursor)
    items = [MemoryOut.model_validate(row) for row in found]
    return MemoryPage(items=items, next_cursor=items[-1].id if len(items) == limit else None)


@router.get("/patterns", summary="List patterns")
async def list_patterns(builder: Builder, limit: Limit = 100) -> PatternList:
    """Return chains of tools with their rates of success, the most used first."""
    found = await builder.memory.patterns(limit=limit)
    return PatternList(items=[PatternOut.model_validate(row) for row in found])


@router.get("/lessons", summary="List lessons")
async def list_lessons(builder: Builder, limit: Limit = 100) -> LessonList:
    """Return what failed or was rejected, with the rules that would follow."""
    found = await builder.memory.lessons(limit=limit)
    return LessonList(items=[LessonOut.of(row) for row in found])


@router.get("/{memory_id}", summary="Show a memory", responses=documented(404))
async def get_memory(builder: Builder, memory_id: MemoryId) -> MemoryOut:
    """Return one memory, with the plan as it is kept: without values."""
    return MemoryOut.model_validate(await builder.memory.get(memory_id))


@router.delete(
    "/{memory_id}", summary="Forget a memory", status_code=204, responses=documented(404)
)
async def forget(builder: Builder, memory_id: MemoryId) -> None:
    """Delete a memory for good: its run is not learnt from again."""
    await builder.memory.forget(memory_id)


@router.delete("", summary="Forget everything")
async def forget_all(builder: Builder) -> ForgottenOut:
    """Delete all memories and rules of the workspace."""
    return ForgottenOut(memories=await builder.memory.forget_all())
