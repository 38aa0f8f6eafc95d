from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.errors import InvalidValue
from flowbuilder.toolkit.grouping import data_aggregate, data_group, data_join
from flowbuilder.toolkit.records import data_filter, data_select, data_sort
from flowbuilder.tools import Fail, Tool
from tests.support.toolbox import call, context

MIXED: list[dict[str, Any]] = [
    {"id": 0, "v": 0},
    {"id": 1, "v": False},
    {"id": 2, "v": ""},
    {"id": 3, "v": None},
    {"id": 4, "v": []},
    {"id": 5, "v": "0"},
    {"id": 6},
    {"id": 7, "v": 0.0},
    {"id": 8, "v": {}},
]
SALES: list[dict[str, Any]] = [
    {"region": "north", "amount": 10, "who": {"name": "Ada"}, "tags": ["a", "b"]},
    {"region": "south", "amount": 2.5, "who": {"name": "Bob"}, "tags": []},
    {"region": "north", "amount": 0, "who": {"name": "Cy"}},
    {"region": None, "amount": None, "who": {"name": "ada"}},
]


def ids(found: Any) -> list[int]:
    assert found["count"] == len(found["records"])
    return [record["id"] for record in found["records"]]


def fail(tool: Tool, **args: Any) -> Fail:
    with pytest.raises(Fail) as caught:
        call(tool, args)
    return caught.value


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"v": 0}, [0, 7]),
        ({"v": False}, [1]),
        ({"v": ""}, [2]),
        ({"v": None}, [3, 6]),
        ({"v": []}, [4]),
        ({"v": "0"}, [5]),
        ({"v": {}}, [8]),
        ({"v": {"exists": False}}, [6]),
        ({"v": {"exists": True}}, [0, 1, 2, 3, 4, 5, 7, 8]),
        ({"v": {"ne": 0}}, [1, 2, 3, 4, 5, 6, 8]),
        ({"v": {"in": [0, None]}}, [0, 3, 6, 7]),
        ({"v": {"not_in": [0, None, ""]}}, [1, 4, 5, 8]),
        ({"id": {"gte": 2, "lt": 4}}, [2, 3]),
        ({"id": {">=": 7}}, [7, 8]),
        ({}, list(range(9))),
    ],
)
def test_filter_tells_values_apart(where: Any, expected: list[int]) -> None:
    assert ids(call(data_filter, {"records": MIXED, "where": where})) == expected


@pytest.mark.parametrize(
    ("args", "names"),
    [
        ({"where": {"amount": {"gt": 0}}}, ["Ada", "Bob"]),
        ({"where": {"who.name": {"starts_with": "A"}}}, ["Ada"]),
        ({"where": {"who.name": "ADA"}, "ignore_case": True}, ["Ada", "ada"]),
        ({"where": {"region": {"contains": "ort"}}}, ["Ada", "Cy"]),
        ({"where": {"tags": {"contains": "b"}}}, ["Ada"]),
        ({"where": {"region": "south", "amount": 0}, "match": "any"}, ["Bob", "Cy"]),
        ({"where": {"region": "south", "amount": 0}}, []),
        ({"where": {"region": {"ends_with": "th"}}}, ["Ada", "Bob", "Cy"]),
        ({"where": "item.region == 'north' && item.amount > 1"}, ["Ada"]),
        ({"where": "index >= 2"}, ["Cy", "ada"]),
    ],
)
def test_filter_conditions(args: dict[str, Any], names: list[str]) -> None:
    found = call(data_filter, {"records": SALES, **args})
    assert [record["who"]["name"] for record in found["records"]] == names


@pytest.mark.parametrize(
    ("where", "code", "words"),
    [
        ({"amuont": 1}, "field_unknown", "amount"),
        ({"region": {"gt": 5}}, "field_type", "record 0"),
        ({"amount": {"contains": "x"}}, "field_type", "record 0"),
        ({"region": {"in": "north"}}, "condition_invalid", "list"),
        ({"region": {"exists": 1}}, "condition_invalid", "true or false"),
        ("item.amount >", "condition_invalid", ""),
        ("steps.a.b == 1", "condition_invalid", ""),
        ("secret == 1", "condition_invalid", "secret"),
        ("item.amount", "condition_invalid", "record 0"),
        ("item.nothing == 1", "condition_invalid", "record 0"),
    ],
)
def test_filter_refuses(where: Any, code: str, words: str) -> None:
    error = fail(data_filter, records=SALES, where=where)
    assert error.code == code
    assert words in str(error)


def test_an_object_that_names_no_operator_is_a_value() -> None:
    found = call(data_filter, {"records": SALES, "where": {"who": {"name": "Bob"}}})
    assert found["count"] == 1


def test_select() -> None:
    records = [{"a": 0, "b": "", "c": {"d": None}}, {"a": False}]
    chosen = call(data_select, {"records": records, "fields": ["b", "a"], "rename": {"a": "x"}})
    assert chosen["records"] == [{"b": "", "x": 0}, {"b": None, "x": False}]
    assert list(chosen["records"][0]) == ["b", "x"]
    assert call(data_select, {"records": records, "drop": ["b", "c"]})["records"] == [
        {"a": 0},
        {"a": False},
    ]
    assert call(data_select, {"records": records, "fields": ["c.d"], "limit": 1}) == {
        "records": [{"c.d": None}],
        "count": 1,
    }
    assert call(data_select, {"records": [], "fields": ["any"]})["records"] == []
    assert fail(data_select, records=records, fields=["z"]).code == "field_unknown"
    assert fail(data_select, records=records, rename={"a": "b"}).code == "field_conflict"


def test_sort_puts_null_last_either_way() -> None:
    records: list[dict[str, Any]] = [
        {"id": 0, "v": None},
        {"id": 1, "v": 2},
        {"id": 2},
        {"id": 3, "v": 0},
        {"id": 4, "v": 2},
    ]
    assert ids(call(data_sort, {"records": records, "by": "v"})) == [3, 1, 4, 0, 2]
    assert ids(call(data_sort, {"records": records, "by": "v", "descending": True})) == [
        1,
        4,
        3,
        0,
        2,
    ]
    assert ids(call(data_sort, {"records": records, "by": ["-v", "-id"], "limit": 3})) == [4, 1, 3]
    assert ids(call(data_sort, {"records": records, "by": "v", "limit": 0})) == []
    assert [record["id"] for record in records] == [0, 1, 2, 3, 4]


def test_sort_refuses_what_has_no_order() -> None:
    error = fail(data_sort, records=[{"v": 1}, {"v": "a"}], by="v")
    assert error.code == "field_type"
    assert "record 1" in str(error)
    assert fail(data_sort, records=[{"v": 1}, {"v": True}], by="v").code == "field_type"
    assert fail(data_sort, records=[{"v": []}], by="v").code == "field_type"
    assert fail(data_sort, records=[{"v": 1}], by="w").code == "field_unknown"


def test_group() -> None:
    found = call(data_group, {"records": SALES, "by": "region"})
    assert [(group["key"], group["count"]) for group in found["groups"]] == [
        ("north", 2),
        ("south", 1),
        (None, 1),
    ]
    assert found["groups"][0]["records"] == [SALES[0], SALES[2]]
    both = call(data_group, {"records": SALES, "by": ["region", "amount"]})
    assert both["groups"][0]["key"] == {"region": "north", "amount": 10}
    keys = call(data_group, {"records": MIXED, "by": "v"})
    assert [group["count"] for group in keys["groups"]] == [2, 1, 1, 2, 1, 1, 1]


def test_aggregate() -> None:
    compute = {
        "total": {"fn": "sum", "of": "amount"},
        "mean": {"fn": "mean", "of": "amount"},
        "rows": {"fn": "count"},
        "filled": {"fn": "count", "of": "amount"},
        "low": {"fn": "min", "of": "amount"},
        "high": {"fn": "max", "of": "who.name"},
        "first": {"fn": "first", "of": "amount"},
        "last": {"fn": "last", "of": "amount"},
        "kinds": {"fn": "distinct", "of": "amount"},
        "middle": {"fn": "median", "of": "amount"},
    }
    found = call(data_aggregate, {"records": SALES, "by": "region", "compute": compute})
    assert found["records"][0] == {
        "region": "north",
        "total": 10,
        "mean": 5.0,
        "rows": 2,
        "filled": 2,
        "low": 0,
        "high": "Cy",
        "first": 10,
        "last": 0,
        "kinds": 2,
        "middle": 5.0,
    }
    assert found["records"][2]["total"] == 0
    assert found["records"][2]["mean"] is None
    assert found["records"][2]["low"] is None
    overall = call(
        data_aggregate, {"records": SALES, "compute": {"n": {"fn": "sum", "of": "amount"}}}
    )
    assert overall == {"records": [{"n": 12.5}], "count": 1}
    empty = call(data_aggregate, {"records": [], "compute": compute})
    assert empty["records"][0]["total"] == 0
    assert empty["records"][0]["mean"] is None


def test_avg_is_another_name_of_mean() -> None:
    compute = {"a": {"fn": "avg", "of": "amount"}, "m": {"fn": "mean", "of": "amount"}}
    found = call(data_aggregate, {"records": SALES, "by": "region", "compute": compute})
    assert found["records"][0] == {"region": "north", "a": 5.0, "m": 5.0}
    assert [record["a"] for record in found["records"]] == [
        record["m"] for record in found["records"]
    ]


def test_sums_of_whole_numbers_stay_whole_and_exact() -> None:
    records = [{"v": 2**53}, {"v": 1}, {"v": 1}]
    total = {"t": {"fn": "sum", "of": "v"}}
    assert (
        call(data_aggregate, {"records": records, "compute": total})["records"][0]["t"] == 2**53 + 2
    )
    tenths = [{"v": 0.1}] * 10
    assert call(data_aggregate, {"records": tenths, "compute": total})["records"][0]["t"] == 1.0


@pytest.mark.parametrize(
    ("compute", "code"),
    [
        ({"x": {"fn": "sum", "of": "region"}}, "field_type"),
        ({"x": {"fn": "sum", "of": "none"}}, "field_unknown"),
        ({"x": {"fn": "sum"}}, "measure_invalid"),
        ({"region": {"fn": "count"}}, "field_conflict"),
    ],
)
def test_aggregate_refuses(compute: Any, code: str) -> None:
    assert fail(data_aggregate, records=SALES, by="region", compute=compute).code == code


def test_aggregate_refuses_an_unknown_function_and_overflow() -> None:
    with pytest.raises(InvalidValue) as caught:
        call(
            data_aggregate, {"records": SALES, "compute": {"x": {"fn": "avarage", "of": "amount"}}}
        )
    assert caught.value.code == "argument_invalid"
    huge = [{"v": 1.7e308}, {"v": 1.7e308}]
    assert fail(data_aggregate, records=huge, compute={"x": {"fn": "sum", "of": "v"}}).code == (
        "measure_invalid"
    )


LEFT = [{"k": 1, "n": "a"}, {"k": 2, "n": "b"}, {"k": None, "n": "c"}, {"k": "1", "n": "d"}]
RIGHT = [
    {"k": 1, "n": "x", "p": 0},
    {"k": 1, "n": "y", "p": False},
    {"k": 3, "n": "z"},
    {"k": None},
]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("inner", [(1, "a", "x"), (1, "a", "y")]),
        (
            "left",
            [(1, "a", "x"), (1, "a", "y"), (2, "b", None), (None, "c", None), ("1", "d", None)],
        ),
        (
            "outer",
            [
                (1, "a", "x"),
                (1, "a", "y"),
                (2, "b", None),
                (None, "c", None),
                ("1", "d", None),
                (3, None, "z"),
                (None, None, None),
            ],
        ),
    ],
)
def test_join(how: str, expected: list[Any]) -> None:
    found = call(data_join, {"left": LEFT, "right": RIGHT, "on": "k", "how": how})
    assert [(row["k"], row["n"], row["n_right"]) for row in found["records"]] == expected
    assert [row["p"] for row in found["records"][:2]] == [0, False]


def test_join_by_fields_of_other_names() -> None:
    orders = [{"id": 7, "customer": 1}]
    people = [{"id": 1, "name": "Ada"}]
    found = call(
        data_join, {"left": orders, "right": people, "left_on": "customer", "right_on": "id"}
    )
    assert found["records"] == [{"id": 7, "customer": 1, "id_right": 1, "name": "Ada"}]
    with pytest.raises(InvalidValue, match="needs one of these: 'on', or 'left_on' and 'right_on'"):
        call(data_join, {"left": orders, "right": people})
    assert fail(data_join, left=orders, right=people, on=None).code == "join_invalid"
    assert fail(data_join, left=orders, right=people, on="id", left_on="id").code == "join_invalid"
    assert fail(data_join, left=orders, right=people, on="name").code == "field_unknown"
    many = [{"k": 1}] * 20
    with pytest.raises(Fail) as caught:
        call(data_join, {"left": many, "right": many, "on": "k"}, context(max_elements=100))
    assert caught.value.code == "join_too_large"


@pytest.mark.parametrize("tool", [data_select, data_filter, data_sort, data_group])
def test_records_must_be_objects(tool: Tool) -> None:
    with pytest.raises(InvalidValue) as caught:
        call(tool, {"records": [{}, 3], "by": "x", "where": {}})
    assert caught.value.code == "argument_invalid"
