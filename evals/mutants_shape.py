"""Mutations of a document's shape: keys, types, names, policies."""

from __future__ import annotations

from flowbuilder.evals.mutants_bench import Bench, mutation


def misspelt_key(bench: Bench) -> bool:
    """Write `arg` for `args`, `depend_on` for `depends_on` and the like."""
    step = bench.step(lambda item: len(item) > 2)
    if step is None:
        return False
    key = bench.random.choice([key for key in step if key not in ("id", "tool")])
    step[key[:-1]] = step.pop(key)
    return True


def invented_key(bench: Bench) -> bool:
    """Add a key that no step has."""
    step = bench.step()
    if step is None:
        return False
    step[bench.random.choice(["priority_class", "owner", "output_name"])] = "x"
    return True


def key_left_out(bench: Bench) -> bool:
    """Leave out a step's id or tool."""
    step = bench.step()
    if step is None:
        return False
    del step[bench.random.choice(["id", "tool"])]
    return True


def bad_id(bench: Bench) -> bool:
    """Give a step that nothing refers to an id that is none."""
    used = {name for step in bench.steps for name in bench.needs(step)}
    step = bench.step(lambda item: item["id"] not in used)
    if step is None:
        return False
    step["id"] = bench.random.choice(["1st", "fetch page", "a-b", ""])
    return True


def duplicate_id(bench: Bench) -> bool:
    """Give a step the id of an earlier one."""
    pair = bench.pair()
    if pair is None:
        return False
    pair[1]["id"] = pair[0]["id"]
    return True


def args_in_a_list(bench: Bench) -> bool:
    """Write arguments as a list."""
    step = bench.step()
    if step is None:
        return False
    step["args"] = [{"name": name, "value": value} for name, value in step.get("args", {}).items()]
    return True


def steps_by_name(bench: Bench) -> bool:
    """Write the steps as an object."""
    bench.document["steps"] = {
        step["id"]: {key: value for key, value in step.items() if key != "id"}
        for step in bench.steps
    }
    return True


def no_steps(bench: Bench) -> bool:
    """Leave all steps out."""
    bench.document["steps"] = []
    return True


def bad_slug(bench: Bench) -> bool:
    """Name the flow in words."""
    bench.document["flow"] = bench.random.choice(["my flow", "a/b", ""])
    return True


def bad_schema(bench: Bench) -> bool:
    """Write an input schema that is none."""
    bench.document["input"] = {"type": bench.random.choice(["text", "int", 5])}
    return True


def bad_duration(bench: Bench) -> bool:
    """Write a time in words."""
    return _policy(bench, "timeout", ["soon", "30 sec onds", "-5s", "0s", "1 fortnight"])


def bad_retry(bench: Bench) -> bool:
    """Repeat an attempt no times, or for ever."""
    attempts = bench.random.choice([0, -1, 101, "three"])
    return _policy(bench, "retry", [{"max_attempts": attempts}])


def unknown_rule(bench: Bench) -> bool:
    """Name a trigger rule that is none."""
    return _policy(bench, "trigger_rule", ["any_success", "always", "all"])


def unknown_error_rule(bench: Bench) -> bool:
    """Name a rule for errors that is none."""
    return _policy(bench, "on_error", ["retry", "panic", ""])


def bad_concurrency(bench: Bench) -> bool:
    """Let no task of a step run."""
    return _policy(bench, "concurrency", [0, -2, 2.5, True])


def empty_limit(bench: Bench) -> bool:
    """Limit a step to nothing."""
    return _policy(bench, "limit", [{}])


def _policy(bench: Bench, key: str, values: list[object]) -> bool:
    step = bench.step()
    if step is None:
        return False
    step[key] = bench.random.choice(values)
    return True


def huge_value(bench: Bench) -> bool:
    """Write an argument deeper than values nest."""
    step = bench.step()
    if step is None:
        return False
    deep: object = 1
    for _ in range(80):
        deep = [deep]
    step["args"] = {**step.get("args", {}), "deep": deep}
    return True


MUTATIONS = (
    mutation("unknown_key", misspelt_key),
    mutation("unknown_key", invented_key),
    mutation("missing_key", key_left_out),
    mutation("bad_step_id", bad_id),
    mutation("duplicate_step_id", duplicate_id),
    mutation("wrong_type", args_in_a_list),
    mutation("wrong_type", steps_by_name),
    mutation("no_steps", no_steps),
    mutation("bad_slug", bad_slug),
    mutation("input_schema_invalid", bad_schema),
    mutation("bad_value", bad_duration),
    mutation("bad_value wrong_type", bad_retry),
    mutation("bad_value", unknown_rule),
    mutation("bad_value", unknown_error_rule),
    mutation("bad_value wrong_type", bad_concurrency),
    mutation("limit_empty", empty_limit),
    mutation("json_depth", huge_value),
)
