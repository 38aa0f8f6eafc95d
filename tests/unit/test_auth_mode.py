"""When a service knows users, and when it refuses to start without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from flowbuilder.api.app import create_app
from flowbuilder.api.auth.mode import tokens_of
from flowbuilder.errors import SettingsError
from flowbuilder.settings import Settings
from tests.support.api import SECRET

URL = SecretStr("postgresql://db.example/flows")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"host": "localhost"},
        {"host": "::1"},
        {"auth": "local", "database_url": URL},
        {"auth": "local", "auth_secret": SecretStr(SECRET)},
    ],
)
def test_nobody_logs_in_on_ones_own_machine(given: dict[str, Any]) -> None:
    assert tokens_of(Settings(**given)) is None


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"host": "0.0.0.0"}, "auth_secret_missing"),
        ({"host": "::"}, "auth_secret_missing"),
        ({"host": "flows.example"}, "auth_secret_missing"),
        ({"host": "0.0.0.0", "auth": "local"}, "auth_not_local"),
        ({"host": "192.168.1.5", "auth": "local"}, "auth_not_local"),
        ({"database_url": URL}, "auth_secret_missing"),
        ({"auth": "users"}, "auth_secret_missing"),
        ({"auth": "users", "auth_secret": SecretStr("")}, "auth_secret_weak"),
        ({"auth": "users", "auth_secret": SecretStr("x" * 31)}, "auth_secret_weak"),
        ({"auth": "users", "auth_secret": SecretStr("x" * 64)}, "auth_secret_weak"),
        ({"auth": "users", "auth_secret": SecretStr("changeme-" + SECRET)}, "auth_secret_weak"),
        (
            {
                "auth": "users",
                "auth_secret": SecretStr(SECRET),
                "auth_secret_before": SecretStr("short"),
            },
            "auth_secret_weak",
        ),
        ({"auth": "users", "auth_secret_file": Path("/nowhere/at/all")}, "auth_secret_missing"),
    ],
)
def test_it_does_not_start_without_what_it_needs(given: dict[str, Any], code: str) -> None:
    with pytest.raises(SettingsError) as refused:
        create_app(Settings(**given))
    assert refused.value.code == code
    assert refused.value.hint
    assert SECRET not in str(refused.value) + str(refused.value.hint)


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n", encoding="utf-8")
    here = tokens_of(Settings(auth="users", auth_secret=SecretStr(SECRET)))
    there = tokens_of(Settings(auth="users", auth_secret_file=file))
    assert here is not None
    assert there is not None
    user = "5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11"
    assert there.read(here.issue(user, user)).user_id == user
