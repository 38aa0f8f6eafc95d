"""Arguments that no type checker would let through: clear errors, and nothing is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from flowbuilder import DefinitionError, FlowBuilder, InvalidValue
from flowbuilder.tools import tool


@tool("plain.echo")
async def echo(value: Any = None) -> Any:
    """Return what it got."""
    return value


@pytest.fixture
async def fb(dsn: str) -> AsyncIterator[FlowBuilder]:
    async with FlowBuilder.connect(dsn, tools=[echo], worker=False) as builder:
        yield builder


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"args": 5}, "/steps/0/args"),
        ({"depends_on": 5}, "/steps/0/depends_on"),
        ({"depends_on": [5]}, "/steps/0/depends_on/0"),
        ({"retry": "often"}, "/steps/0/retry"),
        ({"approval": 5}, "/steps/0/approval"),
        ({"limit": 5}, "/steps/0/limit"),
        ({"compensate": [1]}, "/steps/0/compensate"),
    ],
)
async def test_a_step_of_odd_arguments_is_not_added(
    fb: FlowBuilder, given: dict[str, Any], pointer: str
) -> None:
    flow = await fb.create_flow("odd")
    with pytest.raises(DefinitionError) as caught:
        await fb.add_step("odd", "a", tool="plain.echo", **given)
    assert {problem.pointer for problem in caught.value.problems} == {pointer}
    assert (await fb.get_flow("odd")).as_json() == flow.as_json()


@pytest.mark.parametrize("pattern", [None, 5, "", "a b", "x" * 300])
async def test_no_limit_is_set_for_an_odd_pattern(fb: FlowBuilder, pattern: Any) -> None:
    for verb in (fb.limits.clear, lambda name: fb.limits.set(name, concurrency=1)):
        with pytest.raises(InvalidValue) as caught:
            await verb(pattern)
        assert (caught.value.code, caught.value.pointer) == ("pattern_invalid", "/pattern")
    assert await fb.limits.list() == []


@pytest.mark.parametrize("owner", [5, "", "a\x00b", "x" * 501])
async def test_nobody_odd_holds_a_run(fb: FlowBuilder, owner: Any) -> None:
    run = await fb.execute_dynamic({"flow": "odd", "steps": [{"id": "a", "tool": "plain.echo"}]})
    with pytest.raises(InvalidValue) as caught:
        async with run.hold(owner=owner):
            pass
    assert (caught.value.code, caught.value.pointer) == ("hold_invalid", "/owner")


@pytest.mark.parametrize("by", [5, "a\nb", "a\x00b", "x" * 201])
async def test_nobody_odd_decides(fb: FlowBuilder, by: Any) -> None:
    for decide in (fb.approve, fb.reject):
        with pytest.raises(InvalidValue) as caught:
            await decide("00000000-0000-0000-0000-000000000000", by=by)
        assert (caught.value.code, caught.value.pointer) == ("actor_invalid", "/by")
