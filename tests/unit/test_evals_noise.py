"""A model that errs at a known rate: what it answers in rounds, and what becomes of its plans."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from flowbuilder.cli.app import app
from flowbuilder.evals.dataset import Case, Dataset
from flowbuilder.evals.models import DEFECTS, NoisyModel, OracleModel, Request
from flowbuilder.evals.models.mending import Shown, mended, shown_in
from flowbuilder.evals.noise import Noised, NoiseReport, measure_noise
from flowbuilder.models import Message
from flowbuilder.plan import Usage
from flowbuilder.planner.schema import answer_schema, patch_schema
from flowbuilder.settings import Settings
from flowbuilder.types import JsonObject
from tests.support.golds import GOLDS, SPECS, goal, gold

SUITE = Dataset.model_validate(
    {
        "suite": "golds",
        "catalogue": [
            {
                "name": spec.name,
                "summary": spec.summary,
                "input_schema": spec.input_schema,
                "output_schema": spec.output_schema,
                "effects": spec.effects,
            }
            for spec in SPECS
        ],
        "cases": [
            {"name": f"g{number}", "goal": text, "expect": {"flow": document}}
            for number, (text, document) in enumerate(GOLDS.items())
        ],
    }
)
ASKED = """Goal: {goal}

What is wrong:
- step order/args: order.find needs 'number'

Steps that may be changed:
{steps}

Other steps:
- mail: mail.send, gives {{sent: any}}

Tools:
- order.find(number: integer): Look up an order.
"""


def asking(number: int, *steps: JsonObject) -> Request:
    listed = "\n".join(json.dumps(step) for step in steps)
    text = ASKED.format(goal=goal(number), steps=listed)
    schema = patch_schema([], [str(step["id"]) for step in steps], most_added=3)
    return Request(kind="steps", messages=(Message(role="user", content=text),), schema=schema)


async def answered(model: OracleModel, request: Request) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(await model.answer(request))
    return answer


async def test_the_oracle_mends_what_it_is_shown_and_nothing_else() -> None:
    wrong: JsonObject = {"id": "order", "tool": "order.find", "args": {}}
    found: JsonObject = {"id": "find_it", "tool": "customer.find", "args": {"name": "Eve"}}
    stray: JsonObject = {"id": "stray", "tool": "order.find", "args": {"number": 1}}
    answer = await answered(OracleModel(GOLDS), asking(7, wrong, found, stray))
    assert [step["id"] for step in answer["tasks"]] == ["order", "find_it"]
    assert answer["tasks"][0]["args"] == {"number": 7}
    assert answer["tasks"][1]["args"] == {"name": "${{ steps.order.customer }}"}
    assert answer["remove"] == ["stray"]
    steps: Any = gold(7)["steps"]
    right = asking(7, *steps[:2])
    assert await answered(OracleModel(GOLDS), right) == {"tasks": []}


def test_a_step_that_is_gone_is_added_under_its_own_name() -> None:
    shown = shown_in(asking(7, {"id": "look", "tool": "order.find", "args": {}}))
    assert shown is not None and shown.others == {"mail": "mail.send"}
    patch = mended(gold(7), shown)
    steps: Any = patch["steps"]
    assert [step["id"] for step in steps] == ["look", "customer"]
    assert steps[1]["args"] == {"name": "${{ steps.look.customer }}"}


def test_a_step_with_the_wrong_tool_is_known_by_its_arguments() -> None:
    """Where all steps have one tool, the tool says nothing about which of them is shown."""
    document: JsonObject = {
        "flow": "day",
        "steps": [
            {"id": f"s{place}", "tool": "order.find", "args": {"number": place}}
            for place in range(1, 4)
        ],
    }
    shown = Shown(
        steps=({"id": "odd", "tool": "order.seek", "args": {"number": 2}},),
        others={"one": "order.find", "three": "order.find"},
    )
    assert mended(document, shown) == {
        "steps": [{"id": "odd", "tool": "order.find", "args": {"number": 2}}],
        "remove": [],
    }


def test_only_patches_are_answered_by_patches() -> None:
    whole = Request(
        kind="steps",
        messages=asking(7).messages,
        schema=answer_schema([], max_steps=3, longest_text=None),
    )
    assert shown_in(whole) is None
    assert shown_in(Request(kind="text", messages=asking(7).messages)) is None


async def test_the_noisy_model_spoils_patches_at_its_rate() -> None:
    wrong: JsonObject = {"id": "order", "tool": "order.find", "args": {}}
    always = [DEFECTS["unknown_tool"]]
    model = NoisyModel(GOLDS, rate=1.0, defects=always)
    answer = await answered(model, asking(7, wrong))
    assert answer == await answered(NoisyModel(GOLDS, rate=1.0, defects=always), asking(7, wrong))
    assert any(step["tool"].endswith("_now") for step in answer["tasks"])
    assert model.spoiled == [["unknown_tool"] * 2]
    assert (await answered(NoisyModel(GOLDS, rate=0.0), asking(7, wrong)))["tasks"][0]["args"] == {
        "number": 7
    }


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_plans_of_a_model_that_errs_are_mended_within_the_bars(seed: int) -> None:
    report = await measure_noise(SUITE, Settings.load(), rate=0.2, seed=seed)
    figures = report.as_json()
    assert len(report.plans) == 29 and report.passed, figures
    assert report.valid >= 0.95 and report.repair <= 0.35 and report.altered == 0
    assert max(item.rounds for item in report.plans) <= 2
    assert any(item.rounds for item in report.plans) and any(item.defects for item in report.plans)
    assert sum(item.untouched for item in report.plans) > 40
    again = await measure_noise(SUITE, Settings.load(), rate=0.2, seed=seed)
    assert again.as_json() == figures


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_steps_that_wait_for_later_ones_are_not_altered(seed: int) -> None:
    words = ("wash", "peel", "slice", "stir", "bake", "cool", "pack", "label")
    order = {"s1": ["s3", "s8"], "s2": ["s1", "s5"], "s4": ["s7"], "s6": ["s2", "s4"]}
    cases = []
    for thing in ("carrots", "pears", "beans", "bread", "fish", "plums"):
        steps = [
            {"id": f"s{place}", "tool": "work.do", "args": {"what": f"{word} the {thing}"},
             "depends_on": order.get(f"s{place}", [])}
            for place, word in enumerate(words, start=1)
        ]  # fmt: skip
        points = "\n".join(f"{place}. {word} the {thing}" for place, word in enumerate(words, 1))
        flow = {"flow": thing, "steps": steps}
        cases.append({"name": thing, "goal": f"Do this:\n{points}", "expect": {"flow": flow}})
    tool = {
        "name": "work.do",
        "summary": "Do one thing, told in words",
        "input_schema": {"type": "object", "properties": {"what": {"type": "string"}},
                         "required": ["what"], "additionalProperties": False},
    }  # fmt: skip
    suite = Dataset.model_validate({"suite": "work", "catalogue": [tool], "cases": cases})
    report = await measure_noise(suite, Settings.load(), seed=seed, rate=0.2)
    assert [item.altered for item in report.plans if item.altered] == []
    assert len(report.plans) == len(cases)


async def test_what_cannot_be_measured_is_counted() -> None:
    broken = {"flow": "f", "steps": [{"id": "a", "tool": "no.such", "args": {}}]}
    cases = [
        Case.model_validate({"name": "broken", "goal": goal(1), "expect": {"flow": broken}}),
        Case.model_validate({"name": "none", "goal": "Do something nice"}),
    ]
    suite = SUITE.model_copy(update={"cases": cases})
    report = await measure_noise(suite, Settings.load())
    assert not report.plans and report.left_out == {"gold is not valid": 1, "no gold plan": 1}


def test_a_step_that_was_altered_or_a_dear_round_fails_the_bars() -> None:
    def report(**changes: Any) -> NoiseReport:
        fields: dict[str, Any] = {
            "case": "c",
            "defects": (),
            "valid": True,
            "rounds": 1,
            "plan": Usage(completion_tokens=100),
            "repair": Usage(completion_tokens=35),
            "untouched": 1,
            "altered": (),
        }
        return NoiseReport(rate=0.2, seed=1, plans=(Noised(**{**fields, **changes}),))

    assert report().passed
    assert not report(altered=("a",)).passed
    assert not report(repair=Usage(completion_tokens=36)).passed
    assert not report(valid=False, reason="x").passed


def test_the_command_prints_the_figures() -> None:
    result = CliRunner().invoke(app, ["--json", "eval", "noise", "starter", "--most", "2"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.output.splitlines()[-1])
    assert told["type"] == "noise" and told["suite"] == "starter" and told["passed"] is True
