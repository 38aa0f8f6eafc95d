"""Mutations of the order of steps and of their conditions."""

from __future__ import annotations

from flowbuilder.evals.mutants_bench import Bench, mutation


def unknown_dependency(bench: Bench) -> bool:
    """Wait for a step that is not there."""
    step = bench.step()
    if step is None:
        return False
    step["depends_on"] = [*step.get("depends_on", []), bench.fresh()]
    return True


def self_dependency(bench: Bench) -> bool:
    """Wait for oneself."""
    step = bench.step()
    if step is None:
        return False
    step["depends_on"] = [*step.get("depends_on", []), step["id"]]
    return True


def cycle(bench: Bench) -> bool:
    """Let a step wait for one that waits for it."""
    pairs = [(step, name) for step in bench.steps for name in bench.behind(step["id"])]
    found = bench.any(sorted(pairs, key=lambda pair: (pair[0]["id"], pair[1])))
    first = bench.step(lambda item: found is not None and item["id"] == found[1])
    if found is None or first is None:
        return False
    first["depends_on"] = [*first.get("depends_on", []), found[0]["id"]]
    return True


def double_dependency(bench: Bench) -> bool:
    """List a dependency twice."""
    step = bench.step(lambda item: bool(item.get("depends_on")))
    if step is None:
        return False
    step["depends_on"] = [*step["depends_on"], step["depends_on"][0]]
    return True


def needless_dependency(bench: Bench) -> bool:
    """List a dependency that a reference implies, or another dependency."""
    fitting = [
        (step, name)
        for step in bench.steps
        if "trigger_rule" not in step
        for name in sorted(bench.behind(step["id"]) - set(step.get("depends_on", [])))
    ]
    found = bench.any(fitting)
    if found is None:
        return False
    step, name = found
    step["depends_on"] = [*step.get("depends_on", []), name]
    return True


def idle_rule(bench: Bench) -> bool:
    """Give a trigger rule to a step that waits for nothing."""
    step = bench.step(lambda item: not bench.needs(item) and "when" not in item)
    if step is None:
        return False
    step["trigger_rule"] = bench.random.choice(["all_done", "one_success", "none_failed"])
    return True


def never_true(bench: Bench) -> bool:
    """Give a step a condition that is never true."""
    return _condition(bench, bench.random.choice(["false", "1 > 2", "'a' == 'b'"]))


def never_reached(bench: Bench) -> bool:
    """Let a step wait for one that never runs."""
    pair = bench.pair()
    if pair is None or pair[1]["id"] in bench.behind(pair[0]["id"]):
        return False
    first, second = pair
    first["when"] = "false"
    second.pop("trigger_rule", None)
    if first["id"] not in bench.needs(second):
        second["depends_on"] = [*second.get("depends_on", []), first["id"]]
    return True


def broken_condition(bench: Bench) -> bool:
    """Write a condition that is no CEL."""
    return _condition(bench, bench.random.choice(["input.a >", "input.a => 1", "(input.a", "a b"]))


def unknown_name(bench: Bench) -> bool:
    """Read something that conditions do not know."""
    return _condition(bench, bench.random.choice(["item.a > 1", "output == 1", "status == 'ok'"]))


def unknown_function(bench: Bench) -> bool:
    """Call a function that conditions do not have."""
    return _condition(bench, bench.random.choice(["len(input.a) > 1", "now() > 1", "lower('a')"]))


def no_boolean(bench: Bench) -> bool:
    """Give a condition that is neither true nor false."""
    return _condition(bench, bench.random.choice(["1 + 1", "'yes'", "[]"]))


def condition_on_nothing(bench: Bench) -> bool:
    """Ask for the output of a step that is not there."""
    return _condition(bench, f"steps.{bench.fresh()}.ok == true")


def reference_in_condition(bench: Bench) -> bool:
    """Write a condition with the signs of a reference."""
    return _condition(bench, "${{ input.a }} == 1")


def _condition(bench: Bench, text: str) -> bool:
    step = bench.step()
    if step is None:
        return False
    step["when"] = text
    return True


MUTATIONS = (
    mutation("unknown_dependency", unknown_dependency),
    mutation("self_dependency", self_dependency),
    mutation("cycle", cycle),
    mutation("duplicate_dependency", double_dependency),
    mutation("needless_dependency", needless_dependency),
    mutation("trigger_rule_unused", idle_rule),
    mutation("unreachable_step", never_true),
    mutation("unreachable_step", never_reached),
    mutation("cel_syntax", broken_condition),
    mutation("cel_unknown_name", unknown_name),
    mutation("cel_function", unknown_function),
    mutation("cel_not_bool", no_boolean),
    mutation("unknown_step_reference", condition_on_nothing),
    mutation("reference_in_when", reference_in_condition),
)
