"""Metrics of a real service and a real worker, read as Prometheus reads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from flowbuilder import metrics
from flowbuilder.api.app import create_app
from flowbuilder.client import FlowBuilder
from flowbuilder.client.probing import probe_port
from flowbuilder.executor.database import Database
from flowbuilder.executor.observed import Ends
from flowbuilder.executor.store import Store
from flowbuilder.metrics import METRICS
from flowbuilder.settings import Settings
from tests.support.api import ECHO, GATED, INPUT, SECRET, app_over, http, problem, registry
from tests.support.engine import Engine, failed, flow_of

TOKEN = "metrics-token-0123456789"
FLOW: dict[str, Any] = {"flow": "counted", "input": INPUT, "steps": [ECHO, GATED]}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    for metric in METRICS.values():
        if isinstance(metric, metrics.Counter | metrics.Histogram):
            metric.reset()


def samples(text: str) -> Samples:
    """Every sample of an answer by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[f"flowbuilder_{name}", frozenset(labels.items())]


def settings_of(dsn: str, **given: Any) -> Settings:
    return Settings(database_url=SecretStr(dsn), auth="local", **given)


@pytest.fixture
async def builder(dsn: str) -> AsyncIterator[FlowBuilder]:
    settings = settings_of(dsn, metrics_token=SecretStr(TOKEN))
    async with FlowBuilder.connect(settings=settings, registry=registry(), worker=True) as opened:
        yield opened


async def scrape(client: httpx.AsyncClient) -> Samples:
    answer = await client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return samples(answer.text)


async def test_a_run_is_counted_from_its_start_to_its_end(builder: FlowBuilder) -> None:
    async with http(app_over(builder)) as client:
        body = {"document": FLOW, "input": {"value": 0}}
        run_id = (await client.post("/api/v1/runs", json=body)).json()["id"]
        run = await builder.get_run(run_id)
        async for event in run.events():
            if event.type == "approval_requested":
                break
        waiting = await scrape(client)
        assert value(waiting, "approvals_pending", risk="low") == 1
        assert value(waiting, "approvals_oldest_age_seconds") >= 0
        [approval] = await builder.approvals()
        decision = {"decision": "approve"}
        assert (
            await client.post(f"/api/v1/approvals/{approval.id}/decision", json=decision)
        ).status_code == 200
        await run.result(timeout=60)
        await builder._session.ends_observed.look()
        found = await scrape(client)
    assert value(found, "runs_started_total", trigger="api") == 1
    assert value(found, "runs_finished_total", status="completed") == 1
    assert value(found, "run_duration_seconds_count", status="completed") == 1
    assert value(found, "steps_total", tool_kind="own", status="completed") == 2
    assert value(found, "steps_total", tool_kind="own", status="waiting") == 1
    assert value(found, "step_queue_wait_seconds_count") >= 1
    assert value(found, "approval_wait_seconds_count", decision="approved") == 1
    assert value(found, "worker_slots", state="free") == builder.settings.concurrency
    assert value(found, "db_pool_connections", state="waiting") == 0
    assert value(found, "queue_messages", queue="flowbuilder_tasks", state="visible") == 0
    assert value(found, "migration_version") >= 16
    labels = {"route": "/api/v1/runs", "method": "POST", "status_class": "2xx"}
    assert value(found, "http_request_duration_seconds_count", **labels) == 1
    # no label says which run, and none what was asked for
    text = repr(sorted(str(key) for key in found))
    assert run_id not in text
    assert approval.id not in text


async def test_every_metric_is_exposed_under_its_name(builder: FlowBuilder) -> None:
    text = (await builder.exposition()).decode()
    told = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert told == METRICS.keys()


async def test_ended_runs_are_counted_once_by_whoever_looks_first(database: Database) -> None:
    engine = Engine(database)
    await engine.join()
    run_id = await engine.start(flow_of({"id": "a"}))
    store = Store(database)
    looking = [Ends(store) for _ in range(5)]
    for ends in looking:
        ends.wanted = True
        ends.note([run_id])
    await looking[0].look()  # it goes on: nobody counts it
    assert metrics.RUNS_FINISHED.value("failed") == 0
    await engine.drain(failed)
    for ends in looking:
        ends.note([run_id])
    await asyncio.gather(*(ends.look() for ends in looking))
    assert metrics.RUNS_FINISHED.value("failed") == 1
    assert metrics.RUN_DURATION.count("failed") == 1
    unwanted = Ends(store)
    unwanted.note([run_id])
    await unwanted.look()
    assert metrics.RUNS_FINISHED.value("failed") == 1


async def test_leases_that_nobody_extended_are_counted(database: Database) -> None:
    engine = Engine(database)
    await engine.join()
    await engine.start(flow_of({"id": "a"}))
    [task] = (await engine.exchange(lease=5)).tasks
    assert (await engine.store.operations())["flowbuilder_leases_expired_total"] == {(): 0.0}
    await engine.jump(60)
    await engine.join()
    await engine.store.tick(engine.worker)
    assert (await engine.store.operations())["flowbuilder_leases_expired_total"] == {(): 1.0}
    await engine.store.prune_operations(sessions_seconds=1, audit_seconds=1)
    assert (await engine.store.operations())["flowbuilder_leases_expired_total"] == {(): 1.0}
    assert task.attempt == 1


async def test_metrics_are_shown_to_whoever_may_see_them(dsn: str) -> None:
    async with FlowBuilder.connect(
        settings=settings_of(dsn), registry=registry(), worker=False
    ) as near:
        async with http(app_over(near)) as client:
            assert (await client.get("/metrics")).status_code == 200
        elsewhere = httpx.ASGITransport(app=app_over(near), client=("192.0.2.7", 4711))
        async with httpx.AsyncClient(transport=elsewhere, base_url="http://127.0.0.1") as client:
            closed = problem(await client.get("/metrics"), 404)
            assert closed["code"] == "metrics_closed"
    users: dict[str, Any] = {"auth": "users", "auth_secret": SecretStr(SECRET)}
    settings = settings_of(dsn).model_copy(update=users)
    async with FlowBuilder.connect(settings=settings, registry=registry(), worker=False) as many:
        async with http(create_app(settings, flowbuilder=many)) as client:
            assert problem(await client.get("/metrics"), 404)["code"] == "metrics_closed"
        guarded = settings.model_copy(update={"metrics_token": SecretStr(TOKEN)})
        async with http(create_app(guarded, flowbuilder=many)) as client:
            for wrong in ({}, {"Authorization": "Bearer x"}, {"Authorization": TOKEN}):
                assert problem(await client.get("/metrics", headers=wrong), 401)
            await scrape(client)


async def test_a_port_of_its_own_answers_probes_and_prometheus(dsn: str) -> None:
    stopping = False
    settings = settings_of(dsn, metrics_port=0)
    async with (
        FlowBuilder.connect(settings=settings, registry=registry(), worker=True) as builder,
        probe_port(builder._session, stopping=lambda: stopping) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        ready = await client.get("/readyz?x=1")
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        found = samples((await client.get("/metrics")).text)
        assert value(found, "worker_slots", state="busy") == 0
        for path in ("/", "/healthz/", "/metrics/x", "//healthz", "/%68ealthz"):
            assert (await client.get(path)).status_code == 404
        assert (await client.post("/metrics", content=b"x")).status_code == 405
        head = await client.head("/metrics")
        assert (head.status_code, head.content) == (200, b"")
        stopping = True
        assert (await client.get("/readyz")).json() == {"code": "stopping"}
        assert (await client.get("/healthz")).status_code == 200
        builder._session.workers[0]._tasks[0].cancel()  # the loop of the worker is over
        await asyncio.wait(builder._session.workers[0]._tasks[:1])
        assert (await client.get("/healthz")).json() == {"code": "loop_ended"}


async def test_what_is_no_http_is_hung_up_on(dsn: str) -> None:
    settings = settings_of(dsn, metrics_port=0)
    async with (
        FlowBuilder.connect(settings=settings, registry=registry(), worker=False) as builder,
        probe_port(builder._session) as port,
    ):
        for sent, status in ((b"hello\r\n\r\n", b"HTTP/1.1 400"), (b"x" * 20_000, b"")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            try:
                answer = await reader.read()
            except ConnectionError:
                answer = b""
            assert answer.startswith(status)
            assert status or not answer
            writer.close()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get("/healthz")).status_code == 200
