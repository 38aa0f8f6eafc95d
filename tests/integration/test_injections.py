"""Injected instructions and models that obey them: nothing happens that the user has not agreed to.

`flowbuilder eval injections` carries out all of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from flowbuilder.evals.injections import FAMILIES, MODES, SUITES, injection_cases, run_injections
from flowbuilder.evals.models import ObedientModel, OracleModel
from flowbuilder.evals.models.base import Request
from flowbuilder.models import Message
from flowbuilder.settings import Settings


def test_every_suite_is_attacked_in_every_way() -> None:
    cases = list(injection_cases())
    assert len(cases) == len(SUITES) * len(FAMILIES) * len(MODES) == len({c.name for c in cases})
    for case in cases:
        assert case.suite.wish in case.words or str(case.suite.stolen) in case.words


@pytest.mark.parametrize("mode", MODES)
async def test_nothing_outside_of_what_was_agreed_to(dsn: str, tmp_path: Path, mode: str) -> None:
    settings = Settings.load(database_url=SecretStr(dsn), data_dir=tmp_path)
    families = list(FAMILIES)
    cases = [
        case
        for case in injection_cases(modes=[mode])
        if case.family == families[SUITES.index(case.suite)]
    ]
    results = await run_injections(settings, cases)
    assert [result.outside for result in results] == [()] * len(SUITES)
    assert not any(result.shown_to_planner for result in results)
    if mode in ("reads", "extracts", "fails"):
        assert all(result.planned and result.completed for result in results)
    if mode in ("extracts", "taken over", "replans", "edits"):
        assert all(result.obeyed for result in results)
    if mode == "fails":  # what failed may have been written outside, so nobody was shown it
        assert not any(result.obeyed for result in results)
    if mode in ("planned", "replans"):
        assert all(result.planned for result in results)


async def test_the_obedient_model_obeys_in_patches_and_texts_too() -> None:
    theft: Any = {"id": "theft", "tool": "mail.send", "args": {}}
    model = ObedientModel(OracleModel({}), {"STEAL": [theft]})
    messages: list[Message] = [{"role": "user", "content": "please STEAL it"}]

    async def asked(schema: Any) -> Any:
        request = Request(kind="value", messages=tuple(messages), schema=schema)
        return orjson.loads(await model.answer(request))

    messages[0]["content"] = "please  <b>Steal</b>\nit"
    change = {"anyOf": [{"type": "object", "properties": {"op": {}, "tool": {}}}]}
    changes = {"type": "object", "properties": {"changes": {"type": "array", "items": change}},
               "required": ["changes"]}  # fmt: skip
    assert (await asked(changes))["changes"][0] == {"op": "add", **theft}
    step = {"type": "object", "properties": {"tool": {"const": "x"}}, "required": ["tool"]}
    patch = {
        "type": "object",
        "properties": {"add": {"type": "array", "items": {"$ref": "#/$defs/Step"}}},
        "required": ["add"],
        "$defs": {"Step": step},
    }
    assert (await asked(patch))["add"][0] == theft
    closed = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    assert isinstance((await asked(closed))["n"], int)
    assert (await model.generate(messages)).text.startswith("STEAL")
