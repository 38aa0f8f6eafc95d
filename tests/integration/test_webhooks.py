"""Webhooks without users, changed and steered, and their secrets under a new master key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from flowbuilder.client import FlowBuilder
from flowbuilder.errors import Conflict, InvalidValue, NotFound, SettingsError
from flowbuilder.secrecy.keyring import add_key
from flowbuilder.settings import Settings
from tests.support.api import app_over, http, problem, registry
from tests.support.triggering import STRICT, now, publish, send


@pytest.fixture
async def builder(dsn: str, tmp_path: Path) -> AsyncIterator[FlowBuilder]:
    add_key(tmp_path / "keys")
    settings = Settings(
        database_url=SecretStr(dsn), auth="local", secret_key_file=tmp_path / "keys"
    )
    opened = FlowBuilder.connect(settings=settings, registry=registry(), worker=False)
    async with opened as fb:
        await publish(fb)
        await publish(fb, STRICT)
        yield fb


async def made(builder: FlowBuilder, name: str = "orders", **more: Any) -> dict[str, Any]:
    """Make a webhook and return what a sender has of it."""
    webhook = await builder.webhooks.add(name, **{"flow": "echo", "key": "value", **more})
    return {"secret": webhook.secret, "path": f"/hooks/{webhook.row.path}", "id": webhook.row.id}


async def sent(builder: FlowBuilder, hook: dict[str, Any], payload: Any, name: str = "a") -> Any:
    """Deliver something to the service of one who does not log in."""
    at = await now(builder.store.database)
    async with http(app_over(builder)) as client:
        return await send(client, hook, payload, message_id=name, at=at)


async def test_a_delivery_starts_a_run_where_nobody_logs_in(builder: FlowBuilder) -> None:
    hook = await made(builder)
    answer = await sent(builder, hook, [0, None])
    assert answer.status_code == 202
    async with builder.worker():
        run = await builder.get_run(answer.json()["run_id"])
        assert await run.result(timeout=60) == [0, None]
    assert (await sent(builder, hook, [0, None])).json()["duplicate"] is True


async def test_a_delivery_reaches_another_workspace_without_users_too(
    builder: FlowBuilder,
) -> None:
    from tests.support.tenants import TESTER

    row = await builder.accounts.create_workspace("other", by=TESTER)
    other = builder.within(str(row["id"]))
    await publish(other)
    hook = await made(other)
    run_id = (await sent(builder, hook, 1)).json()["run_id"]
    assert await builder.store.workspace_of_run(run_id) == other.workspace
    assert await builder.webhooks.list() == []
    with pytest.raises(NotFound):
        await builder.webhooks.get(hook["id"])


async def test_the_master_key_is_changed_under_webhooks(builder: FlowBuilder) -> None:
    hooks = [await made(builder, f"w{number}") for number in range(3)]
    await builder.webhooks.rotate("w0")
    assert await builder.secrets.rotate_key() == 4
    for hook in hooks:
        assert (await sent(builder, hook, 1)).status_code == 202
    # without the key nothing is opened, and nobody is told why
    key_file = builder.settings.secret_key_file
    assert key_file is not None
    key_file.write_text("")
    answer = await sent(builder, hooks[0], 1, "b")
    assert problem(answer, 503)["code"] == "unavailable"
    assert "key" not in answer.json()["detail"]


async def test_a_webhook_is_changed_in_parts(builder: FlowBuilder) -> None:
    hook = await made(builder, description="for the shop", rate="5/1s")
    row = await builder.webhooks.change("orders", flow="strict", version=1, by="user:ada")
    assert (row.flow, row.version, row.input) == ("strict", 1, {"value": "${{ input }}"})
    assert (row.description, str(row.rate), row.updated_by) == ("for the shop", "5/1s", "user:ada")
    assert problem(await sent(builder, hook, "x"), 422)["code"] == "input_invalid"
    row = await builder.webhooks.change(
        hook["id"], input={"value": "${{ input.n }}"}, version=None, description=None, rate="1/1s"
    )
    assert (row.version, row.description, str(row.rate)) == (None, None, "1/1s")
    assert (await sent(builder, hook, {"n": 0})).status_code == 202
    before = await builder.webhooks.get("orders")
    for changes, code in (
        ({"path": "x"}, "unknown_key"),
        ({"secret": "x"}, "unknown_key"),
        ({"rate": "fast"}, "rate_invalid"),
        ({"rate": None}, "rate_invalid"),
        ({"key": "a", "input": {}}, "webhook_key_invalid"),
        ({"key": ""}, "webhook_key_invalid"),
        ({"version": True}, "version_invalid"),
    ):
        with pytest.raises(InvalidValue) as refused:
            await builder.webhooks.change("orders", **changes)
        assert refused.value.code == code, changes
    with pytest.raises(NotFound):
        await builder.webhooks.change("orders", flow="nobody")
    assert await builder.webhooks.get("orders") == before


async def test_what_cannot_be_a_webhook_is_refused(builder: FlowBuilder) -> None:
    await made(builder)
    with pytest.raises(Conflict) as exists:
        await made(builder)
    assert exists.value.code == "webhook_exists"
    await builder.create_flow("draft")
    wrong: tuple[tuple[dict[str, Any], type[Exception], str], ...] = (
        ({"flow": "draft"}, NotFound, "version_not_found"),
        ({"flow": 5}, NotFound, "flow_not_found"),
        ({"secret": "whsec_short"}, InvalidValue, "webhook_secret_invalid"),
        ({"rate": "0/1s"}, InvalidValue, "rate_invalid"),
        ({"by": ""}, InvalidValue, "actor_invalid"),
        ({"name": "Orders"}, InvalidValue, "trigger_name_invalid"),
        ({"key": "\n"}, InvalidValue, "webhook_key_invalid"),
        ({"key": None, "input": {"a": float("nan")}}, InvalidValue, "json_nan"),
    )
    for more, kind, code in wrong:
        with pytest.raises(kind) as refused:
            await made(builder, **{"name": "other", **more})
        assert getattr(refused.value, "code", None) == code, more
    assert [row.name for row in await builder.webhooks.list()] == ["orders"]


async def test_without_a_master_key_no_webhook_is_made(dsn: str) -> None:
    settings = Settings(database_url=SecretStr(dsn), auth="local")
    opened = FlowBuilder.connect(settings=settings, registry=registry(), worker=False)
    async with opened as builder:
        await publish(builder)
        with pytest.raises(SettingsError) as refused:
            await made(builder)
        assert refused.value.code == "secret_key_missing"
        assert await builder.webhooks.list() == []
        async with http(app_over(builder)) as client:
            answer = await client.post("/api/v1/webhooks", json={"name": "w", "flow": "echo"})
        assert problem(answer, 503)["code"] == "secret_key_missing"


async def test_too_many_runs_tell_the_sender_to_come_again(builder: FlowBuilder) -> None:
    hook = await made(builder)
    await builder.execute("echo", {"value": 1})
    usual = builder.settings
    builder._session.settings = usual.model_copy(update={"max_open_runs": 1})
    answer = await sent(builder, hook, 1)
    assert problem(answer, 503)["code"] == "too_many_runs"
    assert answer.headers["retry-after"] == "30"
    builder._session.settings = usual
    assert (await sent(builder, hook, 1)).status_code == 202
