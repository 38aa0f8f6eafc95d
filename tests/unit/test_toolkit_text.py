from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.toolkit.text import text_stats, text_template
from flowbuilder.tools import Fail
from tests.support.toolbox import call, context

ROWS = [{"name": "Ada", "n": 1}, {"name": "Bob", "n": 0}]


def fill(template: str, **values: Any) -> str:
    text = call(text_template, {"template": template, "values": values})["text"]
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize(
    ("template", "values", "text"),
    [
        ("Dear {name},", {"name": "Ada"}, "Dear Ada,"),
        ("Dear {{ name }}, {{name}}", {"name": "Ada"}, "Dear Ada, Ada"),
        ("{a}{b}{c}{d}", {"a": 0, "b": False, "c": "", "d": None}, "0false"),
        ("{a.b.c} {l.0} {l.1.x}", {"a": {"b": {"c": 1}}, "l": [2, {"x": 3}]}, "1 2 3"),
        (
            "{n|.2f} {n|,} {m|,.1f} {p|.0%}",
            {"n": 1234, "m": 1234.56, "p": 0.25},
            "1234.00 1,234 1,234.6 25%",
        ),
        ("{a|upper} {a|lower} {b|trim}", {"a": "xY", "b": " z "}, "XY xy z"),
        ("{v|json}", {"v": {"a": [0, None]}}, '{"a":[0,null]}'),
        ("{v|count}", {"v": [0, 0]}, "2"),
        ('{"a": {b}} { } {1} {x:y} $5', {"b": 2}, '{"a": 2} { } {1} {x:y} $5'),
        ("\\{name\\} {name}", {"name": "x"}, "{name} x"),
        ("${price}", {"price": 5}, "$5"),
        ("{#rows}{name}={n};{/rows}", {"rows": ROWS}, "Ada=1;Bob=0;"),
        ("{#rows}{name} of {team}, {/rows}", {"rows": ROWS, "team": "T"}, "Ada of T, Bob of T, "),
        ("{#l}<{.}>{/l}", {"l": [0, False, ""]}, "<0><false><>"),
        ("{#a}{#b}{.}{/b};{/a}", {"a": [{"b": [1, 2]}, {"b": [3]}]}, "12;3;"),
        ("{#rows}x{/rows}{^rows}none{/rows}", {"rows": []}, "none"),
        ("{#n}has {.}{/n}{^n}none{/n}", {"n": 0}, "has 0"),
        ("{^v}no{/v}", {"v": False}, "no"),
        ("{rows}", {"rows": ROWS}, "| name | n |\n| --- | ---: |\n| Ada | 1 |\n| Bob | 0 |"),
        ("{rows|table}", {"rows": []}, ""),
        ("{rows|bullets}", {"rows": ROWS}, "- name: Ada, n: 1\n- name: Bob, n: 0"),
        ("{l}", {"l": ["a", "b\nc"]}, "- a\n- b c"),
        ("", {}, ""),
    ],
)
def test_templates(template: str, values: dict[str, Any], text: str) -> None:
    assert fill(template, **values) == text


@pytest.mark.parametrize(
    ("template", "values", "code"),
    [
        ("{nmae}", {"name": 1}, "template_missing"),
        ("{a.b}", {"a": {}}, "template_missing"),
        ("{a.__class__}", {"a": "x"}, "template_missing"),
        ("{a.0}", {"a": []}, "template_missing"),
        ("{a.-1}", {"a": [1]}, "template_missing"),
        ("{__class__}", {}, "template_missing"),
        ("{#a}", {"a": []}, "template_invalid"),
        ("{/a}", {"a": []}, "template_invalid"),
        ("{#a}{#b}{/a}{/b}", {"a": [], "b": []}, "template_invalid"),
        ("{a|shout}", {"a": "x"}, "template_invalid"),
        ("{a|.2f}", {"a": "x"}, "template_invalid"),
        ("{a|upper}", {"a": 1}, "template_invalid"),
        ("{a|table}", {"a": 1}, "template_invalid"),
        ("{#a}" * 11 + "{/a}" * 11, {"a": 1}, "template_invalid"),
        ("{a|999999999.2f}", {"a": 1}, "template_invalid"),
    ],
)
def test_templates_that_are_refused(template: str, values: dict[str, Any], code: str) -> None:
    with pytest.raises(Fail) as caught:
        fill(template, **values)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "${7*7}",
        "#{ x + 1 }",
        "{0.__class__}",
        "{f()}",
    ],
)
def test_code_is_plain_text(text: str) -> None:
    assert fill(text) == text


def test_sections_cannot_blow_up() -> None:
    values = {"a": list(range(100))}
    template = "{#a}" * 8 + "x" + "{/a}" * 8
    with pytest.raises(Fail) as caught:
        call(
            text_template,
            {"template": template, "values": values},
            context(max_value_bytes=10_000),
        )
    assert caught.value.code == "template_too_long"


def test_a_small_report() -> None:
    text = fill(
        "# {title}\n\n{summary|table}\n\nTotal: {total|,.2f}\n{#notes}\n* {.}{/notes}\n",
        title="Sales",
        summary=[{"region": "a|b", "sum": 1.5}, {"region": None, "sum": 0}],
        total=1234.5,
        notes=["one"],
    )
    assert text == (
        "# Sales\n\n| region | sum |\n| --- | ---: |\n| a\\|b | 1.5 |\n|  | 0 |\n\n"
        "Total: 1,234.50\n\n* one\n"
    )


def test_stats() -> None:
    found = call(
        text_stats,
        {"text": "It's here. It’s Größe 3.5?\nYes! yes\n\nEnd of e.g. line", "top": 2},
    )
    assert found["characters"] == 53
    assert found["lines"] == 4
    assert found["paragraphs"] == 2
    assert found["top_words"][0] == {"word": "yes", "count": 2}
    assert len(found["top_words"]) == 2
    assert found["words"] == 13


def test_stats_of_nothing() -> None:
    assert call(text_stats, {"text": ""}) == {
        "characters": 0,
        "words": 0,
        "lines": 0,
        "sentences": 0,
        "paragraphs": 0,
        "top_words": [],
    }


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("One. Two! Three?", 3),
        ("No end", 1),
        ("Wait... what?!", 2),
        ("3.5 is a number.", 1),
        ("A\n\nB", 2),
    ],
)
def test_sentences(text: str, count: int) -> None:
    assert call(text_stats, {"text": text})["sentences"] == count
