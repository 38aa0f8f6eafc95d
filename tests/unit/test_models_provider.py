"""What can be known of a provider without a call, and how the doctor tells it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from flowbuilder.doctor import Check, State, examine
from flowbuilder.settings import Settings


async def told(tmp_path: Path, **given: object) -> Check:
    settings = Settings.load().model_copy(
        update={
            "database_url": SecretStr("postgresql://nobody@127.0.0.1:9/none"),
            "data_dir": tmp_path,
            "model_api_base": None,
            "model_api_key": None,
            "database_start_timeout": timedelta(seconds=5),
            **given,
        }
    )
    report = await examine(settings)
    return next(check for check in report.checks if check.name == "model")


async def test_a_missing_key_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    check = await told(tmp_path, model="openai/gpt-5-mini")
    assert check.state is State.WRONG
    assert "OPENAI_API_KEY" in check.finding
    assert check.mend == "Set OPENAI_API_KEY, or FLOWBUILDER_MODEL_API_KEY."


@pytest.mark.parametrize("model", ["zzz", "nobody/knows-this"])
async def test_an_unknown_provider_is_wrong(tmp_path: Path, model: str) -> None:
    check = await told(tmp_path, model=model)
    assert check.state is State.WRONG
    assert "(model_unknown)" in check.finding
    assert check.mend is not None
    assert "FLOWBUILDER_MODEL_API_BASE" in check.mend


@pytest.mark.parametrize("where", ["the setting", "the provider's own variable"])
async def test_a_key_is_found_in_both_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    given = {"model_api_key": SecretStr("sk-test")} if where == "the setting" else {}
    if not given:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    check = await told(tmp_path, model="openai/gpt-5-mini", **given)
    assert check.state is State.OK
    assert "sk-test" not in check.finding


async def test_a_provider_without_a_key_needs_none(tmp_path: Path) -> None:
    assert (await told(tmp_path, model="ollama_chat/qwen3")).state is State.OK
