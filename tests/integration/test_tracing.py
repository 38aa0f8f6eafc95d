"""Traces that go on over the queue, over a person's decision, and over processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from pydantic import SecretStr

from flowbuilder.client import FlowBuilder
from flowbuilder.errors import SettingsError
from flowbuilder.executor.database import Database
from flowbuilder.executor.records import DEFAULT_WORKSPACE
from flowbuilder.executor.scoped import ScopedDatabase
from flowbuilder.executor.store import Store
from flowbuilder.secrecy import REDACTOR
from flowbuilder.settings import Settings
from flowbuilder.telemetry import conventions, tracing
from flowbuilder.tools import Retry, ToolRegistry, tool
from tests.support.api import INPUT, ScriptedPlanner, app_over, http
from tests.support.tracing import Spans, links_of, name_of, parent_of, traced

CANARY = "canary-4f1c9e7ab3d2"
PROCESS = f"process {conventions.QUEUE}"
SEND = f"send {conventions.QUEUE}"
THEIRS = "00-11111111111111111111111111111111-2222222222222222-01"


@tool("trace.echo")
def echo(value: Any) -> Any:
    """Return the value."""
    return value


_failed: list[int] = []


@tool("trace.flaky")
def flaky() -> int:
    """Fail once."""
    if not _failed:
        _failed.append(1)
        raise Retry(f"not yet {CANARY}", after=0)
    return 1


@pytest.fixture
def spans() -> Any:
    with traced() as opened:
        yield opened


async def opened(dsn: str, *, worker: bool) -> FlowBuilder:
    return FlowBuilder.connect(
        settings=Settings(database_url=SecretStr(dsn), auth="local"),
        registry=ToolRegistry([echo, flaky]),
        worker=worker,
        planner=ScriptedPlanner(),
    )


@pytest.fixture
async def starter(dsn: str, spans: Spans) -> AsyncIterator[FlowBuilder]:
    """A process that only starts runs."""
    async with await opened(dsn, worker=False) as builder:
        yield builder


@pytest.fixture
async def worker(dsn: str, spans: Spans) -> AsyncIterator[FlowBuilder]:
    """Another one, which runs them."""
    async with await opened(dsn, worker=True) as builder:
        yield builder


def step(id: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"id": id, "tool": "trace.echo", "args": {"value": value}, **more}


FLOW: dict[str, Any] = {
    "flow": "traced",
    "input": INPUT,
    "steps": [
        step("first", "${{ input.value }}"),
        step("second", "${{ steps.first }}"),
        step("gated", "${{ steps.second }}", approval={"message": "Go on?"}),
    ],
}


def attempts(spans: Spans, step: str) -> list[ReadableSpan]:
    return [s for s in spans.named(PROCESS) if (s.attributes or {})[conventions.STEP] == step]


async def test_links_lead_over_queue_and_approval(
    starter: FlowBuilder, worker: FlowBuilder, spans: Spans
) -> None:
    async with http(app_over(starter)) as client:
        body = {"document": FLOW, "input": {"value": CANARY}}
        run_id = (await client.post("/api/v1/runs", json=body)).json()["id"]
        run = await starter.get_run(run_id)
        async for event in run.events():
            if event.type == "approval_requested":
                break
        [approval] = await starter.approvals()
        await client.post(f"/api/v1/approvals/{approval.id}/decision", json={"decision": "approve"})
        await run.result(timeout=60)
    await worker._session.ends_observed.look()
    started = spans.one("POST /api/v1/runs")
    assert started.kind is SpanKind.SERVER
    assert parent_of(started) is None
    # every attempt belongs to the trace of the request that started the run
    [first], [second] = attempts(spans, "first"), attempts(spans, "second")
    asked, gated = attempts(spans, "gated")
    for span in (first, second, asked, gated):
        assert parent_of(span) == name_of(started)
        assert span.kind is SpanKind.CONSUMER
    # the first step was made by that request, the others by what sent the step before's outcome
    assert links_of(first) == {name_of(started)}
    sending = {name_of(span): span for span in spans.named(SEND)}
    for before, after in ((first, second), (second, asked)):
        [made] = links_of(after)
        assert links_of(sending[made]) >= {name_of(before)}
        assert sending[made].kind is SpanKind.PRODUCER
    # who decided is linked to by the attempt that goes on then
    decided = spans.one("POST /api/v1/approvals/{approval_id}/decision")
    assert links_of(gated) == links_of(asked) | {name_of(decided)}
    wait = spans.one("approval")
    assert parent_of(wait) == name_of(started)
    assert links_of(wait) == {name_of(decided)}
    whole = spans.one("run")
    assert parent_of(whole) == name_of(started)
    assert (whole.attributes or {})[conventions.STATUS] == "completed"
    assert whole.start_time is not None
    assert first.end_time is not None
    assert whole.end_time is not None
    assert whole.start_time <= first.end_time <= whole.end_time
    assert CANARY not in spans.text()


async def test_a_retried_attempt_is_told_of_without_its_words(
    worker: FlowBuilder, spans: Spans
) -> None:
    _failed.clear()
    document = {
        "flow": "flaky",
        "steps": [{"id": "a", "tool": "trace.flaky", "retry": {"max_attempts": 2}}],
    }
    run = await worker.execute(document)
    await run.result(timeout=60)
    one, two = attempts(spans, "a")
    assert (one.attributes or {})[conventions.OUTCOME] == "retry"
    assert one.status.status_code is StatusCode.ERROR
    assert [(s.attributes or {})[conventions.ATTEMPT] for s in (one, two)] == [1, 2]
    assert two.status.status_code is StatusCode.UNSET
    assert CANARY not in spans.text()


async def test_strangers_do_not_choose_the_trace(worker: FlowBuilder, spans: Spans) -> None:
    async with http(app_over(worker)) as client:
        for given in (THEIRS, "00-" + "0" * 32 + "-2222222222222222-01", "nonsense", ""):
            await client.get("/api/v1/flows", headers={"traceparent": given, "baggage": "a=b"})
    for number, span in enumerate(spans.named("GET /api/v1/flows")):
        assert parent_of(span) is None
        assert links_of(span) == ({THEIRS} if number == 0 else set())
    assert len(spans.named("GET /api/v1/flows")) == 4


async def test_callers_are_followed_where_that_is_wanted(dsn: str) -> None:
    with traced(follow=True) as spans:
        async with await opened(dsn, worker=False) as builder, http(app_over(builder)) as client:
            await client.get("/api/v1/flows", headers={"traceparent": THEIRS})
            await client.post("/api/v1/auth/token", headers={"traceparent": THEIRS})
    assert parent_of(spans.one("GET /api/v1/flows")) == THEIRS
    public = spans.one("POST /api/v1/auth/token")
    assert parent_of(public) is None
    assert links_of(public) == {THEIRS}


async def test_content_is_shown_to_those_who_ask_and_without_secrets(dsn: str) -> None:
    REDACTOR.learn(CANARY)
    with traced(content=True) as spans:
        async with await opened(dsn, worker=True) as builder:
            run = await builder.execute(
                {"flow": "shown", "steps": [step("a", {"password": "p4ss", "text": "visible"})]}
            )
            await run.result(timeout=60)
            plan = await builder.plan("quick")
    [span] = attempts(spans, "a")
    assert "visible" in str((span.attributes or {})[conventions.ARGUMENTS])
    assert "visible" in str((span.attributes or {})[conventions.RESULT])
    planned = spans.one("plan")
    assert (planned.attributes or {})[conventions.GOAL] == '"quick"'
    assert (planned.attributes or {})[conventions.PLAN_ID] == plan.id
    assert "p4ss" not in spans.text()
    assert CANARY not in spans.text()


async def test_without_a_provider_nothing_is_written_down(dsn: str, database: Database) -> None:
    from opentelemetry.trace import NoOpTracerProvider

    tracing.use(NoOpTracerProvider())
    try:
        async with await opened(dsn, worker=True) as builder:
            async with http(app_over(builder)) as client:
                body = {"document": {**FLOW, "steps": FLOW["steps"][:2]}, "input": {"value": 1}}
                made = await client.post("/api/v1/runs", json=body)
            run = await builder.get_run(made.json()["id"])
            assert await run.result(timeout=60) == {"second": 1}
    finally:
        tracing.switch_off()
    rows = await database.fetch_all(
        b"select trace from flowbuilder.runs union all select trace from flowbuilder.tasks"
    )
    assert len(rows) == 3
    assert {row["trace"] for row in rows} == {None}


async def test_a_transaction_carries_no_trace_over(database: Database, spans: Spans) -> None:
    asked = b"select nullif(current_setting('flowbuilder.trace', true), '') as trace"
    scoped = ScopedDatabase(database, DEFAULT_WORKSPACE)
    for _ in range(5):
        with tracing.span("outer") as span:
            for place in (database, scoped):
                row = await place.fetch_one(asked)
                assert row == {"trace": span.traceparent}
        for place in (database, scoped):
            assert await place.fetch_one(asked) == {"trace": None}


async def test_children_belong_to_the_trace_of_who_called(
    starter: FlowBuilder, worker: FlowBuilder, spans: Spans
) -> None:
    await starter.create_flow("child")
    await starter.add_step("child", "inner", tool="trace.echo", args={"value": 1})
    store: Store = starter.store
    with tracing.span("asking") as span:
        run = await starter.execute("child")
    traces = await store.traces_of(run.id)
    assert traces.run == span.traceparent
    row = await store.database.fetch_one(
        b"insert into flowbuilder.runs (workspace_id, version_id, flow, status, input,"
        b" remaining_steps, parent_run_id, created_at, deadline_at) select workspace_id,"
        b" version_id, flow, 'queued', input, 1, id, created_at, deadline_at from flowbuilder.runs"
        b" where id = %s::uuid returning id",
        (run.id,),
    )
    assert row is not None
    assert (await store.traces_of(str(row["id"]))).run == span.traceparent
    assert (await store.traces_of("00000000-0000-0000-0000-000000000009")).run is None


async def test_a_request_is_one_span_without_its_address(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the provider is the program's own, which libraries write to by themselves."""
    token = "token-" + CANARY
    with traced() as spans:
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", spans.provider)
        async with await opened(dsn, worker=False) as builder, http(app_over(builder)) as client:
            for method, path in (
                ("GET", f"/approve/{token}?q={CANARY}"),
                ("POST", f"/hooks/{token}?key={CANARY}"),
                ("POST", f"/api/v1/plans?key={CANARY}"),
                ("GET", f"/nowhere/{token}?key={CANARY}"),
            ):
                before = len(spans.servers())
                headers = {"traceparent": THEIRS}
                await client.request(method, path, headers=headers)
                [span] = spans.servers()[before:]
                assert span.instrumentation_scope is not None
                assert span.instrumentation_scope.name == "flowbuilder"
                assert THEIRS[3:35] not in name_of(span)
        assert spans.servers()
        assert CANARY not in spans.text()


async def test_it_works_without_anybody_who_collects(dsn: str) -> None:
    """`tracing=on` in a program that has set up nothing."""
    settings = Settings(database_url=SecretStr(dsn), auth="local", tracing="on")
    try:
        async with FlowBuilder.connect(
            settings=settings, registry=ToolRegistry([echo]), worker=True
        ) as builder:
            run = await builder.execute({"flow": "alone", "steps": [step("a", 0)]})
            assert await run.result(timeout=60) == {"a": 0}
    finally:
        tracing.switch_off()


async def test_the_model_call_is_a_span_of_its_own(spans: Spans) -> None:
    from flowbuilder.models.watching import begin_call, end_call, failing
    from flowbuilder.plan import Usage

    with tracing.span("plan") as plan:
        call = begin_call("openai/gpt-5-mini", [{"role": "user", "content": CANARY}])
        usage = Usage(calls=1, prompt_tokens=10, completion_tokens=3, cost_usd=0.5)
        end_call(call, "openai/gpt-5-mini", usage, CANARY, "stop")
        lost = begin_call("openai/gpt-5-mini", [])
        with pytest.raises(httpx.ConnectError), failing(lost):
            raise httpx.ConnectError(CANARY)
    done, failed = spans.named("chat openai/gpt-5-mini")
    said = done.attributes or {}
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"]) == (10, 3)
    assert said["gen_ai.provider.name"] == said["gen_ai.system"] == "openai"
    assert said["gen_ai.response.finish_reasons"] == ("stop",)
    assert parent_of(done) == parent_of(failed) == plan.traceparent
    assert failed.status.status_code is StatusCode.ERROR
    assert CANARY not in spans.text()


def test_a_missing_exporter_is_said_before_anything_begins() -> None:
    try:
        with pytest.raises(SettingsError) as refused:
            tracing.configure(Settings(tracing="otlp"))
    finally:
        tracing.switch_off()
    assert refused.value.code == "tracing_exporter_missing"
    assert "opentelemetry-exporter-otlp-proto-http" in str(refused.value.hint)
    assert not tracing.is_on()


async def test_a_span_that_is_over_is_carried_by_nobody(database: Database, spans: Spans) -> None:
    asked = b"select nullif(current_setting('flowbuilder.trace', true), '') as trace"
    ended = asyncio.Event()

    async def later() -> Any:
        await ended.wait()
        return await database.fetch_one(asked)

    with tracing.span("request"):
        task = asyncio.create_task(later())
    ended.set()
    assert await task == {"trace": None}
