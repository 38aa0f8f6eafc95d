"""Readiness that tells the truth, lines of the log with hashes, and what is cleared away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from flowbuilder.client import FlowBuilder
from flowbuilder.client.probing import Probe
from flowbuilder.doctor import State, examine
from flowbuilder.errors import DatabaseUnavailable
from flowbuilder.executor.clearing import Clearing
from flowbuilder.executor.database import Database
from flowbuilder.executor.fingerprints import fingerprint
from flowbuilder.executor.store import Store
from flowbuilder.secrecy.keyring import add_key
from flowbuilder.settings import Settings
from flowbuilder.types import JsonObject
from tests.support.api import ECHO, INPUT, app_over, http, problem, registry
from tests.support.tenants import town
from tests.support.triggering import MASTER_KEY

FLOW: dict[str, Any] = {"flow": "noted", "input": INPUT, "steps": [ECHO]}


def settings_of(dsn: str, **given: Any) -> Settings:
    return Settings(database_url=SecretStr(dsn), auth="local", **given)


async def codes(builder: FlowBuilder) -> tuple[int, str]:
    """What readiness says over HTTP, of a process that has not just said that all is well."""
    builder._probing = Probe(builder._session)
    async with http(app_over(builder)) as client:
        answer = await client.get("/readyz")
    return answer.status_code, str(answer.json().get("code", "ready"))


async def test_readiness_tells_what_is_missing(
    dsn: str, tmp_path: Path, database: Database
) -> None:
    keys = tmp_path / "keys"
    add_key(keys)
    settings = settings_of(dsn, secret_key_file=keys)
    async with FlowBuilder.connect(settings=settings, registry=registry(), worker=True) as builder:
        assert await codes(builder) == (200, "ready")
        await builder.secrets.set("mail", "a-long-enough-value", hosts=["mail.example"])
        assert await codes(builder) == (200, "ready")
        kept = keys.read_bytes()
        keys.unlink()
        add_key(keys)
        assert await codes(builder) == (503, "secret_key_unknown")
        report = await examine(settings)
        [told] = [check for check in report.checks if check.name == "ready"]
        assert told.state is State.WRONG
        assert "secret_key_unknown" in told.finding
        keys.write_bytes(kept)
        assert await codes(builder) == (200, "ready")
        await database.execute(
            b"delete from flowbuilder.migrations where kind = 'function' and name = 'exchange'"
        )
        assert await codes(builder) == (503, "schema_behind")


async def test_readiness_is_false_while_stopping_and_without_the_queue(
    dsn: str, database: Database
) -> None:
    async with FlowBuilder.connect(
        settings=settings_of(dsn), registry=registry(), worker=False
    ) as builder:
        app = app_over(builder)
        async with http(app) as client:
            assert (await client.get("/readyz")).status_code == 200
            app.state.streams.stop()
            assert problem(await client.get("/readyz"), 503)["code"] == "stopping"
            assert (await client.get("/healthz")).status_code == 200
        await database.execute(b"alter table pgmq.q_flowbuilder_tasks rename to elsewhere")
        assert (await codes(builder))[0] in (500, 503)
        await database.execute(b"alter table pgmq.elsewhere rename to q_flowbuilder_tasks")
        assert await codes(builder) == (200, "ready")


async def test_readiness_hears_of_a_lost_listener(dsn: str) -> None:
    async with FlowBuilder.connect(
        settings=settings_of(dsn), registry=registry(), worker=True
    ) as builder:
        listener = builder.notifications._listener
        before = (listener.connected, listener._lost_at)
        listener.connected, listener._lost_at = False, 1.0
        assert await codes(builder) == (503, "not_listening")
        listener.connected, listener._lost_at = before


async def test_a_database_that_does_not_answer_is_told_of_in_time(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FlowBuilder.connect(
        settings=settings_of(dsn), registry=registry(), worker=False
    ) as builder:
        monkeypatch.setattr("flowbuilder.client.probing.PATIENCE_SECONDS", 0.05)
        async with builder.store.database.transaction() as connection:
            await connection.execute(b"lock table flowbuilder.migrations in access exclusive mode")
            with pytest.raises(DatabaseUnavailable):
                await builder.trouble()
            assert b"flowbuilder_build_info" in await builder.exposition()


async def test_doctor_says_the_same(dsn: str) -> None:
    report = await examine(settings_of(dsn))
    [told] = [check for check in report.checks if check.name == "ready"]
    assert (told.state, told.finding) == (State.OK, "a process here can take work")


async def test_doctor_does_not_call_waiting_without_a_worker_well(dsn: str) -> None:
    assert (await examine(settings_of(dsn))).verdict == "All is well."
    async with FlowBuilder.connect(
        settings=settings_of(dsn), registry=registry(), worker=False
    ) as builder:
        await builder.execute(FLOW, {"value": "x"})
    report = await examine(settings_of(dsn))
    [workers] = [check for check in report.checks if check.name == "workers"]
    assert (workers.state, workers.finding) == (
        State.WARNING,
        "none alive, and 1 task is waiting",
    )
    assert report.healthy
    assert report.verdict == "Nothing is broken, but see the warnings above."


async def test_lines_of_the_log_have_hashes_of_before_and_after(dsn: str) -> None:
    async with town(dsn) as place:
        headers = await place.person("ada", "default", "admin", admin=True)

        async def shown() -> JsonObject:
            draft = (await place.call(headers, "GET", "/flows/noted")).json()["draft"]
            return {"draft": draft, "version": None, "state": "draft"}

        await place.call(headers, "POST", "/flows", json=FLOW)
        first = await shown()
        changed = {**FLOW, "description": "another one"}
        await place.call(headers, "PUT", "/flows/noted", json=changed)
        second = await shown()
        await place.call(headers, "POST", "/flows/noted/archive")
        await place.call(headers, "DELETE", "/flows/noted")
        assert (
            await place.call(headers, "PUT", "/limits/http.*", json={"concurrency": 3})
        ).status_code in (200, 201)
        refused = await place.call(headers, "PUT", "/flows/other", json={**FLOW, "steps": 1})
        assert refused.status_code == 422
        page = (await place.call(headers, "GET", "/audit")).json()["items"]
    [made] = [line["details"] for line in page if line["action"] == "POST /flows"]
    assert made == {"flow": "noted", "before": None, "after": fingerprint(first)}
    put = next(line for line in page if line["action"].startswith("PUT /flows"))
    assert (put["channel"], put["address"]) == ("session", "127.0.0.1")
    assert put["details"]["before"] == fingerprint(first)
    assert put["details"]["after"] == fingerprint(second) != fingerprint(first)
    [archived] = [line["details"] for line in page if line["action"].endswith("/archive")]
    assert archived["before"] == put["details"]["after"] != archived["after"]
    [gone] = [line["details"] for line in page if line["action"].startswith("DELETE")]
    assert gone == {"before": archived["after"], "after": None}
    assert not [line for line in page if line["object"].endswith("/flows/other")]
    [limit] = [line["details"] for line in page if "limits" in line["action"]]
    assert limit["before"] is None
    assert len(limit["after"]) == 64


async def test_what_is_long_over_is_cleared_away(dsn: str, database: Database) -> None:
    async with town(dsn) as place:
        await place.person("ada", "default", "admin")
        ended = await place.session("ada")
        assert (await place.call(ended, "POST", "/auth/logout")).status_code == 204
        await place.session("ada")
        await database.execute(
            b"select flowbuilder.note_audit('{\"actor\": \"ada\"}', null, 'old', null)"
        )
        store = Store(database)
        clearing = Clearing(store, settings_of(dsn, session_keep="1h", audit_life="2h"))
        assert await clearing.round() == 0
        await jump(database, 90 * 60)
        await database.execute(
            b"select flowbuilder.note_audit('{\"actor\": \"ada\"}', null, 'new', null)"
        )
        assert await clearing.round() == 1  # the log-in that has ended
        sessions = await database.fetch_all(b"select ended_at from flowbuilder.sessions")
        assert [row["ended_at"] for row in sessions] == [None, None]
        await jump(database, 45 * 60)
        assert await clearing.round() > 1
        rows = await database.fetch_all(b"select action from flowbuilder.audit_log")
        assert [row["action"] for row in rows] == ["new"]
        await jump(database, 40 * 86_400)
        await clearing.round()
        assert not await database.fetch_all(b"select * from flowbuilder.sessions")
        assert not await database.fetch_all(b"select * from flowbuilder.refresh_tokens")


async def jump(database: Database, seconds: float) -> None:
    await database.execute(
        b"update flowbuilder.clock set offset_by = offset_by + make_interval(secs => %s)",
        (seconds,),
    )


async def test_lines_of_the_log_tell_what_an_address_does_not_name(dsn: str) -> None:
    async with town(dsn, secret_key=SecretStr(MASTER_KEY)) as place:
        ada = await place.person("ada", "default", "admin", admin=True)

        async def done(method: str, path: str, **given: Any) -> Any:
            answer = await place.call(ada, method, path, **given)
            assert answer.is_success, answer.text
            return answer.json() if answer.content else None

        await done("POST", "/flows", json=FLOW)
        other = {**FLOW, "flow": "other"}
        many = {"flows": [{**FLOW, "description": "anew"}, other]}
        await done("POST", "/flows/import?replace=true", json=many)
        await done("POST", "/flows/noted/versions")
        target = {"name": "daily", "flow": "noted"}
        hook = await done("POST", "/webhooks", json=target)
        await done("POST", f"/webhooks/{hook['id']}/rotate")
        await done("POST", f"/webhooks/{hook['id']}/pause")
        clock = {**target, "cron": "0 6 * * *", "input": {"value": 1}}
        schedule = await done("POST", "/schedules", json=clock)
        await done("DELETE", f"/schedules/{schedule['id']}")
        await done("PUT", "/admission/noted", json={"concurrency": 1})
        await done("PUT", "/admission", json={"concurrency": 2})
        await done("PUT", "/workspaces/default/quotas", json={"runs_per_day": 5})
        plan = await done("POST", "/plans", json={"goal": "quick", "input": {"value": 1}})
        await done("POST", f"/plans/{plan['id']}/accept", json={"run": False, "save": "kept"})
        page = (await place.call(ada, "GET", "/audit?limit=1000")).json()["items"]
    told = {line["action"]: line["details"] for line in page}
    assert told["POST /plans/{plan_id}/accept"]["flow"] == "kept"
    first, second = told["POST /flows/import"]["objects"]
    assert (first["flow"], second["flow"], second["before"]) == ("noted", "other", None)
    assert first["before"] == told["POST /flows"]["after"] != first["after"]
    made, rotated = told["POST /webhooks"], told["POST /webhooks/{webhook_id}/rotate"]
    paused = told["POST /webhooks/{webhook_id}/pause"]
    assert (made["webhook"], made["before"]) == ("daily", None)
    assert made["after"] == rotated["before"] != rotated["after"] == paused["before"]
    assert paused["after"] != paused["before"]
    assert told["POST /schedules"]["schedule"] == "daily"
    gone = {"before": told["POST /schedules"]["after"], "after": None}
    assert told["DELETE /schedules/{schedule_id}"] == gone
    for action in ("PUT /admission/{slug}", "PUT /admission"):
        assert told[action]["before"] is None
        assert len(told[action]["after"]) == 64
    assert told["PUT /admission/{slug}"] != told["PUT /admission"]
    quotas = told["PUT /workspaces/{workspace}/quotas"]
    assert quotas["quotas"] == "default"
    assert quotas["before"] != quotas["after"]
