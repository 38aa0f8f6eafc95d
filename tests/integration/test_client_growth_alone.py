"""Steps added to a run one by one: the flow is judged as a whole once, then each step by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flowbuilder import DefinitionError, FlowBuilder, Settings, tool
from flowbuilder.client import growing
from flowbuilder.client.checking import check_document
from flowbuilder.client.runs import Run

WAIT = 60.0


@tool("text.echo")
async def echo(value: Any = None) -> Any:
    """Return the value."""
    return value


@tool("mail.send", effects="irreversible")
async def send(text: str) -> str:
    """Send a mail."""
    return text


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path, workspace_dir=tmp_path)


@pytest.fixture
async def fb(dsn: str, settings: Settings) -> AsyncIterator[FlowBuilder]:
    tools = [echo, send]
    async with FlowBuilder.connect(dsn, settings=settings, tools=tools, worker=False) as opened:
        yield opened


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps each document had that was judged as a whole."""
    seen: list[int] = []

    async def counted(session: Any, document: Any, **options: Any) -> Any:
        seen.append(len(document["steps"]))
        return await check_document(session, document, **options)

    monkeypatch.setattr(growing, "check_document", counted)
    return seen


async def _run(fb: FlowBuilder) -> Run:
    return await fb.execute({"flow": "grows", "steps": [{"id": "s0", "tool": "text.echo"}]})


async def test_the_whole_is_judged_once(fb: FlowBuilder, checked: list[int]) -> None:
    run = await _run(fb)
    for number in range(1, 9):
        before = f"${{{{ steps.s{number - 1} }}}}"
        await run.add_step(f"s{number}", tool="text.echo", args={"value": [before, 0, None, ""]})
    assert checked == [2]
    await run.add_step("mail", tool="mail.send", args={"text": "${{ steps.s0 }}"})
    await run.add_step("last", tool="text.echo", depends_on=["s1"], when="steps.s0 == null")
    assert checked == [2]
    flow = await run.document()
    assert [step.id for step in flow.steps] == [*(f"s{n}" for n in range(9)), "mail", "last"]
    assert [step.id for step in flow.steps if step.approval is not None] == ["mail"]
    assert (await check_document(fb._session, flow)).valid
    version = await fb.store.get_version_by_id(run.row.version_id)
    assert version.content_hash == flow.content_hash()


async def test_in_doubt_the_whole_is_judged(
    fb: FlowBuilder, dsn: str, settings: Settings, checked: list[int]
) -> None:
    run = await _run(fb)
    await run.add_step("a", tool="text.echo")
    with pytest.raises(DefinitionError) as refused:
        await run.add_step("a", tool="text.echo")
    assert [problem.code for problem in refused.value.problems] == ["duplicate_step_id"]
    await run.add_step("b", tool="text.echo", depends_on=["a"])
    with pytest.raises(DefinitionError) as refused:
        await run.add_step("child", tool="flow.run", args={"flow": "nowhere"})
    assert [problem.code for problem in refused.value.problems] == ["unknown_flow"]
    assert checked == [2, 3, 3, 4]
    async with FlowBuilder.connect(dsn, settings=settings, tools=[echo], worker=False) as other:
        await (await other.get_run(run.id)).add_step("c", tool="text.echo", depends_on=["b"])
    await run.add_step("d", tool="text.echo", depends_on=["c"])
    await run.add_step("e", tool="text.echo", depends_on=["d"])
    assert checked == [2, 3, 3, 4, 4, 5]
    assert [step.id for step in (await run.document()).steps] == ["s0", *"abcde"]


async def test_the_run_executes_what_was_added(fb: FlowBuilder) -> None:
    run = await _run(fb)
    for number in range(1, 6):
        before = f"${{{{ steps.s{number - 1} }}}}"
        await run.add_step(f"s{number}", tool="text.echo", args={"value": [before, number]})
    async with fb.worker():
        assert await run.result(timeout=WAIT) == {"s5": [[[[[None, 1], 2], 3], 4], 5]}


async def test_few_runs_are_remembered(fb: FlowBuilder) -> None:
    runs = [await _run(fb) for _ in range(growing.MOST_RUNS + 2)]
    for run in runs:
        await run.add_step("a", tool="text.echo")
    assert list(fb._session.growing) == [run.id for run in runs[2:]]
