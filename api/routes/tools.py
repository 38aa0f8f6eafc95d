"""The tools that flows may name."""

from __future__ import annotations

from fastapi import APIRouter

from flowbuilder.api.dependencies import Builder
from flowbuilder.api.schemas import ToolList, ToolOut

router = APIRouter(prefix="/tools", tags=["tools"])


@router.get("", summary="List the tools")
async def list_tools(builder: Builder) -> ToolList:
    """Return every tool of this service with its schemas and effects."""
    return ToolList(items=[ToolOut.model_validate(tool.describe()) for tool in builder.tools])
