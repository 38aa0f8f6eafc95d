"""The review of a plan: what it does, what that touches, who is asked and why."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from flowbuilder.costs import Estimate, Interval
from flowbuilder.errors import Problem
from flowbuilder.flow import Flow
from flowbuilder.plan import Plan, Question
from flowbuilder.planner.question_types import with_types
from flowbuilder.policy import policies_of, read_policy
from flowbuilder.review import Review, review
from tests.support.revising import BRIEF, REGISTRY, TOP


def reviewed(document: dict[str, Any], **more: Any) -> Review:
    plan = Plan(id="p", goal="g", planner="rules", flow=Flow.model_validate(document), **more)
    return review(with_types(plan, REGISTRY), REGISTRY)


def test_each_step_says_what_it_does_touches_and_asks() -> None:
    found = reviewed(BRIEF)
    fetch, total, mail = found.steps
    assert fetch.does == "Fetch a web page (url: https://a.example/news)"
    assert (fetch.effects, fetch.means, fetch.asks, fetch.why) == ("read", "only reads", None, None)
    assert total.after == ("fetch",)
    assert (mail.effects, mail.asks) == ("external", ())
    assert mail.why == "email.send would use data from outside (through sum)."


def test_the_summary_is_in_plain_words() -> None:
    summary = reviewed(BRIEF).summary
    assert "3 steps: fetch a web page; then summarise a text; then send an e-mail." in summary
    assert "mail reaches somebody or something outside." in summary
    assert "A person is asked before mail." in summary
    harmless = copy.deepcopy(BRIEF)
    harmless["steps"].pop()
    assert "Nothing is changed anywhere" in reviewed(harmless).summary
    nothing = review(Plan(id="p", goal="g", planner="rules"), REGISTRY)
    assert nothing.summary == "There is no plan yet that could be carried out."
    assert nothing.as_json()["steps"] == []


def test_who_will_be_asked_is_told_though_the_flow_does_not_say_so() -> None:
    document = copy.deepcopy(TOP)
    del document["steps"][2]["approval"]
    found = reviewed(document)
    assert found.steps[2].asks == ()
    assert found.steps[2].why == "rows.write has effects: write."
    assert f"A person is asked before {document['steps'][2]['id']}." in found.summary


def test_the_policies_that_hold_say_who_is_asked_and_what_is_refused() -> None:
    rule = {"name": "finance", "tools": ["rows.write"], "then": "approve", "by": ["role:finance"],
            "quorum": 2, "reason": "Rows are money."}  # fmt: skip
    own = read_policy({"policy": "policy.v1", "rules": [rule], "otherwise": "default"})
    plan = Plan(id="p", goal="g", planner="rules", flow=Flow.model_validate(TOP))
    before = plan.as_json()
    step = review(plan, REGISTRY, policies_of(None, own)).steps[2]
    assert (step.asks, step.why) == (("role:finance",), "Rows are money.")
    assert plan.as_json() == before
    never = read_policy({"policy": "policy.v1", "rules": [{**rule, "by": [], "quorum": 1,
                         "then": "refuse"}], "otherwise": "default"})  # fmt: skip
    found = review(plan, REGISTRY, policies_of(None, never))
    assert [(item.code, item.pointer) for item in found.problems] == [
        ("policy_refused", "/steps/2/tool")
    ]


def test_what_a_stored_flow_does_is_no_effect_of_a_plan() -> None:
    document = copy.deepcopy(TOP)
    del document["steps"][2]["approval"]
    assert reviewed(document, changes="top").steps[2].asks is None


def test_the_graph_is_a_tree_and_a_diagram() -> None:
    document = copy.deepcopy(BRIEF)
    document["steps"].append(
        {
            "id": "post",
            "tool": "chat.post",
            "args": {"channel": "#a", "text": "${{ steps.sum }}"},
            "depends_on": ["fetch"],
            "when": 'size(steps.sum) > 0 && steps.sum != "x"',
        }
    )
    found = reviewed(document)
    assert found.tree.splitlines() == [
        "fetch: page.fetch",
        "└─ sum: text.summarize",
        "   ├─ mail: email.send  [asks a person]",
        "   └─ post: chat.post (also after fetch)  [asks a person]",
    ]
    diagram = found.mermaid.splitlines()
    assert diagram[0] == "flowchart TD"
    assert '    s2{{"mail: email.send"}}' in diagram
    assert '    s0["fetch: page.fetch"]' in diagram
    assert any(line.startswith('    s1 -- "size(steps.sum)') for line in diagram)
    assert '"x"' not in found.mermaid


def test_long_chains_are_drawn() -> None:
    steps = [
        {"id": f"s{n}", "tool": "page.fetch", "args": {"url": f"${{{{ steps.s{n - 1} }}}}"}}
        for n in range(1, 1000)
    ]
    first = {"id": "s0", "tool": "page.fetch", "args": {"url": "https://a.example"}}
    found = reviewed({"flow": "long", "steps": [first, *steps]})
    assert len(found.tree.splitlines()) == 1000


def test_questions_problems_notes_and_difference_are_there() -> None:
    asked = Question(id="mail.to", text="To whom?", pointer="/steps/2/args/to")
    problem = Problem(code="c", pointer="/steps/0", message="odd")
    before = copy.deepcopy(BRIEF)
    before["steps"][1]["args"]["max_words"] = 9
    found = reviewed(
        BRIEF, questions=(asked,), problems=(problem,), notes=("n1",), certain=False, base=before
    )
    body: Any = found.as_json()
    assert body["questions"][0]["type"] == {"type": "string"}
    assert body["problems"][0]["code"] == "c"
    assert body["diff"]["changed"][0]["fields"] == [
        {"pointer": "/args/max_words", "old": 9, "new": 50}
    ]
    page = found.as_markdown()
    for text in ("# Plan: g", "## Steps", "```mermaid", "## Questions", "mail.to: To whom?",
                 "## Problems", "- n1", "args.max_words: 9 -> 50"):  # fmt: skip
        assert text in page
    assert "1 question is answered" in found.summary
    assert "not certain" in found.summary
    assert "Against the version before it changes sum." in found.summary


def test_nothing_in_a_plan_breaks_out_of_the_page() -> None:
    document = copy.deepcopy(BRIEF)
    document["steps"][0]["args"]["url"] = "x | y\n# head\n```\n<b>"
    document["steps"][0]["description"] = "a|b\n\n# c <script>"
    found = reviewed(document, base=TOP)
    lines = found.as_markdown().splitlines()
    assert not [line for line in lines if line.startswith("# ") and "Plan" not in line]
    assert sum(line.startswith("```") for line in lines) == 6
    assert "<script>" not in "\n".join(line for line in lines if line.startswith("|"))


def test_the_estimate_is_shown_with_what_was_assumed() -> None:
    estimate = Estimate(
        tokens=Interval(0, 0, 0),
        cost_usd=None,
        seconds=Interval(1.0, 2.5, 9.0),
        steps=Interval(2, 2, 2),
        assumptions=("The price of the model is not known.",),
    )
    plan = Plan(id="p", goal="g", planner="rules", flow=Flow.model_validate(BRIEF))
    found = review(replace(plan, estimate=estimate), REGISTRY)
    page = found.as_markdown()
    for line in (
        "- 2 steps",
        "- cost unknown",
        "- about 2.5s (1.0s to 9.0s)",
        "price of the model",
    ):
        assert line in page
    assert found.as_json()["estimate"] == estimate.as_json()
    assert review(plan, REGISTRY).as_json()["estimate"] is None


def test_tools_that_are_not_loaded_are_said_to_be_unknown() -> None:
    document = copy.deepcopy(BRIEF)
    document["steps"][0]["tool"] = "odd.tool"
    plan = Plan(id="p", goal="g", planner="rules", flow=Flow.model_validate(document))
    step = review(replace(plan), REGISTRY).steps[0]
    assert (step.effects, "not loaded" in step.means) == ("unknown", True)
