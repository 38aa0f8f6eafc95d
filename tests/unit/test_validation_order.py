"""What a step waits for: listed dependencies that hold anyway, and documents full of them."""

from __future__ import annotations

import random
from collections import UserDict
from typing import Any

import pytest

from flowbuilder.flow import Step, TriggerRule
from flowbuilder.tools import ToolRegistry
from flowbuilder.validation.lineage import Lineage, lineage_of
from flowbuilder.validation.reading import StepReading, read_step
from flowbuilder.validation.scope import DataScope
from flowbuilder.validation.shape import Shape
from flowbuilder.validation.structure import dependency_problems


def _by_definition(reading: StepReading, known: dict[str, Lineage]) -> list[tuple[str, str]]:
    """Return where and why a listed dependency is needless, as it is said in words."""
    step = reading.step
    told = []
    for place, name in enumerate(step.depends_on):
        if name == step.id or name not in known or name in step.depends_on[:place]:
            continue
        why = None
        if name in reading.data | reading.key.steps:
            why = "a reference says so already"
        elif step.trigger_rule is TriggerRule.ALL_SUCCESS:
            between = [
                other
                for other in reading.needs - {name, step.id}
                if other in known
                and known[other].rule is TriggerRule.ALL_SUCCESS
                and known[other].behind & known[name].place
            ]
            why = f"{min(between)!r} comes after it already" if between else None
        if why is not None:
            pointer = f"{reading.pointer}/depends_on/{place}"
            told.append((pointer, f"the step need not wait for {name!r}: {why}"))
    return told


def _random_step(rng: random.Random, name: str, names: list[str]) -> Step:
    def some(most: int) -> list[str]:
        return rng.choices(names, k=rng.randint(0, most))

    document: dict[str, Any] = {"id": name, "tool": "a.b", "depends_on": some(6)}
    if rng.random() < 0.4:
        document["args"] = {"x": [f"${{{{ steps.{other}.y }}}}" for other in some(3)]}
    if rng.random() < 0.2:
        document["when"] = f"steps.{rng.choice(names)}.n > 1"
    if rng.random() < 0.2:
        document["trigger_rule"] = rng.choice(list(TriggerRule)).value
    return Step.model_validate(document)


@pytest.mark.parametrize("seed", range(60))
def test_needless_dependencies_are_those_of_the_plain_definition(seed: int) -> None:
    rng = random.Random(seed)
    names = [f"s{number}" for number in range(rng.randint(2, 25))]
    rng.shuffle(names)
    scope = DataScope(Shape(), ToolRegistry())
    known: dict[str, Lineage] = {}
    readings = []
    for position, name in enumerate(names):
        # mostly earlier ones, now and then later ones, itself, and one that is not there
        others = [*names[:position], *names[:position], rng.choice(names), "nobody"]
        reading = read_step(position, _random_step(rng, name, others))
        scope.put(name, reading.step)
        readings.append(reading)
        if rng.random() < 0.95:
            known[name] = lineage_of(reading, None, known)
    for reading in readings:
        found = dependency_problems(reading, scope, known)
        needless = [item for item in found if item.code == "needless_dependency"]
        told = [(item.pointer, item.message) for item in needless]
        assert told == _by_definition(reading, known)


class _Counted(UserDict[str, Lineage]):
    """Counts how often it is asked."""

    asked = 0

    def __getitem__(self, key: str) -> Lineage:
        self.asked += 1
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.asked += 1
        return super().__contains__(key)


@pytest.mark.parametrize("chained", [False, True])
def test_a_long_list_of_dependencies_is_gone_through_a_few_times(chained: bool) -> None:
    scope = DataScope(Shape(), ToolRegistry())
    known = _Counted()
    names: list[str] = []
    for position in range(300):
        before = names[-1:] if chained else []
        step = Step.model_validate({"id": f"s{position}", "tool": "a.b", "depends_on": before})
        scope.put(step.id, step)
        known[step.id] = lineage_of(read_step(position, step), None, known)
        names.append(step.id)
    last = Step.model_validate({"id": "z", "tool": "a.b", "depends_on": names})
    known.asked = 0
    found = dependency_problems(read_step(300, last), scope, known)
    assert len(found) == (299 if chained else 0)
    assert known.asked < 5 * len(names)
