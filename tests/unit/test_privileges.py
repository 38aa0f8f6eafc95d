from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from flowbuilder.executor import privileges
from flowbuilder.executor.privileges import Account, command_as, server_account

STRANGER = Account(uid=54321, gid=54321)


def test_the_present_user_needs_no_help(tmp_path: Path) -> None:
    assert command_as(None, ["initdb", "-D", "x"], [tmp_path]) == ["initdb", "-D", "x"]


@pytest.mark.parametrize(("mode", "way"), [(0o755, "plain"), (0o700, "pass"), (0o711, "pass")])
def test_the_capability_is_kept_only_where_it_is_needed(
    short_dir: Path, mode: int, way: str
) -> None:
    short_dir.chmod(mode)
    line = command_as(STRANGER, ["initdb"], [short_dir])
    assert line[0] == sys.executable
    assert line[-4:] == ["54321", "54321", way, "initdb"]


def test_a_folder_on_the_way_may_be_closed_too(short_dir: Path) -> None:
    inner = short_dir / "closed" / "open"
    inner.mkdir(parents=True)
    (short_dir / "closed").chmod(0o700)
    assert "pass" in command_as(STRANGER, ["initdb"], [inner])


def test_a_normal_user_runs_the_server_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert server_account(tmp_path) is None


def test_root_without_an_account_to_use_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(privileges, "ACCOUNT_NAMES", ("nobody-of-this-name", "root"))
    if tmp_path.stat().st_uid != 0:
        pytest.skip("the folder's owner is used")
    with pytest.raises(LookupError, match="nobody-of-this-name"):
        server_account(tmp_path / "postgres")
