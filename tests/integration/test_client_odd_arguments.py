"""Arguments that no type checker would let through: clear errors, and nothing is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest

from flowbuilder import DefinitionError, FlowBuilder, InvalidValue, NotFound, WaitTimeout
from flowbuilder.tools import tool

Verb = Callable[[], Awaitable[Any]]


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


@pytest.mark.parametrize("by", [5, "", "a\nb", "x" * 201])
async def test_nobody_odd_does_anything(fb: FlowBuilder, by: Any) -> None:
    document = {"flow": "odd", "steps": [{"id": "a", "tool": "plain.echo"}]}
    run = await fb.execute(document)
    verbs: list[Verb] = [
        lambda: fb.execute(document, by=by),
        lambda: fb.execute_many(document, [None], by=by),
        lambda: fb.execute_dynamic(document, by=by),
        lambda: run.pause(by=by),
        lambda: run.resume(by=by),
        lambda: run.cancel(by=by),
        lambda: run.retry(by=by),
        lambda: run.add_step("b", tool="plain.echo", by=by),
        lambda: fb.limits.set("x", concurrency=1, by=by),
    ]
    for verb in verbs:
        with pytest.raises(InvalidValue) as caught:
            await verb()
        assert (caught.value.code, caught.value.pointer) == ("actor_invalid", "/by")
    assert [one.id for one in await fb.runs()] == [run.id]
    assert await fb.limits.list() == []


@pytest.mark.parametrize("text", [5, b"x", ["x"], "x" * 2001])
async def test_odd_words_are_no_reason(fb: FlowBuilder, text: Any) -> None:
    run = await fb.execute({"flow": "odd", "steps": [{"id": "a", "tool": "plain.echo"}]})
    with pytest.raises(InvalidValue) as caught:
        await run.cancel(reason=text)
    assert (caught.value.code, caught.value.pointer) == ("reason_invalid", "/reason")
    with pytest.raises(InvalidValue) as caught:
        await fb.reject("00000000-0000-0000-0000-000000000000", comment=text)
    assert (caught.value.code, caught.value.pointer) == ("reason_invalid", "/comment")
    assert (await run.cancel(reason="")).status == "cancelled"


@pytest.mark.parametrize("number", [-1, "x", None, 1.5, True, 10**30])
async def test_there_is_no_odd_page(fb: FlowBuilder, number: Any) -> None:
    run = await fb.execute({"flow": "odd", "steps": [{"id": "a", "tool": "plain.echo"}]})
    pages: list[Verb] = [
        lambda: fb.runs(limit=number),
        lambda: fb.plans(limit=number),
        lambda: fb.approvals(limit=number),
        lambda: fb.events(run.id, limit=number),
        lambda: fb.events(run.id, after=number),
        lambda: run.tasks(limit=number),
    ]
    for page in pages:
        with pytest.raises(InvalidValue) as caught:
            await page()
        assert caught.value.code == "page_invalid"


@pytest.mark.parametrize("run_id", [5, "", "x"])
async def test_what_is_no_id_filters_nothing(fb: FlowBuilder, run_id: Any) -> None:
    gated = {"id": "a", "tool": "plain.echo", "approval": {}}
    await fb.execute({"flow": "odd", "steps": [gated]})
    lists: tuple[Verb, ...] = (
        lambda: fb.approvals(status=None, run_id=run_id),
        lambda: fb.runs(before=run_id),
    )
    for listing in lists:
        with pytest.raises(NotFound) as caught:
            await listing()
        assert caught.value.code == "run_not_found"


@pytest.mark.parametrize("largest", ["9", 1.5, True, 0, -1, 10**12])
async def test_a_queue_has_no_odd_size(fb: FlowBuilder, largest: Any) -> None:
    with pytest.raises(InvalidValue) as caught:
        await fb.notifications.subscribe("task_events", largest=largest)
    assert caught.value.pointer == "/largest"
    assert await fb.notifications.subscriptions() == []


@pytest.mark.parametrize("number", ["x", 1.5, True, -2, 10**30])
async def test_messages_have_no_odd_numbers(fb: FlowBuilder, number: Any) -> None:
    sent = fb.notifications
    verbs: dict[str, Verb] = {
        "/limit": lambda: sent.receive("mine", limit=number),
        "/msg_id": lambda: sent.acknowledge("mine", number),
        "/batch": lambda: anext(sent.messages("mine", batch=number)),
        "/after": lambda: anext(sent.listen("mine", after=number)),
    }
    for pointer, verb in verbs.items():
        with pytest.raises(InvalidValue) as caught:
            await verb()
        assert caught.value.pointer == pointer


@pytest.mark.parametrize("slug", [5, None, "", [], {}, b"x"])
async def test_there_is_no_odd_flow(fb: FlowBuilder, slug: Any) -> None:
    await fb.save_flow({"flow": "odd", "steps": [{"id": "a", "tool": "plain.echo"}]})
    verbs: list[Verb] = [
        lambda: fb.get_flow(slug),
        lambda: fb.publish(slug),
        lambda: fb.get_version(slug, 1),
        lambda: fb.set_output(slug, 0),
        lambda: fb.add_step(slug, "b", tool="plain.echo"),
    ]
    for verb in verbs:
        with pytest.raises(NotFound):
            await verb()
    if slug is not None:
        assert await fb.runs(flow=slug) == []
    assert await fb.delete_flow(slug) is False


@pytest.mark.parametrize("version", [0, -1, "x", True, 1.5, 2**40, [5], "a\x00b"])
async def test_there_is_no_odd_version(fb: FlowBuilder, version: Any) -> None:
    await fb.save_flow({"flow": "odd", "steps": [{"id": "a", "tool": "plain.echo"}]})
    await fb.publish("odd")
    verbs: list[Verb] = [
        lambda: fb.execute("odd", version=version),
        lambda: fb.get_version("odd", version),
    ]
    for verb in verbs:
        with pytest.raises(NotFound) as caught:
            await verb()
        assert caught.value.code == "version_not_found"


@pytest.mark.parametrize("given", [5, True, "ab", b"ab", {"a": 1}, object()])
async def test_many_runs_need_lists(fb: FlowBuilder, given: Any) -> None:
    document = {"flow": "odd", "steps": [{"id": "a", "tool": "plain.echo"}]}
    with pytest.raises(InvalidValue) as caught:
        await fb.execute_many(document, given)
    assert caught.value.pointer == "/inputs"
    with pytest.raises(InvalidValue) as caught:
        await fb.execute_many(document, [None], idempotency_keys=given)
    assert caught.value.pointer == "/idempotency_keys"
    assert await fb.runs() == []


async def test_nobody_waits_or_reads_for_an_odd_time(fb: FlowBuilder) -> None:
    run = await fb.execute({"flow": "odd", "steps": [{"id": "a", "tool": "plain.echo"}]})
    times: list[Any] = ["", "soon", [], True, float("nan")]
    for odd in times:
        with pytest.raises(InvalidValue) as caught:
            await run.result(timeout=odd)
        assert caught.value.code == "timeout_invalid"
    for short in (-1, 0, "1ms"):
        with pytest.raises(WaitTimeout):
            await run.result(timeout=short)
    for after in (None, -1, "x", True):
        with pytest.raises(InvalidValue) as caught:
            await anext(run.events(after=cast(Any, after)))
        assert caught.value.code == "page_invalid"
    streams: list[Any] = [None, 5, [], {}, "x"]
    for stream in streams:
        with pytest.raises(NotFound):
            await anext(aiter(fb.follow(stream)))


@pytest.mark.parametrize("schema", [5, "x", [5], True, {"type": "nonsense"}, {"a": float("nan")}])
async def test_nothing_is_planned_for_an_odd_schema(fb: FlowBuilder, schema: Any) -> None:
    with pytest.raises(InvalidValue) as caught:
        await fb.plan("count the words of 'a b'", input_schema=schema)
    assert caught.value.pointer.startswith("/input_schema")
    with pytest.raises(InvalidValue) as caught:
        await fb.plan("count the words of 'a b'", input=float("nan"))
    assert (caught.value.code, caught.value.pointer) == ("json_nan", "/input")
    assert await fb.plans() == []
