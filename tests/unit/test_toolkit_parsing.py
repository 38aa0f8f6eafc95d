from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuilder.toolkit.files import render
from flowbuilder.toolkit.parsing import csv_parse, json_parse
from flowbuilder.tools import Fail
from tests.support.toolbox import call, context


def parse(text: str, **options: Any) -> Any:
    return call(csv_parse, {"text": text, **options})


def test_columns_are_typed_as_a_whole() -> None:
    found = parse(
        "id,zip,price,paid,note,phone,mixed,day\n"
        "1,01234,2.50,true,,+4912,1,2024-01-02\n"
        "0,99999,3,False,x,4912,b,2024-01-03\n"
        "-7,10000,,,0,,3,\n"
    )
    assert found["columns"] == ["id", "zip", "price", "paid", "note", "phone", "mixed", "day"]
    assert found["count"] == 3
    rows = found["records"]
    assert [row["id"] for row in rows] == [1, 0, -7]
    assert [row["zip"] for row in rows] == ["01234", "99999", "10000"]
    assert [row["price"] for row in rows] == [2.5, 3, None]
    assert [row["paid"] for row in rows] == [True, False, None]
    assert [row["note"] for row in rows] == [None, "x", "0"]
    assert [row["phone"] for row in rows] == ["+4912", "4912", None]
    assert [row["mixed"] for row in rows] == ["1", "b", "3"]
    assert [row["day"] for row in rows] == ["2024-01-02", "2024-01-03", None]


@pytest.mark.parametrize(
    "cell", ["NaN", "inf", "1e5", "1,5", "0x1", "1234567890123456", "-0", " 1"]
)
def test_cells_that_stay_text(cell: str) -> None:
    assert parse(f'a;b\n"{cell}";x\n', delimiter=";")["records"] == [{"a": cell, "b": "x"}]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_found(delimiter: str) -> None:
    text = delimiter.join(["name", "x y"]) + "\n" + delimiter.join(['"a, b; c|d"', "1"]) + "\n"
    assert parse(text)["records"] == [{"name": "a, b; c|d", "x y": 1}]


def test_one_column_headers_and_blank_lines() -> None:
    assert parse("\ufeffname\n\nAda\n")["records"] == [{"name": "Ada"}]
    assert parse("a,,a\n1,2,3\n")["records"] == [{"a": 1, "column_2": 2, "a_2": 3}]
    assert parse("1,2\n", header=False)["records"] == [{"column_1": 1, "column_2": 2}]
    assert parse("") == {"records": [], "columns": [], "count": 0}
    assert parse("a,b\n") == {"records": [], "columns": ["a", "b"], "count": 0}
    assert parse("a,b\n1\n2,3,\n")["records"] == [{"a": 1, "b": None}, {"a": 2, "b": 3}]
    assert parse('a\n"x\ny"\n')["records"] == [{"a": "x\ny"}]
    assert parse("a,b\n007,\n", types="text")["records"] == [{"a": "007", "b": ""}]


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [
        ("a,b\n1,2,3\n", {}, "csv_ragged"),
        ('a\n"x', {}, "csv_invalid"),
        ('a,b\n"x"y,1\n', {}, "csv_invalid"),
        ("a", {"delimiter": "ab"}, "csv_invalid"),
        ("a", {"delimiter": '"'}, "csv_invalid"),
    ],
)
def test_broken_csv(text: str, options: dict[str, Any], code: str) -> None:
    with pytest.raises(Fail) as caught:
        parse(text, **options)
    assert caught.value.code == code


def test_too_many_rows() -> None:
    with pytest.raises(Fail) as caught:
        call(csv_parse, {"text": "a\n" + "1\n" * 11}, context(max_elements=10))
    assert caught.value.code == "csv_too_large"


TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r\ufeff"), max_size=20
)
CELL = TEXT.filter(bool)


@given(
    st.lists(st.text("abcXYZ_", min_size=1, max_size=8), min_size=2, max_size=5, unique=True),
    st.data(),
)
def test_texts_survive_a_round_trip(columns: list[str], data: st.DataObject) -> None:
    row = st.fixed_dictionaries(dict.fromkeys(columns, TEXT))
    records: Any = data.draw(st.lists(row, min_size=1, max_size=6))
    text = render(".csv", records).decode()
    assert parse(text, types="text", delimiter=",")["records"] == records


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "whole": st.integers(-(10**15) + 1, 10**15 - 1) | st.none(),
                "flag": st.booleans() | st.none(),
                "word": st.sampled_from(["a", "0b", "x,y", "line\nbreak", 'q"q']),
            }
        ),
        min_size=1,
        max_size=8,
    )
)
def test_types_survive_a_round_trip(records: list[dict[str, Any]]) -> None:
    assert parse(render(".csv", records).decode())["records"] == records  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["0", "false", '""', "null", "[]", "{}", '{"a":[1.5,"x"]}'])
def test_json_values(text: str) -> None:
    import json

    assert call(json_parse, {"text": text}) == {"value": json.loads(text)}


@pytest.mark.parametrize(
    "text",
    ["", "{", "NaN", "1e999", '{"a":1,"a":2}', '"\\ud800"', '"\\u0000"', "[" * 100 + "]" * 100],
)
def test_json_that_is_refused(text: str) -> None:
    with pytest.raises(Fail) as caught:
        call(json_parse, {"text": text})
    assert caught.value.code == "json_invalid"
