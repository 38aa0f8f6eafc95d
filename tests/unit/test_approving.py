"""What people see of an approval, and what holds for edits, links and messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuilder.api.pages.approval import decision_page
from flowbuilder.approving import changes, destinations, risk_of, shown, touched, visible
from flowbuilder.approving.links import (
    form_key,
    hash_of_link,
    is_form_key,
    new_token,
    url_of,
    without_links,
)
from flowbuilder.approving.lookalikes import suspicions
from flowbuilder.approving.messages import Asked, subject, text
from flowbuilder.executor.states import ApprovalStatus
from flowbuilder.flow import ApprovalPolicy
from flowbuilder.policy import Action, Decision, Taint, read_policy
from flowbuilder.tools import Effects
from flowbuilder.types import JsonValue
from tests.support.approving import granted

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("hidden", "written"),
    [
        ("a\u202eb", "a\u27e8U+202E\u27e9b"),
        ("\u2066x\u2069", "\u27e8U+2066\u27e9x\u27e8U+2069\u27e9"),
        ("\x00\x1b\x7f", "\u27e8U+0000\u27e9\u27e8U+001B\u27e9\u27e8U+007F\u27e9"),
        ("\u200b\u00ad\ufeff", "\u27e8U+200B\u27e9\u27e8U+00AD\u27e9\u27e8U+FEFF\u27e9"),
        ("\u00a0\u3000\u2028", "\u27e8U+00A0\u27e9\u27e8U+3000\u27e9\u27e8U+2028\u27e9"),
        ("\u3164\u2800\ufe0f", "\u27e8U+3164\u27e9\u27e8U+2800\u27e9\u27e8U+FE0F\u27e9"),
        ("\U000e0041", "\u27e8U+E0041\u27e9"),
        ("a\nb\tc", "a\u23ce\nb\u21e5c"),
        ("\u27e8U+202E\u27e9", "\u27e8U+27E8\u27e9U+202E\u27e8U+27E9\u27e9"),
        ("Zürich, 日本, \u00e9", "Zürich, 日本, \u00e9"),
    ],
)
def test_every_sign_is_seen(hidden: str, written: str) -> None:
    assert visible(hidden) == written


@given(JSON)
def test_all_of_a_value_is_shown_and_always_the_same(value: JsonValue) -> None:
    lines = shown(value)
    assert lines == shown(json.loads(json.dumps(value)))
    assert all(visible(text) == text or "\u27e8" in text or "\u23ce" in text or "\u21e5" in text
               for text in (line.text for line in lines))  # fmt: skip
    assert len(lines) == count(value)


def count(value: JsonValue) -> int:
    inner: list[JsonValue] = []
    if isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, list):
        inner = value
    return 1 + sum(count(item) for item in inner)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("paypa1.com", "looks like paypal.com"),
        ("rnicrosoft.com", "looks like microsoft.com"),
        ("g\u043e\u043egle.com", "letters of other alphabets"),
        ("xn--80ak6aa92e.com", "looks like apple.com"),
        ("paypal.com.evil.example", "belongs to evil.example"),
        ("ours\u2024example", ""),
        ("shop.paypal.com", None),
        ("example.org", None),
        ("evil.example", None),
    ],
)
def test_hosts_that_look_like_others(host: str, said: str | None) -> None:
    found = list(suspicions(host))
    assert bool(found) is (said is not None), found
    if said:
        assert any(said in item for item in found), found


def test_hosts_are_compared_with_each_other() -> None:
    lines = shown({"to": ["a@acme-bank.example"], "cc": ["a@acrne-bank.example"]})
    marks = {line.pointer: line.marks for line in lines}
    assert marks["/cc/0"] == ("acrne-bank.example looks like acme-bank.example",)


def test_addresses_are_found_however_deep() -> None:
    value: JsonValue = {"a": [{"b": f"{'x' * 9000} eve@evil.example"}], "k@e.y": "ftp://h/x"}
    assert destinations(value) == ["eve@evil.example", "k@e.y", "ftp://h/x"]


@given(JSON)
def test_a_value_does_not_differ_from_itself(value: JsonValue) -> None:
    assert changes(value, value) == []


def test_changes_name_every_place_once() -> None:
    before: JsonValue = {"a": 1, "b": [0, False, ""], "c": None, "d/e": 1}
    after: JsonValue = {"a": True, "b": [0, 0], "d/e": 2, "f": None}
    found = [(one.pointer, one.kind, one.before, one.after) for one in changes(before, after)]
    assert found == [
        ("/a", "changed", 1, True),
        ("/b/1", "changed", False, 0),
        ("/b/2", "removed", "", None),
        ("/c", "removed", None, None),
        ("/d~1e", "changed", 1, 2),
        ("/f", "added", None, None),
    ]


def test_what_is_locked_is_compared_as_json() -> None:
    before: dict[str, JsonValue] = {"to": ["a"], "n": 1, "x": {"y": None}}
    assert touched(before, {"to": ["a"], "n": 1, "x": {"y": None}}, ["/to", "/n", "/x/y"]) == []
    assert touched(before, {"to": ["a", "b"], "n": True, "x": {}}, ["/to", "/n", "/x/y"]) == [
        "/to",
        "/n",
        "/x/y",
    ]
    assert touched(before, {"to": ["a"], "z": 0}, ["/z", "/w"]) == ["/z"]


def test_risk_by_effects_and_words_of_outsiders() -> None:
    found = {
        (effects.value, taint.name): risk_of(effects, taint).value
        for effects in Effects
        for taint in Taint
    }
    assert {found["irreversible", taint.name] for taint in Taint} == {"high"}
    assert (found["external", "NONE"], found["external", "TEXT"]) == ("medium", "high")
    assert (found["write", "VALUES"], found["pure", "NONE"]) == ("medium", "low")


def test_links_are_random_hashed_and_kept_out_of_texts() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    token = tokens.pop()
    hashed = hash_of_link(token)
    assert hashed is not None and len(hashed) == 32
    for wrong in ("", token[:-1], f"{token}a", f"{token[:-1]}\u00e9", f"{token[:-1]}\n"):
        assert hash_of_link(wrong) is None
    key = form_key(token, "id", "hash")
    assert is_form_key(key, token, "id", "hash")
    for others in (("id2", "hash"), ("id", "hash2")):
        assert not is_form_key(key, token, *others)
    assert not is_form_key(key, new_token(), "id", "hash")
    assert not is_form_key("\ud800", token, "id", "hash")
    assert url_of("https://x.example/app/", token) == f"https://x.example/app/approve/{token}"
    assert token not in without_links(f'"GET /approve/{token}?a=b HTTP/1.1" 200')


def test_messages_are_a_few_lines_of_text() -> None:
    asked = Asked(
        id="a1",
        flow="f",
        step="s",
        tool="mail.send@1",
        message="x\r\nBcc: eve\u202e" + "y" * 2000,
        risk="high",
        reasons=("words from outside",),
        deadline_at=datetime(2030, 1, 1, tzinfo=UTC),
        then="Then nothing.",
    )
    said = text(asked)
    assert subject(asked) == "Approval needed: f, step s"
    assert "\nBcc" not in said and "\u202e" not in said and len(said) < 1200
    assert "flowbuilder approvals a1" in said


def test_a_page_holds_nothing_that_it_was_given_as_html() -> None:
    evil = "</td><script>alert(1)</script><form action='https://evil.example'>"
    row = granted(
        tool="mail.send",
        args={"to": evil, evil: [evil]},
        status=ApprovalStatus.PENDING,
        message=evil,
        flow=evil,
        requested_by=evil,
        reasons=[{"rule": evil, "text": evil}],
        taint=[{"step": evil, "words": True}],
        by=[evil],
        locked=[evil],
        votes=[{"by": evil, "hash": "x", "value": {"to": evil}}],
    )
    page = decision_page(row, evil, "k")
    assert "<script" not in page and "action=" not in page.replace("&lt;form action=", "")
    assert page.count("<form") == 1


def test_a_policy_says_how_it_is_decided_and_no_author_adds_to_whom_it_names() -> None:
    rule: dict[str, Any] = {
        "name": "pay",
        "then": "approve",
        "by": ["role:finance"],
        "separate_duties": True,
        "locked": ["/to"],
        "rejections": 2,
        "escalate": [{"after": "1h", "to": ["role:boss"]}],
    }
    [read, *_] = read_policy({"rules": [rule]}).all_rules()
    decision = Decision(
        action=Action.APPROVE,
        rule=read.name,
        by=tuple(read.by),
        separate_duties=read.separate_duties,
        locked=tuple(read.locked),
        rejections=read.rejections,
        escalate=tuple(read.escalate),
    )
    own = ApprovalPolicy.model_validate(
        {"by": ["user:eve"], "escalate": [{"after": "1s", "to": ["user:eve"]}], "rejections": 20,
         "locked": ["/amount"]}
    )  # fmt: skip
    asked = decision.asking(own)
    assert (asked.by, asked.separate_duties, asked.rejections) == (["role:finance"], True, 2)
    assert asked.locked == ["/amount", "/to"]
    assert [step.to for step in asked.escalate] == [["role:boss"]]
    assert decision.deciders == {"role:finance", "role:boss"}
    for wrong in ({**rule, "then": "allow"}, {**rule, "locked": ["to"]}, {**rule, "rejections": 0}):
        with pytest.raises(Exception, match="policy cannot be used"):
            read_policy({"rules": [wrong]})
    with pytest.raises(ValueError, match="later than the one before"):
        ApprovalPolicy.model_validate(
            {"escalate": [{"after": "2h", "to": ["a"]}, {"after": "1h", "to": ["b"]}]}
        )
