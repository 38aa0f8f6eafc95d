"""The strict gate: what passes comes back as it went in, what does not has a code and a place."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import math
import uuid
from typing import Any, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuilder import strictjson
from flowbuilder.errors import InvalidValue
from flowbuilder.strictjson import (
    DOCUMENT_LIMITS,
    Limits,
    check,
    dumps,
    escape,
    load_document,
    loads,
)

_TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
_LEAF = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT
)
_JSON = st.recursive(
    _LEAF, lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner), max_leaves=30
)
_ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.just(object()),
    lambda inner: (
        st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=20,
)


class _Size(enum.Enum):
    SMALL = 1


@dataclasses.dataclass
class _Point:
    x: int
    y: int


class _Colour(enum.StrEnum):
    RED = "red"


@given(_JSON)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert loads(dumps(value)) == value


@given(_ANYTHING)
def test_any_value_passes_or_is_refused_with_a_code(value: Any) -> None:
    try:
        checked = check(value)
    except InvalidValue as error:
        assert error.code.startswith("json_")
    else:
        assert check(checked) == checked


@given(st.binary() | st.text())
def test_any_text_is_read_or_refused_with_a_code(data: bytes | str) -> None:
    try:
        loads(data)
    except InvalidValue as error:
        assert error.code.startswith("json_")


@given(st.text(alphabet="{}[]:,-?&*!#|>\"'ab01 \n\t") | st.text())
def test_any_yaml_is_read_or_refused_with_a_code(text: str) -> None:
    try:
        load_document(text, name="flow.yaml")
    except InvalidValue as error:
        assert error.code.startswith(("json_", "yaml_"))


@pytest.mark.parametrize("value", [0, 0.0, False, "", None, [], {}, {"": [0, False, "", None]}])
def test_empty_values_survive(value: Any) -> None:
    back = loads(dumps(value))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    ("text", "code", "pointer"),
    [
        ("NaN", "json_nan", ""),
        ('{"a": [1, NaN]}', "json_nan", "/a/1"),
        ("[Infinity]", "json_infinity", "/0"),
        ('{"a": -Infinity}', "json_infinity", "/a"),
        ('{"a": 1e999}', "json_infinity", "/a"),
        ('{"a/b": 18446744073709551616}', "json_number", "/a~1b"),
        ("-9223372036854775809", "json_number", ""),
        ("[" + "9" * 6000 + "]", "json_number", "/0"),
        (r'{"a": "\u0000"}', "json_nul", "/a"),
        (r'{"a": {"\u0000": 1}}', "json_nul", "/a"),
        (r'["\ud800"]', "json_surrogate", "/0"),
        (r'{"\udfff": 1}', "json_surrogate", ""),
        ('{"x": {"a": 1, "b": 2, "a": 3}}', "json_duplicate_key", "/x"),
        ("", "json_syntax", ""),
        ("{", "json_syntax", ""),
        ('{"a": 1,}', "json_syntax", ""),
        ("[01]", "json_syntax", ""),
        ("'a'", "json_syntax", ""),
        ('"a\x00"', "json_syntax", ""),
        ("[" * 33 + "]" * 33, "json_depth", ""),
        ("[" * 100_000, "json_depth", ""),
        ('{"a":' * 50 + "1" + "}" * 50, "json_depth", ""),
        ('"' + "a" * 10_000_000 + '"', "json_size", ""),
        ('"' + "é" * 600_000 + '"', "json_size", ""),
    ],
)
def test_bad_text_is_refused(text: str, code: str, pointer: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        loads(text)
    assert (caught.value.code, caught.value.pointer) == (code, pointer)


def test_syntax_errors_name_line_and_column() -> None:
    with pytest.raises(InvalidValue, match="line 2, column 3"):
        loads("{\n  a: 1}")


def test_bytes_that_are_no_utf8_are_refused() -> None:
    with pytest.raises(InvalidValue, match="UTF-8") as caught:
        loads(b"\xff\xfe")
    assert caught.value.code == "json_syntax"


def test_a_byte_order_mark_is_no_part_of_the_value() -> None:
    assert loads("\ufeff[1]") == loads(b"\xef\xbb\xbf[1]") == [1]


def test_brackets_inside_texts_are_not_nesting() -> None:
    text = "[" * 200 + '\\"' + "{" * 200
    assert loads(dumps([text])) == [text]


def test_a_text_has_so_many_arrays_and_objects() -> None:
    wide = Limits(bytes=8_000_000)
    dense = "[" + "[]," * 1_390_000 + "1]"
    for text in (dense, dense.replace("[]", "{}"), '["' + "[" * 300_000 + '",' + dense[1:]):
        with pytest.raises(InvalidValue, match="250000 arrays and objects") as caught:
            loads(text, limits=wide)
        assert (caught.value.code, caught.value.pointer) == ("json_containers", "")
    few = Limits(containers=3)
    assert loads('[[], {}, "[[[[", "\\"{{{{"]', limits=few) == [[], {}, "[[[[", '"{{{{']
    assert loads("[[],[]]", limits=Limits(containers=3, depth=2)) == [[], []]
    with pytest.raises(InvalidValue):
        loads("[[],[],[]]", limits=Limits(containers=3, depth=2))


def test_many_numbers_and_the_elements_of_a_large_map_are_let_through() -> None:
    wide = Limits(bytes=8_000_000)
    assert len(cast(list[int], loads("[" + "1," * 1_500_000 + "1]", limits=wide))) == 1_500_001
    elements = loads("[" + ",".join(['{"a":{"b":1}}'] * 100_000) + "]", limits=wide)
    assert len(cast(list[object], elements)) == 100_000


def test_the_limits_are_exact() -> None:
    assert loads("[" * 32 + "]" * 32)
    assert loads('"' + "a" * 98 + '"', limits=Limits(bytes=100)) == "a" * 98
    with pytest.raises(InvalidValue):
        check("a" * 99, limits=Limits(bytes=100))
    assert [loads("18446744073709551615"), loads("-9223372036854775808")] == [2**64 - 1, -(2**63)]


@pytest.mark.parametrize(
    "value",
    [
        datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        decimal.Decimal("1.5"),
        uuid.UUID(int=0),
        b"text",
        {1, 2},
        object(),
        {1: "a key that is no text"},
        _Point(1, 2),
        _Size.SMALL,
        orjson.Fragment(b"1"),
    ],
)
def test_what_is_no_json_type_is_refused_with_its_place(value: object) -> None:
    with pytest.raises(InvalidValue) as caught:
        check({"deep": [value]}, pointer="/args")
    assert caught.value.code == "json_type"
    assert caught.value.pointer == "/args/deep/0"


def test_known_types_have_a_hint_of_their_own() -> None:
    with pytest.raises(InvalidValue) as caught:
        check(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
    assert caught.value.hint == "Give its isoformat()."


def test_tuples_and_enumerations_become_plain_json() -> None:
    checked = check({_Colour.RED: (1, (_Colour.RED,))})
    assert checked == {"red": [1, ["red"]]}
    assert isinstance(checked, dict)
    assert [type(key) for key in checked] == [str]


def test_a_value_that_holds_itself_is_too_deep() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(InvalidValue) as caught:
        check(loop)
    assert caught.value.code == "json_depth"


def test_a_small_value_that_writes_out_huge_is_refused() -> None:
    value: list[object] = [0]
    for _ in range(28):
        value = [value, value]
    with pytest.raises(InvalidValue) as caught:
        check(value, limits=Limits(bytes=10_000))
    assert caught.value.code == "json_size"


def test_nothing_is_written_that_could_not_be_read() -> None:
    with pytest.raises(InvalidValue) as caught:
        dumps([math.nan])
    assert (caught.value.code, caught.value.pointer) == ("json_nan", "/0")


def test_pointer_segments_are_escaped() -> None:
    assert escape("a/b~c") == "a~1b~0c"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 2026-01-31", "2026-01-31"),
        ("a: yes", "yes"),
        ("a: off", "off"),
        ("a: 12:30", "12:30"),
        ("a: 01234", "01234"),
        ("a: 1_000", "1_000"),
        ("a: 0x1F", "0x1F"),
        ("a: 5", 5),
        ("a: -1.5", -1.5),
        ("a: 1e3", 1000.0),
        ("a: true", True),
        ("a: ~", None),
        ("a:", None),
        ("a: ''", ""),
        ("a: '5'", "5"),
        ("a: !!str 5", "5"),
        ("a: []", []),
        ("a: '${{ steps.b.c }}'", "${{ steps.b.c }}"),
        ("a: {b: [1, {c: 2}]}", {"b": [1, {"c": 2}]}),
        ("a: '" + "[" * 600 + "'", "[" * 600),
    ],
)
def test_yaml_words_mean_what_json_means_by_them(text: str, value: object) -> None:
    document = load_document(text, name="flow.yaml")
    assert document == {"a": value}
    assert isinstance(document, dict)
    assert type(document["a"]) is type(value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: &x 1\nb: *x", "yaml_syntax"),
        ("a: &x [*x]", "yaml_syntax"),
        ("a: !!python/object/apply:os.getcwd []", "yaml_syntax"),
        ("a: !!binary aGk=", "yaml_syntax"),
        ("a: !!set {x}", "yaml_syntax"),
        ("1: a", "yaml_syntax"),
        ("[1]: a", "yaml_syntax"),
        ("null: a", "yaml_syntax"),
        ("a: [", "yaml_syntax"),
        ("--- 1\n--- 2", "yaml_syntax"),
        ("a: 1\nb: 2\na: 3", "json_duplicate_key"),
        ("a: .nan", "json_nan"),
        ("a: -.inf", "json_infinity"),
        ("a: 1e999", "json_infinity"),
        ("a: 99999999999999999999999", "json_number"),
        ('a: "\\0"', "json_nul"),
        ("[" * 100_000, "json_depth"),
        ("- " * 100_000 + "1", "json_depth"),
        ("{a: " * 100_000, "json_depth"),
        ("# " + "]" * 100_000 + "\n" + "[" * 100_000, "json_depth"),
        ("? " * 100_000, "yaml_syntax"),
        ("\n".join(" " * level + "a:" for level in range(500)), "json_depth"),
    ],
)
def test_bad_yaml_is_refused(text: str, code: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        load_document(text, name="flow.yaml")
    assert caught.value.code == code


def test_a_json_file_is_read_as_json() -> None:
    assert load_document('{"a": [1]}', name="flow.JSON") == {"a": [1]}
    with pytest.raises(InvalidValue) as caught:
        load_document("a: 1", name="flow.json")
    assert caught.value.code == "json_syntax"


def test_an_empty_yaml_file_is_null() -> None:
    assert load_document("", name="flow.yaml") is None


@pytest.mark.parametrize(
    ("text", "code"), [("a: \x00", "json_nul"), ("a: \ud800", "json_surrogate")]
)
def test_characters_that_yaml_does_not_know_are_named(text: str, code: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        load_document(text, name="x.yaml")
    assert caught.value.code == code


@pytest.mark.parametrize("times", [5_000, 1_000_000])
def test_one_large_text_many_times_is_refused_before_it_is_written(times: int) -> None:
    with pytest.raises(InvalidValue) as caught:
        check(["a" * 1_000_000] * times)
    assert caught.value.code == "json_size"


def test_a_long_text_that_is_held_over_and_over_is_refused_before_it_is_written_out() -> None:
    text = "a" * 1_000_000
    with pytest.raises(InvalidValue) as refused:
        check([text] * 5_000)
    assert refused.value.code == "json_size"
    assert check([text[:1000]] * 1_000) == [text[:1000]] * 1_000


@pytest.mark.parametrize("count", [120_000, 1_200_000])
def test_long_values_are_judged_as_short_ones(count: int) -> None:
    limits = Limits(bytes=8 * 1_048_576)
    value: list[Any] = [1] * (count - 1)
    assert check([*value, "x"], limits=limits) == [*value, "x"]
    with pytest.raises(InvalidValue) as caught:
        check({"a": [*value, "\x00"]}, limits=limits)
    assert (caught.value.code, caught.value.pointer) == ("json_nul", f"/a/{count - 1}")


def test_long_values_of_plain_json_take_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strictjson, "_Gate", None)  # the long way
    value = {f"k{number}": [{"a": 1, "b": "text"}] * 10 for number in range(13_000)}
    assert check(value, limits=DOCUMENT_LIMITS) == value


@pytest.mark.parametrize(
    "shared", ["x" * 100_000, {"x" * 100_000: 1}, [0] * 100_000, {"a": ["x" * 60_000] * 3}]
)
def test_what_is_shared_very_often_is_refused_before_it_is_written(shared: Any) -> None:
    with pytest.raises(InvalidValue) as caught:
        check([[shared] * 1000] * 1000, limits=DOCUMENT_LIMITS)
    assert caught.value.code == "json_size"


def test_keys_that_are_no_text_are_told() -> None:
    for key in (1, None, ("a",), b"a"):
        with pytest.raises(InvalidValue) as caught:
            check({"a": [{key: 1}]})
        assert (caught.value.code, caught.value.pointer) == ("json_type", "/a/0")
