"""Limits and subscriptions over HTTP, as the client library has them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.api import PLANS, ended, problem, service

LIMITS = "/api/v1/limits"
SUBSCRIPTIONS = "/api/v1/subscriptions"


@pytest.fixture
async def client(dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    async with service(dsn) as opened:
        yield opened


async def test_a_limit_is_set_shown_replaced_and_cleared(client: httpx.AsyncClient) -> None:
    assert (await client.get(LIMITS)).json() == {"items": []}
    made = await client.put(f"{LIMITS}/http.*", json={"concurrency": 2, "rate": "5/1m"})
    assert made.status_code == 200
    shown = made.json()
    assert {key: shown[key] for key in ("pattern", "source", "concurrency", "rate")} == {
        "pattern": "http.*",
        "source": "administrator",
        "concurrency": 2,
        "rate": "5/1m",
    }
    assert (shown["running"], shown["waiting"], shown["next_at"]) == (0, 0, None)
    assert shown["updated_by"] == "local"
    replaced = (await client.put(f"{LIMITS}/http.*", json={"rate": "9/s"})).json()
    assert (replaced["concurrency"], replaced["rate"]) == (None, "9/1s")
    assert (await client.get(f"{LIMITS}/http.%2A")).json() == replaced
    assert (await client.put(f"{LIMITS}/*", json={})).json()["concurrency"] is None
    items = (await client.get(LIMITS)).json()["items"]
    assert [item["pattern"] for item in items] == ["*", "http.*"]
    assert (await client.delete(f"{LIMITS}/http.*")).status_code == 204
    for call in (client.get, client.delete):
        assert problem(await call(f"{LIMITS}/http.*"), 404)["code"] == "limit_not_found"


@pytest.mark.parametrize(
    ("pattern", "body", "status", "code", "pointer"),
    [
        ("a b", {"concurrency": 1}, 422, "pattern_invalid", "/pattern"),
        ("%00", {"concurrency": 1}, 422, "pattern_invalid", "/pattern"),
        ("x@1", {"concurrency": 1}, 422, "pattern_invalid", "/pattern"),
        ("x", {"concurrency": 0}, 422, "concurrency_invalid", "/concurrency"),
        ("x", {"concurrency": 10**12}, 422, "concurrency_invalid", "/concurrency"),
        ("x", {"concurrency": 10**30}, 400, "json_number", "/concurrency"),
        ("x", {"concurrency": True}, 422, "body_invalid", "/concurrency"),
        ("x", {"rate": "often"}, 422, "rate_invalid", "/rate"),
        ("x", {"rate": 5}, 422, "body_invalid", "/rate"),
        ("x", {"speed": 5}, 422, "body_invalid", "/speed"),
    ],
)
async def test_wrong_limits_are_refused(
    client: httpx.AsyncClient,
    pattern: str,
    body: dict[str, Any],
    status: int,
    code: str,
    pointer: str,
) -> None:
    said = problem(await client.put(f"{LIMITS}/{pattern}", json=body), status)
    assert (said["code"], [item["pointer"] for item in said["errors"]]) == (code, [pointer])
    assert (await client.get(LIMITS)).json() == {"items": []}


async def test_a_queue_is_subscribed_filled_and_given_up(dsn: str) -> None:
    async with service(dsn, worker=True) as client:
        wanted = {"channel": "workflow_events", "queue": "crm", "largest": 50}
        made = await client.post(SUBSCRIPTIONS, json=wanted)
        assert made.status_code == 201
        shown = made.json()
        assert (shown["queue"], shown["pattern"]) == ("crm", "workflow_events.*")
        assert (shown["largest"], shown["messages"], shown["error"]) == (50, 0, None)
        again = await client.post(SUBSCRIPTIONS, json={**wanted, "largest": 60})
        assert (again.status_code, again.json()["largest"]) == (200, 60)
        only = {"channel": "task_events", "queue": "crm", "pattern": "task_events.task_failed"}
        assert (await client.post(SUBSCRIPTIONS, json=only)).status_code == 201

        body = {"document": PLANS["quick"], "input": {"value": 0}}
        started = await client.post("/api/v1/runs", json=body)
        await ended(client, started.json()["id"])
        items = (await client.get(SUBSCRIPTIONS)).json()["items"]
        assert [item["pattern"] for item in items] == [
            "task_events.task_failed",
            "workflow_events.*",
        ]
        assert {item["messages"] + item["pending"] for item in items} == {2}

        gone = await client.delete(f"{SUBSCRIPTIONS}/crm", params={"pattern": only["pattern"]})
        assert gone.json() == {"queue": "crm", "patterns": [only["pattern"]], "dropped": False}
        rest = await client.delete(f"{SUBSCRIPTIONS}/crm", params={"drop": "true"})
        assert rest.json() == {"queue": "crm", "patterns": ["workflow_events.*"], "dropped": True}
        missing = problem(await client.delete(f"{SUBSCRIPTIONS}/crm"), 404)
        assert missing["code"] == "subscription_not_found"
        assert (await client.get(SUBSCRIPTIONS)).json() == {"items": []}


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({"channel": "nonsense"}, "channel_unknown", "/channel"),
        ({"channel": "task_events", "queue": "A b"}, "queue_invalid", "/queue"),
        ({"channel": "task_events", "queue": "flowbuilder_tasks"}, "queue_reserved", "/queue"),
        ({"channel": "task_events", "pattern": "plan_events.*"}, "pattern_invalid", "/pattern"),
        ({"channel": "task_events", "pattern": ""}, "pattern_invalid", "/pattern"),
        ({"channel": "task_events", "largest": 0}, "value_invalid", "/largest"),
        ({"channel": "task_events", "largest": 10**12}, "value_invalid", "/largest"),
        ({"channel": "task_events", "largest": "9"}, "body_invalid", "/largest"),
        ({"queue": "q"}, "body_invalid", "/channel"),
    ],
)
async def test_wrong_subscriptions_are_refused(
    client: httpx.AsyncClient, body: dict[str, Any], code: str, pointer: str
) -> None:
    said = problem(await client.post(SUBSCRIPTIONS, json=body), 422)
    assert (said["code"], [item["pointer"] for item in said["errors"]]) == (code, [pointer])
    assert (await client.get(SUBSCRIPTIONS)).json() == {"items": []}


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("%00", 422, "queue_invalid"),
        ("flowbuilder_tasks?drop=true", 422, "queue_reserved"),
        ("q?pattern=%00", 422, "value_refused"),
        ("q?pattern=task_events.*", 404, "subscription_not_found"),
        ("q?drop=perhaps", 422, "parameter_invalid"),
    ],
)
async def test_what_was_never_subscribed_is_not_given_up(
    client: httpx.AsyncClient, path: str, status: int, code: str
) -> None:
    assert problem(await client.delete(f"{SUBSCRIPTIONS}/{path}"), status)["code"] == code
