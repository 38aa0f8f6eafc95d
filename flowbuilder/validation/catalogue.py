"""Every kind of defect that validation knows: its code, meaning, weight, who can mend it, a hint.

`docs/validation.md` shows the same table; a test compares them. A finding may say more than its
kind: a hint of its own, or that it can be mended without asking where the usual one cannot.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.likeness import like


@dataclass(frozen=True, slots=True)
class Defect:
    """One kind of defect."""

    code: str
    meaning: str
    hint: str
    """What to do, where a finding has no better advice."""
    fix: Fix = Fix.MODEL
    """Who can usually mend it."""
    severity: Severity = Severity.ERROR


def _warning(code: str, meaning: str, hint: str, fix: Fix = Fix.MODEL) -> Defect:
    return Defect(code, meaning, hint, fix, Severity.WARNING)


_DOCUMENT = (
    Defect("json_type", "a value is no JSON", "Give text, numbers, lists and objects."),
    Defect("json_nan", "a number is NaN", "JSON has no NaN: leave it out, or use null."),
    Defect("json_infinity", "a number is infinite", "JSON has no infinities: name a bound."),
    Defect("json_number", "a number is too large for JSON", "Write it as text."),
    Defect("json_nul", "a text holds the character NUL", "Take the character out."),
    Defect("json_surrogate", "a text holds half a character", "Write the whole character."),
    Defect("json_depth", "values nest too deep", "Flatten the value."),
    Defect("json_size", "a value or the document is too large",
           "Put what is large into a file, and read it in a step of its own."),
    Defect("document_not_object", "the document is no object",
           "Write an object with the keys flow and steps."),
    Defect("missing_key", "a key that must be there is missing", "Add the key."),
    Defect("unknown_key", "a key means nothing where it stands", "Remove or rename the key."),
    Defect("wrong_type", "a value of the document has the wrong type",
           "Write what the message asks for."),
    Defect("bad_value", "a value of the document is not allowed, a duration for example",
           "Write what the message asks for; durations are like 30s or 1h30m."),
    Defect("bad_slug", "the flow's name is no slug", "Use letters, digits, _ and -."),
    Defect("bad_step_id", "a step's id is none", "Use letters, digits and _, no digit first."),
    Defect("bad_tool_name", "a tool's name is none", "Write it like http.get or http.get@1."),
    Defect("duplicate_step_id", "two steps have one id", "Give the later step another id."),
    Defect("no_steps", "there is no step", "Add at least one step."),
    Defect("too_many_steps", "there are more steps than allowed",
           "Use for_each for many alike, or flow.run for parts of the work."),
    Defect("input_schema_invalid", "the input's schema is no JSON Schema",
           "Write a JSON Schema (2020-12) whose $refs stay inside it."),
    Defect("more_problems", "there are more problems than are listed",
           "Mend the listed ones first."),
)  # fmt: skip
_ORDER = (
    Defect("unknown_dependency", "depends_on names a step that is not there",
           "Name a step of this flow, or remove the entry."),
    Defect("self_dependency", "a step waits for itself",
           "Refer to the step before it, or remove the entry."),
    Defect("cycle", "steps wait for each other", "Remove one of these references."),
    _warning("duplicate_dependency", "depends_on names a step twice", "Name it once.", Fix.AUTO),
    _warning("needless_dependency", "a step waits for another one anyway",
             "Remove the entry of depends_on.", Fix.AUTO),
    _warning("trigger_rule_unused", "a trigger rule on a step that waits for nothing",
             "Remove the rule.", Fix.AUTO),
    _warning("unreachable_step", "a step that never runs",
             "Mend the condition, or remove the step.", Fix.USER),
    _warning("unused_step", "nothing uses what a harmless step gives",
             "Refer to it in the output, or remove the step.", Fix.USER),
    _warning("condition_constant", "a condition that is always true", "Remove it.", Fix.AUTO),
)  # fmt: skip
_REFERENCES = (
    Defect("reference_syntax", "a reference is no path, or is not closed",
           "Write ${{ steps.fetch.items[0].name }}: names, dots and positions."),
    Defect("reference_root", "a reference starts with an unknown word",
           "References start with input, steps, item, index or run."),
    Defect("reference_in_key", "a reference stands in a key", "Put it into the value."),
    Defect("reference_spelling", "a text names a step in another language's way",
           "Write ${{ steps.fetch.items }}.", Fix.AUTO),
    Defect("reference_in_when", "a condition has ${{ }}",
           "Write steps.fetch.count > 0, without ${{ }}.", Fix.AUTO),
    Defect("unknown_step_reference", "a reference to a step that is not there",
           "Refer to a step of this flow."),
    Defect("unknown_output_field", "a field that the step's output has not",
           "Refer to a field of the tool's output, or to the whole of it."),
    Defect("unknown_input_field", "a field that the flow's input has not",
           "Declare it in the input's schema, or refer to one that is there."),
    _warning("undeclared_input", "a field of an input that the flow does not declare",
             "Declare it in the input's schema."),
    Defect("unknown_item_field", "a field that the map's elements have not",
           "Refer to a field of the elements, or to the whole of one."),
    Defect("unknown_run_field", "a field that run has not",
           "run has id, flow, version and started_at."),
    Defect("item_outside_map", "item or index in a step without for_each",
           "Give the step a for_each, or refer to something else."),
    Defect("for_each_invalid", "for_each is neither a list nor one reference",
           "Write one reference to an array, such as ${{ steps.fetch.items }}."),
    Defect("for_each_not_array", "for_each goes over something that is no array",
           "Refer to an array, or leave for_each out."),
    Defect("compensation_reference", "a compensation refers to what it cannot know",
           "Refer to the step's own output, or to a step that it depends on."),
    _warning("maybe_missing", "a field is optional where it comes from",
             "Ask for it in a condition, has(...), or use a field that is always there."),
    _warning("maybe_null", "a value may be null where null will not do",
             "Ask in a condition whether it is null."),
    _warning("maybe_skipped", "a step may be skipped whose output is used regardless",
             "Use the trigger rule all_success, or ask in a condition."),
    _warning("object_in_text", "an object or array is written into a text",
             "Refer to the field of it that is meant."),
    _warning("map_without_item", "a map that does the same for every element",
             "Use ${{ item }} in an argument, or leave for_each out."),
    _warning("concurrency_unused", "a concurrency on a step without for_each",
             "Remove it, or set limit.concurrency.", Fix.AUTO),
)  # fmt: skip
_TOOLS = (
    Defect("unknown_tool", "a tool that is not there", "Use a tool of the catalogue."),
    Defect("unknown_flow", "flow.run names a flow that is not there", "Save it first.", Fix.USER),
    Defect("missing_argument", "a needed argument is missing",
           "Give it: a literal, a reference, or ${{ input.NAME }}."),
    Defect("unknown_argument", "an argument that the tool does not take", "Remove or rename it."),
    Defect("argument_type", "a literal or what a reference brings does not fit the argument",
           "Give a value of the argument's type."),
    _warning("maybe_unfit", "some of what a reference may bring does not fit the argument",
             "Make sure of it in a step before, or in a condition."),
    _warning("argument_refused", "a literal that the tool would refuse as it is set up here",
             "Give another value, or ask who runs the service.", Fix.USER),
    _warning("model_missing", "a step needs a language model, and none is set here",
             "Set FLOWBUILDER_MODEL, run with --local-model, or start a worker that has a model.",
             Fix.USER),
    Defect("limit_empty", "a limit that limits nothing", "Give a concurrency or a rate."),
    Defect("limit_key_invalid", "a limit's key is no plain reference",
           "Write one reference into input, item or steps."),
    _warning("untrusted_argument", "data from outside reaches a step with effects unseen",
             "Give the step an approval; policy does so for a plan.", Fix.AUTO),
    _warning("approval_by_time", "an approval of an effect is given by its deadline's passing",
             "Set on_deadline to reject; policy does so for a plan.", Fix.AUTO),
)  # fmt: skip
_CONDITIONS = (
    Defect("cel_syntax", "a condition is no CEL", "Write it like steps.a.count > 0 && input.all."),
    Defect("cel_too_long", "a condition is too long", "Work it out in a step before."),
    Defect("cel_nesting", "brackets nest too deep", "Write it flatter."),
    Defect("cel_macros", "macros nest too deep", "Filter in a step before."),
    Defect("cel_function", "a function that CEL has not", "Use size, has, contains, startsWith."),
    Defect("cel_steps", "steps without a step's id", "Write steps.<id>."),
    Defect("cel_unknown_name", "a name that conditions do not know",
           "Conditions know input, steps and run."),
    Defect("cel_type", "operands that do not go together", "Compare values of one type."),
    Defect("cel_missing", "a condition reads what is not there", "Ask has(...) first."),
    Defect("cel_cost", "a condition that takes too much work", "Filter in a step before."),
    Defect("cel_failed", "a condition that fails each time", "Correct the expression."),
    Defect("cel_not_bool", "a condition that is neither true nor false", "Compare something."),
)  # fmt: skip

#: All kinds by code.
DEFECTS: dict[str, Defect] = {
    item.code: item for item in (*_DOCUMENT, *_ORDER, *_REFERENCES, *_TOOLS, *_CONDITIONS)
}
#: Kinds that speak of how a flow could be better. A planner does not ask a model about them.
ADVICE = frozenset(
    {
        "approval_by_time",
        "concurrency_unused",
        "condition_constant",
        "map_without_item",
        "maybe_missing",
        "maybe_null",
        "maybe_skipped",
        "maybe_unfit",
        "needless_dependency",
        "object_in_text",
        "unreachable_step",
        "untrusted_argument",
        "unused_step",
    }
)
#: Kinds that a single near name mends.
_NAMES = frozenset(
    code for code in DEFECTS if code.startswith("unknown_") and code != "unknown_flow"
)
_NEAR = re.compile(r"Did you mean '?([^' ]+)'?\?")
_QUOTED = re.compile(r"'([^']+)'")


def completed(problems: Iterable[Problem]) -> list[Problem]:
    """Return findings with the hint of their kind where they have none.

    What one near name mends can be mended without asking.
    """
    return [_completed(problem) for problem in problems]


def _completed(problem: Problem) -> Problem:
    if problem.hint is None:
        known = DEFECTS.get(problem.code)
        return problem if known is None else replace(problem, hint=known.hint)
    near = _NEAR.fullmatch(problem.hint) if problem.code in _NAMES else None
    wrong = _QUOTED.findall(problem.message) if near is not None else []
    if near is not None and wrong and like(wrong[-1], [near[1]]) is not None:
        return replace(problem, fix=Fix.AUTO)
    return problem


def without_advice(problems: Iterable[Problem]) -> list[Problem]:
    """Return what a planner weighs: no advice, and hints only where they say more than the kind."""
    return [
        replace(problem, hint=None) if _says_nothing(problem) else problem
        for problem in problems
        if problem.code not in ADVICE
    ]


def _says_nothing(problem: Problem) -> bool:
    known = DEFECTS.get(problem.code)
    return known is not None and problem.hint == known.hint
