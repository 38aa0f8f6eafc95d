"""A document whose steps arrive one by one is judged as the whole is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuilder.validation import Checker, validate
from tests.support.broken_documents import BROKEN
from tests.support.sample_tools import sample_registry

REGISTRY = sample_registry()
_IDS = st.sampled_from(["a", "b", "c", "d", "e"])
_TOOLS = st.sampled_from(
    ["page.get", "text.upper", "mixed.take", "anything.take", "mail.send", "file.save", "no.such"]
)
_TEXTS = st.builds(
    lambda name, path: f"${{{{ steps.{name}{path} }}}}",
    _IDS,
    st.sampled_from(["", ".body", ".body.items", ".body.title", ".status", "[0]", ".nothing"]),
)
_VALUES: st.SearchStrategy[Any] = st.one_of(
    _TEXTS,
    st.sampled_from(["x", 1, None, [], "${{ item.text }}", "${{ input.q }}", "{{ steps.a.body }}"]),
    st.builds(lambda text: f"so {text}", _TEXTS),
    st.lists(_TEXTS, max_size=2),
)
_STEPS = st.fixed_dictionaries(
    {"id": _IDS, "tool": _TOOLS},
    optional={
        "args": st.dictionaries(
            st.sampled_from(["url", "text", "amount", "note", "numbers", "to", "x"]), _VALUES
        ),
        "for_each": st.one_of(_TEXTS, st.just([1, 2])),
        "depends_on": st.lists(_IDS, max_size=3),
        "when": st.builds(lambda name: f"steps.{name}.status > 1", _IDS) | st.just("false"),
        "trigger_rule": st.sampled_from(["all_done", "one_success", "none_failed"]),
        "on_error": st.sampled_from(["skip", "continue"]),
        "compensate": st.builds(lambda x: {"tool": "anything.take", "args": {"x": x}}, _TEXTS),
    },
)


def _agree(steps: list[Any], head: dict[str, Any]) -> None:
    checker = Checker(REGISTRY, head=head)
    told: list[Any] = []
    for count, step in enumerate(steps, start=1):
        new = checker.add(step)
        told += new
        assert checker.finish() == validate({**head, "steps": steps[:count]}, REGISTRY)
    whole = validate({**head, "steps": steps}, REGISTRY).problems
    assert len(told) == len(set(told))
    assert set(told) <= set(whole)


@given(st.lists(_STEPS, max_size=7), st.none() | _TEXTS)
def test_every_prefix_is_judged_as_a_whole(steps: list[Any], output: Any) -> None:
    head: dict[str, Any] = {"flow": "x"}
    _agree(steps, {**head, "output": output} if output is not None else head)


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_broken_documents_are_judged_alike(name: str) -> None:
    document = BROKEN[name][0]
    if not isinstance(document, dict) or not isinstance(document.get("steps", []), list):
        return
    head = {key: value for key, value in document.items() if key != "steps"}
    checker = Checker(REGISTRY, head=head)
    for step in document.get("steps", []):
        checker.add(step)
    assert checker.finish() == validate({**head, "steps": document.get("steps", [])}, REGISTRY)


def test_a_step_is_judged_when_what_it_waits_for_is_there() -> None:
    checker = Checker(REGISTRY, head={"flow": "x"})
    upper = {"id": "up", "tool": "text.upper", "args": {"text": "${{ steps.get.status }}"}}
    assert checker.add(upper) == ()
    assert [item.code for item in checker.finish().problems] == ["unknown_step_reference"]
    found = checker.add({"id": "get", "tool": "page.get", "args": {"url": "https://e.org"}})
    assert [(item.code, item.pointer) for item in found] == [
        ("argument_type", "/steps/0/args/text")
    ]
    assert checker.add({"id": "a", "tool": "no.such"})[0].pointer == "/steps/2/tool"
    assert not checker.finish().valid


def test_a_step_that_is_no_json_ends_the_judging() -> None:
    checker = Checker(REGISTRY, head={"flow": "x"})
    assert [item.code for item in checker.add({"id": "a", "tool": float("nan")})] == ["json_nan"]
    assert checker.add({"id": "b", "tool": "no.such"}) == ()
    assert [item.code for item in checker.finish().problems] == ["json_nan"]


def test_too_many_steps_are_one_problem() -> None:
    checker = Checker(REGISTRY, head={"flow": "x"}, max_steps=1)
    for name in "ab":
        checker.add({"id": name, "tool": "anything.take"})
    assert [item.code for item in checker.finish().problems] == ["too_many_steps"]
