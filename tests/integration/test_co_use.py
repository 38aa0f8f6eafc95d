"""What finished runs teach about tools that go together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flowbuilder import FlowBuilder
from flowbuilder.client.couse import learn_co_use
from flowbuilder.errors import NotFound
from flowbuilder.planner.base import PlanEvent, PlanRequest
from flowbuilder.planner.retrieval import CoUse
from flowbuilder.settings import Settings
from flowbuilder.tools import Tool, tool
from tests.support.catalogue import made_tools

WAIT = 60


@tool("tide.read", effects="read")
def read(place: str) -> float:
    """Read the tide."""
    return float(len(place))


@tool("tide.note", effects="read")
def note(height: float) -> str:
    """Note a height."""
    if height > 5:
        raise ValueError("too high")
    return str(height)


class Asked:
    """A planner that only remembers what it was asked."""

    name = "asked"

    def __init__(self) -> None:
        self.requests: list[PlanRequest] = []

    async def stream(self, request: PlanRequest) -> AsyncIterator[PlanEvent]:
        self.requests.append(request)
        for _ in range(0):
            yield PlanEvent(type="plan_started")  # type: ignore[arg-type]


def flow(*names: str) -> dict[str, Any]:
    steps = [{"id": "one", "tool": names[0], "args": {"place": "${{ input.place }}"}}]
    if len(names) > 1:
        steps.append({"id": "two", "tool": names[1], "args": {"height": "${{ steps.one }}"}})
    place = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
    return {"flow": "tides", "input": place, "steps": steps}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path, workspace_dir=tmp_path)


async def test_finished_runs_teach_what_goes_together(dsn: str, settings: Settings) -> None:
    many: list[Tool] = [*made_tools(40), read, note]
    planner = Asked()
    async with FlowBuilder.connect(
        dsn, settings=settings, tools=many, worker=True, planner=planner
    ) as fb:
        session = fb._session
        assert await learn_co_use(session) == CoUse()
        for place in ("Brest", "Nice", "Rye"):  # the same graph three times
            run = await fb.execute_dynamic(flow("tide.read", "tide.note"), {"place": place})
            await run.result(timeout=WAIT)
        alone = await fb.execute_dynamic(flow("tide.read"), {"place": "Lagos"})
        await alone.result(timeout=WAIT)
        assert await session.store.tools_together() == [["tide.note@1", "tide.read@1"]]
        learnt = await learn_co_use(session)
        assert learnt.uses == {"tide.read": 1, "tide.note": 1}
        assert learnt.partners(["tide.read"]) == ["tide.note"]
        with pytest.raises(Exception, match="ended without a plan"):
            await fb.plan("say", pinned=["tide.note@1"])
        assert planner.requests[0].co_use == learnt
        assert planner.requests[0].pinned == ("tide.note",)
        with pytest.raises(NotFound) as caught:
            await fb.plan("say", pinned=["tide.gone"])
        assert caught.value.code == "tool_unknown"
        assert "tide.note" in str(caught.value.hint)


async def test_failed_runs_teach_nothing(dsn: str, settings: Settings) -> None:
    async with FlowBuilder.connect(dsn, settings=settings, tools=[read, note], worker=True) as fb:
        run = await fb.execute_dynamic(flow("tide.read", "tide.note"), {"place": "Rotterdam"})
        with pytest.raises(Exception, match="two"):
            await run.result(timeout=WAIT)
        assert await fb._session.store.tools_together() == []
