"""References: paths that keep types, are written into longer texts, and never are code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuilder.errors import InvalidValue
from flowbuilder.references import (
    LONGEST_TEXT,
    MOST_REFERENCES,
    Reference,
    ReferenceSyntax,
    Scope,
    find,
    parse,
    plain_path,
    resolve,
    step_ids,
)
from flowbuilder.types import JsonValue

SCOPE = Scope(
    input={"url": "http://x", "zero": 0, "off": False, "empty": "", "none": None, "list": []},
    steps={"fetch": {"items": [{"name": "a b", "c d": 1}], "é": 2}, "whole": [1, 2], "gone": None},
    run={"id": "r1", "flow": "x", "version": 3, "started_at": None},
    item={"n": 5},
    index=0,
    skipped=frozenset({"skipped"}),
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${{ input.zero }}", 0),
        ("${{ input.off }}", False),
        ("${{ input.empty }}", ""),
        ("${{ input.none }}", None),
        ("${{ input.list }}", []),
        ("${{input.url}}", "http://x"),
        ("${{ steps.fetch.items[0].name }}", "a b"),
        ('${{ steps.fetch.items[0]["c d"] }}', 1),
        ("${{ steps.fetch['é'] }}", 2),
        ("${{ steps.whole }}", [1, 2]),
        ("${{ steps.gone }}", None),
        ("${{ steps.skipped.any.path[3] }}", None),
        ("${{ item.n }}", 5),
        ("${{ index }}", 0),
        ("${{ run.version }}", 3),
        ("n = ${{ input.zero }}, ${{ input.off }}", "n = 0, false"),
        ("${{ input.list }}${{ input.none }}", "[]null"),
        (" ${{ input.zero }}", " 0"),
        ("$${{ input.url }}", "${{ input.url }}"),
        ("$${{ a }} ${{ input.zero }}", "${{ a }} 0"),
        ("costs $5 {{ x }}", "costs $5 {{ x }}"),
    ],
)
def test_texts_resolve(text: str, value: JsonValue) -> None:
    resolved = resolve({"a": [text]}, SCOPE)
    assert resolved == {"a": [value]}
    assert isinstance(resolved, dict)
    assert type(resolved["a"][0]) is type(value)  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("${{ input.url", "reference_syntax"),
        ("${{ }}", "reference_syntax"),
        ("${{ input. }}", "reference_syntax"),
        ("${{ input..a }}", "reference_syntax"),
        ("${{ input.a + 1 }}", "reference_syntax"),
        ("${{ input.a() }}", "reference_syntax"),
        ("${{ input[-1] }}", "reference_syntax"),
        ("${{ input[0 }}", "reference_syntax"),
        ("${{ input['a }}", "reference_syntax"),
        ("${{ steps }}", "reference_syntax"),
        ("${{ index.a }}", "reference_syntax"),
        ("${{ input" + ".a" * 500 + " }}", "reference_syntax"),
        ("${{ secrets.token }}", "reference_root"),
        ("${{ __class__.x }}", "reference_root"),
    ],
)
def test_what_is_no_path_is_refused_with_its_place(text: str, code: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        find({"a/b": [0, text]}, "/args")
    assert (caught.value.code, caught.value.pointer) == (code, "/args/a~1b/1")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("${{ input.urll }}", "url"),
        ("${{ steps.fetch.items[7] }}", "list of 1"),
        ("${{ steps.fetch.items.name }}", "a list"),
        ("${{ steps.nobody.x }}", "nobody"),
        ("${{ steps.gone.x }}", "null"),
    ],
)
def test_a_path_that_leads_nowhere_says_what_is_there(text: str, told: str) -> None:
    with pytest.raises(InvalidValue, match=told) as caught:
        resolve({"a": text}, SCOPE, "/args")
    assert (caught.value.code, caught.value.pointer) == ("reference_missing", "/args/a")


def test_an_item_needs_a_map() -> None:
    outside = Scope(steps={}, run={})
    with pytest.raises(InvalidValue) as caught:
        resolve("${{ item }}", outside)
    assert caught.value.code == "reference_missing"


def test_find_tells_pointers_and_whether_the_type_is_kept() -> None:
    found = find({"a": "${{ steps.x.y }}", "b": ["at ${{ input.z }} ${{ steps.w }}"]})
    assert [(item.pointer, item.exact, item.reference.raw) for item in found] == [
        ("/a", True, "steps.x.y"),
        ("/b/0", False, "input.z"),
        ("/b/0", False, "steps.w"),
    ]
    assert step_ids({"a": "${{ steps.x.y }}", "b": ["${{ steps.w }}", "$${{ steps.v }}"]}) == {
        "x",
        "w",
    }


def test_a_reference_has_root_step_and_path() -> None:
    reference = parse("${{ steps.fetch.items[0]['c d'] }}").exact
    assert reference == Reference(
        "steps", ("items", 0, "c d"), "steps.fetch.items[0]['c d']", "fetch"
    )
    assert plain_path(reference) == ["items", "0", "c d"]


def test_resolving_leaves_the_arguments_alone() -> None:
    arguments: JsonValue = {"a": ["${{ input.zero }}"], "b": 1}
    resolve(arguments, SCOPE)
    assert arguments == {"a": ["${{ input.zero }}"], "b": 1}


@given(st.text(alphabet="${} .[]\"'abinputsteps0") | st.text())
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        template = parse(text)
    except ReferenceSyntax as error:
        assert error.code in {"reference_syntax", "reference_root"}
    else:
        assert template.parts


def test_a_text_holds_so_many_references() -> None:
    many = "${{ input.zero }}" * MOST_REFERENCES
    assert resolve(many, SCOPE) == "0" * MOST_REFERENCES
    with pytest.raises(ReferenceSyntax, match="at most"):
        parse(f"{many}${{{{ index }}}}")


def test_a_text_cannot_grow_without_end() -> None:
    scope = Scope(input="x" * (LONGEST_TEXT // 10), steps={}, run={})
    assert len(str(resolve("${{ input }}" * 10, scope))) == 10 * (LONGEST_TEXT // 10)
    with pytest.raises(InvalidValue) as caught:
        resolve(["${{ input }}" * 11], scope, "/args")
    assert (caught.value.code, caught.value.pointer) == ("json_size", "/args/0")


def test_long_texts_are_parsed_like_short_ones() -> None:
    text = f"{'x' * 1_000_000}${{{{ input.zero }}}}$${{{{"
    assert resolve(text, SCOPE) == f"{'x' * 1_000_000}0${{{{"
    assert parse(text) is not parse(text)  # kept nowhere
    assert parse("${{ index }}") is parse("${{ index }}")
