"""The OpenAPI document that is checked in is the one of the service."""

from __future__ import annotations

import json
from pathlib import Path

from flowbuilder.api.openapi import FILE, REFRESH, as_text
from tests.support.api import Raising, app_over

ROOT = Path(__file__).parents[2]


def test_the_document_that_is_checked_in_is_that_of_the_service() -> None:
    text = as_text(app_over(Raising(AssertionError())).openapi())
    stored = (ROOT / FILE).read_text(encoding="utf-8")
    if stored == text:
        return
    before, now = json.loads(stored), json.loads(text)
    changed = sorted(
        path
        for path in before["paths"].keys() | now["paths"].keys()
        if before["paths"].get(path) != now["paths"].get(path)
    )
    raise AssertionError(f"the surface changed ({changed[:20]}): run `{REFRESH}` and look at it")


def test_the_document_is_the_same_each_time() -> None:
    first, second = (as_text(app_over(Raising(AssertionError())).openapi()) for _ in range(2))
    assert first == second
    assert first == as_text(json.loads(first))
