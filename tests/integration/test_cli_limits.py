"""`flowbuilder limits` as a person types it."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner, Result

from flowbuilder.cli.app import app
from flowbuilder.cli.options import hoist


def said(dsn: str, *words: str, code: int = 0) -> list[dict[str, Any]]:
    line = hoist(["--json", "--database-url", dsn, "limits", *words])
    result: Result = CliRunner().invoke(app, line)
    assert result.exit_code == code, result.output
    return [json.loads(text) for text in result.stdout.splitlines()]


def test_limits_are_set_shown_listed_and_cleared(dsn: str) -> None:
    assert said(dsn) == said(dsn, "list") == []
    (row,) = said(dsn, "set", "http.*", "--concurrency", "2", "--rate", "5/1m")
    assert (row["pattern"], row["concurrency"], row["source"]) == ("http.*", 2, "administrator")
    assert said(dsn) == said(dsn, "list") == said(dsn, "show", "http.*") == [row]
    assert said(dsn, "clear", "http.*") == []
    for words in (["show", "http.*"], ["clear", "http.*"]):
        (line,) = said(dsn, *words, code=1)
        assert line["error"]["code"] == "limit_not_found"
    (line,) = said(dsn, "set", "a b", code=1)
    assert line["error"]["code"] == "pattern_invalid"
