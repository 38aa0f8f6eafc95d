"""Secrets that other managers keep: asked right before use, bound by the operator's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flowbuilder import Context, FlowBuilder, RunFailed, Settings, tool
from flowbuilder.secrecy.sources import SecretSource, SecretUnavailable
from flowbuilder.toolkit.connections import secret_sources
from tests.support.loopback import Reply, Request, site

WAIT = 60.0
NAMES = {"stripe": {"hosts": ["api.example.org"], "tools": ["vault.*"]}}


@tool("vault.length")
async def length(context: Context, name: str) -> int:
    """Say how long a secret of another manager is."""
    return len(await context.secrets.fetch(name))


@tool("other.length")
async def other(context: Context, name: str) -> int:
    """Say it without being allowed to."""
    return len(await context.secrets.fetch(name))


def settings_of(folder: Path, *managers: dict[str, Any]) -> Settings:
    file = folder / "connections.json"
    file.write_text(json.dumps({"secrets": list(managers)}))
    return Settings(connections=file)


def source_of(folder: Path, manager: dict[str, Any]) -> SecretSource:
    (source,) = secret_sources(settings_of(folder, manager))
    assert isinstance(source, SecretSource)
    return source


async def test_a_service_is_asked_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWBUILDER_SECRET_VAULT", "vault-token-123")
    with site(lambda _: Reply({"data": {"value": "value-of-stripe"}})) as running:
        source = source_of(
            tmp_path,
            {
                "url": running.url + "/v1/{name}",
                "headers": {"X-Token": "secret://vault"},
                "pointer": "/data/value",
                "allow_private": True,
                "names": NAMES,
            },
        )
        for _ in range(2):
            found = await source.find("stripe")
            assert found is not None
            assert found.value == "value-of-stripe"
            assert found.binding.allows_host("https://api.example.org/x")
        assert await source.find("other") is None
    (request,) = running.seen
    assert request.path == "/v1/stripe"
    assert request.headers["x-token"] == "vault-token-123"


@pytest.mark.parametrize(
    "reply",
    [
        Reply({"data": {}}),
        Reply({"data": {"value": 7}}),
        Reply({"data": {"value": "short"}}),
        Reply(b"\xff"),
        Reply({}, 403),
        Reply({}, 302, {"Location": "http://169.254.169.254/"}),
        Reply(b"x" * 200_000),
    ],
)
async def test_what_is_no_value_is_unavailable(reply: Reply, tmp_path: Path) -> None:
    def answer(request: Request) -> Reply:
        return reply

    with site(answer) as running:
        manager = {"url": running.url + "/{name}", "pointer": "/data/value", "names": NAMES}
        source = source_of(tmp_path, {**manager, "allow_private": True})
        with pytest.raises(SecretUnavailable):
            await source.find("stripe")
        closed = source_of(tmp_path, manager)
        with pytest.raises(SecretUnavailable, match=r"closed to requests \(the manager's"):
            await closed.find("stripe")
    with pytest.raises(SecretUnavailable):  # nobody is there any more
        await source.find("stripe")


async def test_files_serve_the_tools_that_they_are_bound_to(dsn: str, tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    folder.mkdir()
    (folder / "stripe").write_text("value-of-stripe\n")
    settings = settings_of(tmp_path, {"files": str(folder), "names": NAMES})

    async def run(fb: FlowBuilder, name: str) -> Any:
        document = {
            "flow": "one",
            "steps": [{"id": "only", "tool": name, "args": {"name": "stripe"}}],
            "output": "${{ steps.only }}",
        }
        return await (await fb.execute_dynamic(document, {})).result(timeout=WAIT)

    connection = FlowBuilder.connect(dsn, settings=settings, tools=[length, other], worker=True)
    async with connection as fb:
        assert await run(fb, "vault.length") == len("value-of-stripe")
        with pytest.raises(RunFailed) as caught:
            await run(fb, "other.length")
        assert caught.value.error["code"] == "secret_not_allowed"
