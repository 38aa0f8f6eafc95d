"""Drafts that grow step by step: each step for its own price, and none lost on the short way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flowbuilder import DefinitionError, FlowBuilder, NotFound, Settings, tool
from flowbuilder.client import appending
from flowbuilder.types import JsonValue
from tests.support.traffic import traffic

WAIT = 60.0


@tool("text.echo")
async def echo(value: Any = None) -> Any:
    """Return the value."""
    return value


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path, workspace_dir=tmp_path, max_steps=60)


@pytest.fixture
async def fb(dsn: str, settings: Settings) -> AsyncIterator[FlowBuilder]:
    async with FlowBuilder.connect(dsn, settings=settings, tools=[echo], worker=True) as opened:
        yield opened


async def _ids(fb: FlowBuilder, slug: str) -> list[str]:
    return [step.id for step in (await fb.get_flow(slug)).draft.steps]


async def test_a_step_is_as_cheap_at_the_end_as_at_the_beginning(
    dsn: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = []
    async with FlowBuilder.connect(dsn, settings=settings, tools=[echo], worker=False) as fb:
        await fb.create_flow("long")
        await fb.add_step("long", "s00", tool="text.echo")
        for place in range(1, 40):
            with traffic(fb.store.database, monkeypatch) as seen:
                await fb.add_step("long", f"s{place:02}", tool="text.echo", depends_on=["s00"])
            costs.append((len(seen.statements), seen.sent, seen.received // 10))
        assert len(set(costs)) == 1, costs
        assert costs[0][0] == 1
        assert await _ids(fb, "long") == [f"s{place:02}" for place in range(40)]


@pytest.mark.parametrize("value", [0, False, "", None, [], {}, "ø", [None, {"b": [0]}]])
async def test_what_is_added_comes_back_as_it_was(fb: FlowBuilder, value: JsonValue) -> None:
    await fb.create_flow("values")
    for name in "abc":
        made = await fb.add_step("values", name, tool="text.echo", args={"value": {"v": value}})
        kept = await fb.get_flow("values")
        assert kept.row == made.row
        assert [step.args for step in kept.draft.steps][-1] == {"value": {"v": value}}
    [listed] = await fb.list_flows()
    assert listed.row == kept.row
    await fb.set_output("values", "${{ steps.c }}")
    run = await fb.execute("values")
    assert await run.result(timeout=WAIT) == {"v": value}


async def test_others_may_change_the_draft_meanwhile(
    fb: FlowBuilder, dsn: str, settings: Settings
) -> None:
    await fb.create_flow("shared")
    async with FlowBuilder.connect(dsn, settings=settings, tools=[echo], worker=False) as other:
        for turn in range(4):
            await fb.add_step("shared", f"a{turn}", tool="text.echo")
            await fb.add_step("shared", f"b{turn}", tool="text.echo", depends_on=[f"a{turn}"])
            await other.add_step("shared", f"c{turn}", tool="text.echo", depends_on=[f"b{turn}"])
        assert await _ids(other, "shared") == [
            f"{name}{turn}" for turn in range(4) for name in "abc"
        ]
        await other.set_output("shared", "${{ steps.c3 }}")
        await fb.add_step("shared", "z", tool="text.echo")
        assert (await other.get_flow("shared")).draft.output == "${{ steps.c3 }}"
        await other.save_flow({"flow": "shared", "steps": [{"id": "z", "tool": "text.echo"}]})
        with pytest.raises(DefinitionError) as refused:
            await fb.add_step("shared", "z", tool="text.echo")
        assert [problem.code for problem in refused.value.problems] == ["duplicate_step_id"]
        await fb.add_step("shared", "y", tool="text.echo", depends_on=["z"])
        assert await _ids(other, "shared") == ["z", "y"]
        await other.delete_flow("shared")
        with pytest.raises(NotFound):
            await fb.add_step("shared", "x", tool="text.echo")
        await other.create_flow("shared")
        await fb.add_step("shared", "x", tool="text.echo")
        assert await _ids(other, "shared") == ["x"]


async def test_publishing_takes_the_added_steps_along(fb: FlowBuilder) -> None:
    await fb.create_flow("head")
    for number in (1, 2, 3):
        await fb.add_step("head", f"s{2 * number}", tool="text.echo", args={"value": 0})
        await fb.add_step("head", f"s{2 * number + 1}", tool="text.echo", args={"value": False})
        version = await fb.publish("head")
        assert (version.version, len(version.document["steps"])) == (number, 2 * number)  # type: ignore[arg-type]
        assert (await fb.publish("head")).id == version.id
        left = await fb.store.database.fetch_all(b"select * from flowbuilder.draft_steps")
        assert left == []
        run = await fb.execute("head")
        assert len(await run.result(timeout=WAIT)) == 2 * number  # type: ignore[arg-type]


async def test_a_step_that_comes_while_it_is_published_is_not_lost(
    fb: FlowBuilder, dsn: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    register = fb.store.register_version
    await fb.create_flow("race")
    await fb.add_step("race", "a", tool="text.echo")
    async with FlowBuilder.connect(dsn, settings=settings, tools=[echo], worker=False) as other:
        names = ["b", "c"]

        async def late(*given: Any, **rest: Any) -> Any:
            if names:
                await other.add_step("race", names.pop(0), tool="text.echo")
            return await register(*given, **rest)

        monkeypatch.setattr(fb.store, "register_version", late)
        version = await fb.publish("race")
        assert await _ids(other, "race") == ["a", "b", "c"]
        assert len(version.document["steps"]) == 3  # type: ignore[arg-type]
        assert version.version == 1


async def test_a_refused_step_leaves_the_next_one_its_place(fb: FlowBuilder) -> None:
    await fb.create_flow("strict")
    await fb.add_step("strict", "a", tool="text.echo")
    for bad in ({"tool": "no.such"}, {"tool": "text.echo", "depends_on": ["later"]}):
        await fb.add_step("strict", "b", tool="text.echo", depends_on=["a"])
        with pytest.raises(DefinitionError):
            await fb.add_step("strict", "c", **bad)
        await fb.add_step("strict", "later", tool="text.echo")
        assert await _ids(fb, "strict") == ["a", "b", "later"]
        await fb.save_flow({"flow": "strict", "steps": [{"id": "a", "tool": "text.echo"}]})


async def test_the_bound_of_steps_holds_on_the_short_way(fb: FlowBuilder) -> None:
    await fb.create_flow("full")
    for place in range(60):
        await fb.add_step("full", f"s{place}", tool="text.echo")
    with pytest.raises(DefinitionError) as refused:
        await fb.add_step("full", "more", tool="text.echo")
    assert [problem.code for problem in refused.value.problems] == ["too_many_steps"]
    assert len(await _ids(fb, "full")) == 60


async def test_few_drafts_are_remembered(fb: FlowBuilder) -> None:
    names = [f"flow{place}" for place in range(appending.MOST_DRAFTS + 3)]
    for name in names:
        await fb.create_flow(name)
        await fb.add_step(name, "a", tool="text.echo")
    assert list(fb._session.drafts) == names[3:]
    for name in names:
        await fb.add_step(name, "b", tool="text.echo", depends_on=["a"])
        assert await _ids(fb, name) == ["a", "b"]


async def test_an_output_of_steps_that_are_still_to_come_is_refused_as_ever(
    fb: FlowBuilder,
) -> None:
    await fb.create_flow("early")
    await fb.set_output("early", "${{ steps.b }}")
    with pytest.raises(DefinitionError):
        await fb.add_step("early", "a", tool="text.echo")
    await fb.add_step("early", "b", tool="text.echo")
    await fb.add_step("early", "a", tool="text.echo")
    assert await _ids(fb, "early") == ["b", "a"]
