"""`data.group`, `data.aggregate` and `data.join`: records brought together by their values."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Hashable, Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from flowbuilder.toolkit.fields import (
    FieldNames,
    Record,
    Records,
    as_names,
    comparable,
    identity,
    numbers,
    require_fields,
    value_of,
)
from flowbuilder.toolkit.records import RecordList, record_list
from flowbuilder.tools import Context, Fail, tool


class Group(TypedDict):
    """The records that agree in the grouping fields."""

    key: Annotated[Any, Field(description="The common value, or an object for several fields.")]
    records: Annotated[list[dict[str, Any]], Field(description="The group's records, in order.")]
    count: Annotated[int, Field(description="How many records the group has.")]


class Groups(TypedDict):
    """Groups in the order of first appearance."""

    groups: Annotated[list[Group], Field(description="The groups.")]
    count: Annotated[int, Field(description="How many groups there are.")]


class Measure(TypedDict):
    """One computed value."""

    fn: Annotated[
        Literal["sum", "mean", "avg", "min", "max", "count", "median", "first", "last", "distinct"],
        Field(description="What to compute; avg is mean, distinct counts different values."),
    ]
    of: NotRequired[
        Annotated[str, Field(description="The field; count without it counts records.")]
    ]


@tool(
    "data.group",
    keywords=("group by, per, for each, split by, bucket, categorise, by category, collect by",),
    examples=("group the orders by customer", "split the rows by region"),
)
def data_group(records: Records, by: FieldNames) -> Groups:
    """Group records by the values of one or more fields."""
    names = as_names(by)
    require_fields(records, names)
    groups: list[Group] = []
    for members in _grouped(records, names):
        values = {name: value_of(members[0], name) for name in names}
        key = values[names[0]] if len(names) == 1 else values
        groups.append({"key": key, "records": members, "count": len(members)})
    return {"groups": groups, "count": len(groups)}


@tool(
    "data.aggregate",
    keywords=(
        "sum up, total, add up, average, mean, how many, count, number of, minimum, maximum, "
        "median, statistics, summarise numbers, per category, revenue by, totals by, pivot",
    ),
    examples=(
        "total the amount by region",
        "average price per category",
        "how many orders each customer has",
        "sum up the column revenue",
    ),
)
def data_aggregate(
    records: Records,
    compute: Annotated[
        dict[str, Measure],
        Field(description="New fields: {name: {fn: sum, of: field}}.", min_length=1),
    ],
    by: Annotated[
        FieldNames | None, Field(description="Fields to group by; without them one record.")
    ] = None,
) -> RecordList:
    """Compute sums, averages, counts, minima, maxima, medians of records, per group or overall."""
    names = as_names(by) if by is not None else []
    require_fields(records, names)
    require_fields(records, [measure["of"] for measure in compute.values() if "of" in measure])
    groups = _grouped(records, names) if names else [list(records)]
    result: list[Record] = []
    for members in groups:
        record = {name: value_of(members[0], name) for name in names}
        for name, measure in compute.items():
            if name in record:
                raise Fail(f"{name!r} is a grouping field already", code="field_conflict")
            record[name] = _measure(members, measure)
        result.append(record)
    return record_list(result)


def _grouped(records: Sequence[Record], names: Sequence[str]) -> list[list[Record]]:
    if not names:
        raise Fail("name at least one field to group by", code="field_unknown")
    groups: dict[Hashable, list[Record]] = {}
    for record in records:
        groups.setdefault(_key(record, names), []).append(record)
    return list(groups.values())


def _key(record: Record, names: Sequence[str]) -> Hashable:
    return tuple(identity(value_of(record, name)) for name in names)


def _measure(members: list[Record], measure: Measure) -> Any:
    name, field = measure["fn"], measure.get("of")
    if field is None:
        if name != "count":
            raise Fail(f"{name!r} needs a field in `of`", code="measure_invalid")
        return len(members)
    if name in _NUMERIC:
        found = numbers(members, field, name)
        return _numeric(name, found) if found or name == "sum" else None
    if name in _ORDERED:
        ordered = comparable(members, field, name)
        return _ORDERED[name](ordered) if ordered else None
    values = [value_of(record, field) for record in members]
    if name in ("first", "last"):
        return values[0 if name == "first" else -1] if values else None
    filled = [value for value in values if value is not None]
    return len(filled) if name == "count" else len({identity(value) for value in filled})


def _sum(values: list[Any]) -> Any:
    return sum(values) if all(isinstance(value, int) for value in values) else math.fsum(values)


_NUMERIC: dict[str, Callable[[list[Any]], Any]] = {
    "sum": _sum,
    "mean": lambda values: _sum(values) / len(values),
    "median": statistics.median,
}
_NUMERIC["avg"] = _NUMERIC["mean"]
_ORDERED: dict[str, Callable[[list[Any]], Any]] = {"min": min, "max": max}


def _numeric(name: str, values: list[Any]) -> Any:
    try:
        value = _NUMERIC[name](values)
    except OverflowError:
        value = math.inf
    if isinstance(value, float) and not math.isfinite(value):
        raise Fail(f"the {name} is too large for a number", code="measure_invalid")
    return value


@tool(
    "data.join",
    needs_one_of=[("on",), ("left_on", "right_on")],
    keywords=(
        "merge, combine two tables, match records, look up in, enrich with, add the columns of, "
        "join on, bring together, connect, vlookup, by common field, link",
    ),
    examples=(
        "join orders with customers on customer_id",
        "merge the two lists by id",
        "add the customer's name to each order",
    ),
)
def data_join(
    context: Context,
    left: Records,
    right: Records,
    on: Annotated[
        FieldNames | None, Field(description="The field or fields that both sides share.")
    ] = None,
    left_on: Annotated[FieldNames | None, Field(description="Fields of the left side.")] = None,
    right_on: Annotated[FieldNames | None, Field(description="Fields of the right side.")] = None,
    how: Annotated[
        Literal["inner", "left", "outer"],
        Field(description="Only pairs, every left record, or every record of both sides."),
    ] = "inner",
) -> RecordList:
    """Join two lists of records by a common field, as a database joins two tables."""
    left_names, right_names = _join_fields(on, left_on, right_on)
    require_fields(left, left_names, "left records")
    require_fields(right, right_names, "right records")
    shared = set(left_names) & set(right_names)
    index: dict[Hashable, list[int]] = {}
    for number, record in enumerate(right):
        if all(value_of(record, name) is not None for name in right_names):
            index.setdefault(_key(record, right_names), []).append(number)
    result: list[Record] = []
    used: set[int] = set()
    bound = context.settings.max_elements
    left_fields = {name for record in left for name in record}
    for record in left:
        # null equals nothing, not even null
        matches = index.get(_key(record, left_names), []) if _filled(record, left_names) else []
        used.update(matches)
        result += [_paired(record, right[number], shared, left_fields) for number in matches]
        if not matches and how != "inner":
            result.append(dict(record))
        if len(result) > bound:
            raise Fail(f"the join has more than {bound} records", code="join_too_large")
    if how == "outer":
        rest = [record for number, record in enumerate(right) if number not in used]
        result += [_paired({}, record, set(), left_fields - shared) for record in rest]
    return record_list(_even(result))


def _join_fields(
    on: str | list[str] | None, left_on: str | list[str] | None, right_on: str | list[str] | None
) -> tuple[list[str], list[str]]:
    if on is not None and left_on is None and right_on is None:
        names = as_names(on)
        pair = (names, names)
    elif on is None and left_on is not None and right_on is not None:
        pair = (as_names(left_on), as_names(right_on))
    else:
        raise Fail("give `on`, or both `left_on` and `right_on`", code="join_invalid")
    if not pair[0] or len(pair[0]) != len(pair[1]):
        raise Fail("both sides need the same number of fields", code="join_invalid")
    return pair


def _filled(record: Record, names: Sequence[str]) -> bool:
    return all(value_of(record, name) is not None for name in names)


def _paired(left: Record, right: Record, shared: set[str], left_fields: set[str]) -> Record:
    """Put two records together; a right field whose name is taken gets `_right` behind it."""
    result = dict(left)
    for name, value in right.items():
        if name not in shared:
            result[f"{name}_right" if name in left_fields else name] = value
    return result


def _even(records: list[Record]) -> list[Record]:
    """Give every record the same fields, null where a side is missing."""
    names = list(dict.fromkeys(name for record in records for name in record))
    return [{name: record.get(name) for name in names} for record in records]
