"""Mutations of what flows: references, their types, maps, taint."""

from __future__ import annotations

from typing import Any

from flowbuilder.evals.mutants_bench import Bench, mutation, written
from flowbuilder.schemapaths import Missing, lookup
from flowbuilder.tools import HARMLESS

_SCALARS = frozenset({"string", "integer", "number", "boolean"})


def unknown_step(bench: Bench) -> bool:
    """Refer to a step that is not there."""
    return _argument(bench, written(bench.fresh(), ["value"]))


def self_reference(bench: Bench) -> bool:
    """Refer to one's own output."""
    step = bench.step(lambda item: bool(item.get("args")))
    if step is None:
        return False
    step["args"][bench.random.choice(list(step["args"]))] = written(step["id"])
    return True


def reference_in_circles(bench: Bench) -> bool:
    """Refer to a step that waits for this one."""
    pairs = [(step, name) for step in bench.steps for name in bench.behind(step["id"])]
    found = bench.any(sorted(pairs, key=lambda pair: (pair[0]["id"], pair[1])))
    if found is None:
        return False
    first = bench.step(lambda item: item["id"] == found[1] and bool(item.get("args")))
    if first is None:
        return False
    name = bench.random.choice(list(first["args"]))
    first["args"][name] = written(found[0]["id"])
    return True


def unknown_field(bench: Bench) -> bool:
    """Refer to a field that the output has not."""
    fitting = []
    for step, name, reference in bench.references():
        producer = bench.named(reference.step)
        tool = bench.tool(producer) if producer is not None else None
        if tool is None or producer is None or "for_each" in producer:
            continue
        if isinstance(lookup(tool.output_schema, ["no_such_field"]), Missing):
            fitting.append((step, name, reference.step))
    found = bench.any(fitting)
    if found is None:
        return False
    found[0]["args"][found[1]] = written(str(found[2]), ["no_such_field"])
    return True


def unknown_input(bench: Bench) -> bool:
    """Refer to an input that the flow does not take."""
    bench.document["input"] = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "additionalProperties": False,
    }
    return _argument(bench, "${{ input.town_hall }}")


def unknown_root(bench: Bench) -> bool:
    """Begin a reference with a word that means nothing."""
    return _argument(bench, bench.random.choice(["${{ env.HOME }}", "${{ secrets.key }}"]))


def open_reference(bench: Bench) -> bool:
    """Leave a reference open."""
    return _spoilt(bench, lambda text: text.removesuffix("}}"))


def code_in_reference(bench: Bench) -> bool:
    """Calculate inside a reference."""
    return _spoilt(bench, lambda text: text.replace(" }}", " + 1 }}"))


def foreign_reference(bench: Bench) -> bool:
    """Write a reference as other languages do."""
    sign = bench.random.choice(["{{", "${"])
    close = "}}" if sign == "{{" else "}"
    return _spoilt(bench, lambda text: text.replace("${{", sign).replace("}}", close))


def reference_as_key(bench: Bench) -> bool:
    """Write a reference as the name of an argument."""
    step = bench.step()
    if step is None:
        return False
    step["args"] = {**step.get("args", {}), "${{ input.name }}": 1}
    return True


def item_outside_map(bench: Bench) -> bool:
    """Use the element of a map where there is none."""
    step = bench.step(lambda item: "for_each" not in item and bool(item.get("args")))
    if step is None:
        return False
    step["args"][bench.random.choice(list(step["args"]))] = "${{ item.name }}"
    return True


def map_over_scalar(bench: Bench) -> bool:
    """Go over something that is no array."""
    return _map(bench, lambda kinds: "array" not in kinds)


def map_over_text(bench: Bench) -> bool:
    """Go over a text with a reference in it."""
    step = bench.step(lambda item: "for_each" not in item)
    if step is None:
        return False
    step["for_each"] = "all of ${{ input.names }}"
    return True


def array_for_item(bench: Bench) -> bool:
    """Give an array where one element is taken."""
    return _edge(bench, lambda kinds: kinds == {"array"}, lambda kinds: "array" not in kinds)


def item_for_array(bench: Bench) -> bool:
    """Give one element where an array is taken."""
    return _edge(bench, lambda kinds: kinds <= _SCALARS, lambda kinds: kinds == {"array"})


def object_for_scalar(bench: Bench) -> bool:
    """Give an object where a text or number is taken."""
    return _edge(bench, lambda kinds: kinds == {"object"}, lambda kinds: kinds <= _SCALARS)


def other_scalar(bench: Bench) -> bool:
    """Give a text where a number or a truth value is taken."""
    return _edge(
        bench, lambda kinds: kinds == {"string"}, lambda kinds: kinds <= _SCALARS - {"string"}
    )


def text_for_number(bench: Bench) -> bool:
    """Write a reference into a text where no text is taken."""
    fitting = [
        (step, name)
        for step in bench.steps
        for name in step.get("args", {})
        if (kinds := bench.kinds(step, name)) and "string" not in kinds
    ]
    found = bench.any(fitting)
    if found is None:
        return False
    found[0]["args"][found[1]] = "about ${{ input.amount }}"
    return True


def output_of_nothing(bench: Bench) -> bool:
    """Let the output refer to a step that is not there."""
    bench.document["output"] = {"result": written(bench.fresh())}
    return True


def unseen_taint(bench: Bench) -> bool:
    """Hand data from outside to a step with effects that nobody looks at."""
    fitting = []
    for place, step in enumerate(bench.steps):
        tool = bench.tool(step)
        outside = [
            other["id"]
            for other in bench.steps[:place]
            if (source := bench.tool(other)) is not None and source.untrusted_output
        ]
        if tool is not None and tool.effects not in HARMLESS and outside and step.get("args"):
            fitting.append((step, outside))
    found = bench.any(fitting)
    if found is None:
        return False
    step, outside = found
    step.pop("approval", None)
    step["args"][bench.random.choice(list(step["args"]))] = f"so: {written(outside[-1])}"
    return True


def skipped_source(bench: Bench) -> bool:
    """Use the output of a step that may be skipped, whatever became of it."""
    fitting = [
        (step, reference)
        for step, name, reference in bench.references()
        if (kinds := bench.kinds(step, name)) and "null" not in kinds
    ]
    found = bench.any(fitting)
    if found is None:
        return False
    producer = bench.named(found[1].step)
    if producer is None:
        return False
    producer["when"] = "input.wanted == true"
    bench.document["input"] = {"type": "object"}
    found[0]["trigger_rule"] = bench.random.choice(["none_failed", "all_done"])
    found[0].pop("when", None)
    return True


def pointless_map(bench: Bench) -> bool:
    """Do the same for every element."""
    step = bench.step(lambda item: "for_each" not in item)
    if step is None:
        return False
    step["for_each"] = [1, 2, 3]
    return True


def concurrency_of_one(bench: Bench) -> bool:
    """Bound how much of a step runs at once that runs once."""
    step = bench.step(lambda item: "for_each" not in item)
    if step is None:
        return False
    step["concurrency"] = 4
    return True


def _argument(bench: Bench, value: object) -> bool:
    step = bench.step(lambda item: bool(item.get("args")))
    if step is None:
        return False
    step["args"][bench.random.choice(list(step["args"]))] = value
    return True


def _spoilt(bench: Bench, change: Any) -> bool:
    found = bench.any(bench.references())
    if found is None:
        return False
    step, name, reference = found
    step["args"][name] = change(str(reference))
    return True


def _map(bench: Bench, wanted: Any) -> bool:
    fitting = [
        (step, source)
        for step in bench.steps
        if "for_each" not in step
        for source in bench.sources(step, wanted)
    ]
    found = bench.any(fitting)
    if found is None:
        return False
    found[0]["for_each"] = found[1]
    return True


def _edge(bench: Bench, given: Any, taken: Any) -> bool:
    """Lead a source of one kind to an argument of another."""
    fitting = []
    for step in bench.steps:
        sources = bench.sources(step, given)
        for name in step.get("args", {}) if sources else ():
            kinds = bench.kinds(step, name)
            if kinds and taken(kinds):
                fitting.append((step, name, sources))
    found = bench.any(fitting)
    if found is None:
        return False
    step, name, sources = found
    step["args"][name] = bench.random.choice(sources)
    return True


MUTATIONS = (
    mutation("unknown_step_reference", unknown_step),
    mutation("self_dependency", self_reference),
    mutation("cycle", reference_in_circles),
    mutation("unknown_output_field", unknown_field),
    mutation("unknown_input_field", unknown_input),
    mutation("reference_root", unknown_root),
    mutation("reference_syntax", open_reference),
    mutation("reference_syntax", code_in_reference),
    mutation("reference_spelling", foreign_reference),
    mutation("reference_in_key", reference_as_key),
    mutation("item_outside_map", item_outside_map),
    mutation("for_each_not_array", map_over_scalar),
    mutation("for_each_invalid", map_over_text),
    mutation("argument_type", array_for_item),
    mutation("argument_type", item_for_array),
    mutation("argument_type", object_for_scalar),
    mutation("argument_type", other_scalar),
    mutation("argument_type", text_for_number),
    mutation("unknown_step_reference", output_of_nothing),
    mutation("untrusted_argument", unseen_taint),
    mutation("maybe_skipped", skipped_source),
    mutation("map_without_item", pointless_map),
    mutation("concurrency_unused", concurrency_of_one),
)
