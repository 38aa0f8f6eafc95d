"""What a compensation may refer to: every step that its own waits for, whatever lies between."""

from __future__ import annotations

import random
from typing import Any

import pytest

from flowbuilder.flow import Step
from flowbuilder.graph import needs
from flowbuilder.validation import Checker, validate
from tests.support.counting import calls
from tests.support.sample_tools import sample_registry

REGISTRY = sample_registry()


def _steps(dice: random.Random) -> list[dict[str, Any]]:
    """Return steps that wait for any others, in circles and for missing ones too; ids may recur."""
    names = [f"s{number}" for number in range(dice.randint(2, 9))]
    backwards = dice.random() < 0.5
    steps: list[dict[str, Any]] = []
    for place, name in enumerate(names):
        others = names[:place] if backwards else [*names, "missing"]
        waited = dice.sample(others, min(len(others), dice.randint(0, 2)))
        steps.append(
            {
                "id": dice.choice(names) if dice.random() < 0.2 else name,
                "tool": "anything.take",
                "depends_on": waited[:1],
                "args": {"x": [f"${{{{ steps.{other} }}}}" for other in waited[1:]]},
                "trigger_rule": dice.choice(["all_success", "all_done"]),
                "compensate": {
                    "tool": "anything.take",
                    "args": {other: f"${{{{ steps.{other} }}}}" for other in names},
                },
            }
        )
        if dice.random() < 0.05:
            steps[-1]["unknown"] = True
    dice.shuffle(steps)
    return steps


def _by_definition(raw: list[dict[str, Any]]) -> list[str]:
    """Return the places of references to steps that are not waited for, as the walk tells them."""
    sound = [None if "unknown" in step else Step.model_validate(step) for step in raw]
    first: dict[str, Step | None] = {}
    for given, step in zip(raw, sound, strict=True):
        first.setdefault(given["id"], step)
    told = []
    for place, step in enumerate(sound):
        if step is None or step.compensate is None:
            continue
        seen: set[str] = set()
        waiting = [step]
        while waiting:
            for name in needs(waiting.pop()) - seen:
                seen.add(name)
                if (other := first.get(name)) is not None:
                    waiting.append(other)
        told += [
            f"/steps/{place}/compensate/args/{name}"
            for name in step.compensate.args
            if name in first and name not in {step.id, *seen}
        ]
    return sorted(told)


@pytest.mark.parametrize("seed", range(200))
def test_a_compensation_knows_whatever_its_step_waits_for(seed: int) -> None:
    steps = _steps(random.Random(seed))
    checker = Checker(REGISTRY, head={"flow": "x"})
    for count, step in enumerate(steps, start=1):
        checker.add(step)
        document: Any = {"flow": "x", "steps": steps[:count]}
        found = validate(document, REGISTRY)
        assert checker.finish() == found
        told = [item.pointer for item in found.problems if item.code == "compensation_reference"]
        assert sorted(told) == _by_definition(steps[:count])


def test_a_step_that_waits_for_another_one_of_its_id_knows_what_is_behind_that() -> None:
    def step(name: str, after: list[str], seen: str) -> dict[str, Any]:
        undo = {"tool": "anything.take", "args": {seen: f"${{{{ steps.{seen} }}}}"}}
        return {"id": name, "tool": "anything.take", "depends_on": after, "compensate": undo}

    # the first d and a are judged at the end, as each one's compensation speaks of the other
    steps = [step("b", [], "b"), step("d", ["b"], "a"), step("a", [], "d"), step("d", ["d"], "b")]
    found = validate({"flow": "x", "steps": steps}, REGISTRY)
    told = [item.pointer for item in found.problems if item.code == "compensation_reference"]
    assert told == _by_definition(steps)
    assert told == ["/steps/1/compensate/args/a", "/steps/2/compensate/args/d"]


@pytest.mark.parametrize("first", ["s0", "missing"])
@pytest.mark.parametrize("rule", ["all_success", "all_done"])
def test_the_work_on_long_chains_of_compensated_steps_grows_with_their_length(
    first: str, rule: str
) -> None:
    def work(count: int) -> int:
        steps = [
            {
                "id": f"s{place}",
                "tool": "anything.take",
                "depends_on": [f"s{place - 1}" if place > 1 else first] if place else [],
                "trigger_rule": rule if place else "all_success",
                "compensate": {
                    "tool": "anything.take",
                    "args": {"x": f"${{{{ steps.s{place // 2} }}}}"},
                },
            }
            for place in range(count)
        ]
        document: Any = {"flow": "x", "steps": steps}
        found = validate(document, REGISTRY, max_steps=count)
        codes = {item.code for item in found.problems}
        assert "compensation_reference" not in codes or first != "s0"
        return calls(lambda: validate(document, REGISTRY, max_steps=count))

    assert work(800) < 5 * work(200)  # a walk for each step made sixteen times as many
