"""No effect without the approval that policy asks for: fuzzed runs, judged by an oracle apart.

`FLOWBUILDER_TEST_ROUNDS=50` makes it so many times as long, `FLOWBUILDER_TEST_SEED=n` another one;
`flowbuilder eval fuzz --runs 10000 --seed 1` is the long form.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from flowbuilder.evals.fuzz import fuzz
from flowbuilder.evals.fuzz_oracle import (
    Agreement,
    Question,
    Story,
    canonical,
    violations,
)
from flowbuilder.evals.fuzz_tools import Effect
from flowbuilder.executor import guard
from flowbuilder.settings import Settings

ROUNDS = int(os.environ.get("FLOWBUILDER_TEST_ROUNDS", "1"))
SEED = int(os.environ.get("FLOWBUILDER_TEST_SEED", "11"))


def settings_of(dsn: str, folder: Path) -> Settings:
    return Settings.load(database_url=SecretStr(dsn), data_dir=folder)


async def test_no_effect_happens_that_nobody_allowed(dsn: str, tmp_path: Path) -> None:
    told: list[int] = []
    report = await fuzz(
        settings_of(dsn, tmp_path),
        runs=200 * ROUNDS,
        seed=SEED,
        told=lambda done, _: told.append(done),
    )
    assert report.violations == ()
    assert told[-1] == report.runs == report.counts["runs"] == 200 * ROUNDS
    # it has tried: things were done, asked, agreed to, edited, refused and tampered with
    for name, least in {
        "effects": 50,
        "effects that were asked for": 20,
        "agreements": 50,
        "edits": 3,
        "rejections": 5,
        "tamperings": 20,
        "child runs": 5,
        "tasks failed: approval_mismatch": 10,
    }.items():
        assert report.counts[name] >= least * ROUNDS, (name, report.counts)


async def test_the_fuzzer_would_see_a_guard_that_sleeps(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def admit(self: Any, task: Any, step: Any, tool: Any, args: Any, **_: Any) -> Any:
        given = task.args if task.approved and task.args is not None else args
        asks = step.approval if not task.approved else None
        return guard.Admission(args=given, ask=asks)

    monkeypatch.setattr(guard.Guard, "admit", admit)
    report = await fuzz(settings_of(dsn, tmp_path), runs=40, seed=3, batch=40)
    assert len(report.violations) > 5
    assert any("TAMPERED" in item or "eve@evil" in item for item in report.violations)


# -- the oracle itself ----------------------------------------------------------------------


def story(*steps: dict[str, Any], policy: Any = None, **more: Any) -> Story:
    return Story(policies=[policy], programs={"r": {"flow": "f", "steps": list(steps)}}, **more)


def effect(**more: Any) -> Effect:
    given: dict[str, Any] = {
        "run_id": "r", "step_id": "act", "task_id": "1", "tool": "act.send",
        "args": {"to": "x"}, "epoch": 0, "late": False,
    }  # fmt: skip
    return Effect(**{**given, **more})


WEB = {"id": "web", "tool": "web.read"}
ACT = {"id": "act", "tool": "act.send", "args": {"to": "${{ steps.web.text }}"}}
OWN = {**ACT, "args": {"to": "x"}}


def asked(args: Any, *people: str, by: tuple[str, ...] = ()) -> dict[str, Any]:
    question = Question(
        run_id="r", step_id="act", task_id="1", kind="gate", by=by, shown=canonical(args)
    )
    said = [Agreement(approval_id="a", person=name, args=canonical(args)) for name in people]
    return {"questions": {"a": question}, "agreements": said}


def test_the_oracle_knows_when_a_person_is_needed() -> None:
    assert violations([effect()], story(OWN)) == []
    assert violations([effect()], story(OWN, planned={"r"}))
    assert violations([effect()], story(WEB, ACT))
    assert violations([effect()], story(WEB, ACT, **asked({"to": "x"}, "ada"))) == []
    assert violations([effect()], story(WEB, ACT, **asked({"to": "y"}, "ada")))
    assert violations([effect(task_id="2")], story(WEB, ACT, **asked({"to": "x"}, "ada")))


def test_the_oracle_reads_rules() -> None:
    def rule(**more: Any) -> dict[str, Any]:
        return {"rules": [{"name": "r", "tools": ["act.*"], **more}], "otherwise": "allow"}

    assert violations([effect()], story(OWN, policy=rule(then="refuse")))
    two = rule(then="approve", quorum=2, by=["user:ada", "user:bob"])
    both = asked({"to": "x"}, "user:ada", "user:bob", by=("user:ada", "user:bob"))
    assert violations([effect()], story(OWN, policy=two, **both)) == []
    assert violations([effect()], story(OWN, policy=two, **asked({"to": "x"}, "user:ada")))
    anyone = asked({"to": "x"}, "user:ada", "user:eve")
    assert violations([effect()], story(OWN, policy=two, **anyone))
    bound = rule(then="refuse", unless=[{"arg": "/to", "one_of": ["x"]}])
    assert violations([effect()], story(OWN, policy=bound)) == []
    assert violations([effect(args={"to": "y"})], story(OWN, policy=bound))
