"""What the store is handed directly passes the same gate as everything else."""

from __future__ import annotations

import math
from typing import Any

import pytest

from flowbuilder.errors import InvalidValue
from tests.support.engine import Engine, flow_of


@pytest.mark.parametrize(
    ("value", "code", "pointer"),
    [
        (math.nan, "json_nan", ""),
        ({"a": [math.inf]}, "json_infinity", "/a/0"),
        ("\0", "json_nul", ""),
        (["\ud800"], "json_surrogate", "/0"),
        (object(), "json_type", ""),
    ],
)
async def test_no_run_and_no_event_holds_what_is_no_json(
    engine: Engine, value: Any, code: str, pointer: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        await engine.start(flow_of({"id": "a"}), value)
    assert (refused.value.code, refused.value.pointer) == (code, pointer)
    with pytest.raises(InvalidValue) as refused:
        await engine.store.emit("paid", "7", value, keep_seconds=60)
    assert (refused.value.code, refused.value.pointer) == (code, pointer)
    assert await engine.store.list_runs() == []
