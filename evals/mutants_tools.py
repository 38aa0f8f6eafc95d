"""Mutations of what a step calls: its tool, and the literals that it hands over."""

from __future__ import annotations

from typing import Any

from flowbuilder.evals.mutants_bench import Bench, Step, mutation

_VALUES: dict[str, Any] = {
    "string": "seven",
    "integer": 7,
    "number": 7.5,
    "boolean": True,
    "array": [1],
    "object": {"a": 1},
    "null": None,
}


def misspelt_tool(bench: Bench) -> bool:
    """Swap two letters of a tool's name."""
    step = bench.step()
    if step is None:
        return False
    name: str = step["tool"]
    places = [at for at in range(1, len(name) - 1) if name[at : at + 2].isalpha()]
    places = [at for at in places if name[at] != name[at + 1]]
    at = bench.any(places)
    if at is None:
        return False
    step["tool"] = name[:at] + name[at + 1] + name[at] + name[at + 2 :]
    return bench.tool(step) is None


def invented_tool(bench: Bench) -> bool:
    """Name a tool that nobody has."""
    step = bench.step()
    if step is None:
        return False
    step["tool"] = bench.random.choice(["magic.wand", "do_everything", "ai.solve"])
    return bench.tool(step) is None


def unknown_version(bench: Bench) -> bool:
    """Ask for a version that no tool has."""
    step = bench.step()
    if step is None:
        return False
    step["tool"] = f"{step['tool'].partition('@')[0]}@9999"
    return True


def renamed_argument(bench: Bench) -> bool:
    """Give an argument under another name."""
    found = bench.any([(step, name) for step in _closed(bench) for name in step.get("args", {})])
    if found is None:
        return False
    step, name = found
    step["args"][f"{name}_value"] = step["args"].pop(name)
    return f"{name}_value" not in bench.shapes(step)


def added_argument(bench: Bench) -> bool:
    """Give an argument that the tool does not take."""
    step = bench.any(_closed(bench))
    if step is None:
        return False
    step["args"] = {**step.get("args", {}), "verbosity_level": 3}
    return "verbosity_level" not in bench.shapes(step)


def missing_argument(bench: Bench) -> bool:
    """Leave out an argument that is needed."""
    found = bench.any([(step, name) for step in bench.steps for name in bench.required(step)])
    if found is None:
        return False
    step, name = found
    del step["args"][name]
    return True


def wrong_literal(bench: Bench) -> bool:
    """Give a literal of another type."""
    found = bench.any(bench.literals())
    if found is None:
        return False
    step, name, kinds = found
    others = [kind for kind in _VALUES if not _takes(kinds, kind)]
    kind = bench.any(others)
    if kind is None:
        return False
    step["args"][name] = _VALUES[kind]
    return True


def unlisted_value(bench: Bench) -> bool:
    """Give a value that is none of those allowed."""
    found = bench.any(
        [item for item in bench.literals() if "enum" in bench.shapes(item[0])[item[1]]]
    )
    if found is None:
        return False
    found[0]["args"][found[1]] = "none of these, surely"
    return True


def _closed(bench: Bench) -> list[Step]:
    """Return the steps whose tools take no other arguments than they name."""
    return [
        step
        for step in bench.steps
        if (tool := bench.tool(step)) is not None
        and tool.input_schema.get("additionalProperties") is False
    ]


def _takes(kinds: frozenset[str], kind: str) -> bool:
    return kind in kinds or (kind == "integer" and "number" in kinds)


MUTATIONS = (
    mutation("unknown_tool bad_tool_name", misspelt_tool),
    mutation("unknown_tool", invented_tool),
    mutation("unknown_tool", unknown_version),
    mutation("unknown_argument", renamed_argument),
    mutation("unknown_argument", added_argument),
    mutation("missing_argument", missing_argument),
    mutation("argument_type", wrong_literal),
    mutation("argument_type", unlisted_value),
)
