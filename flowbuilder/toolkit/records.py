"""`data.select`, `data.filter` and `data.sort`: from records to fewer or reordered records."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from flowbuilder.toolkit.conditions import conditions, require_condition_fields
from flowbuilder.toolkit.fields import (
    FieldNames,
    Record,
    Records,
    as_names,
    comparable,
    require_fields,
    value_of,
)
from flowbuilder.tools import Fail, tool


class RecordList(TypedDict):
    """Records and their number."""

    records: Annotated[list[dict[str, Any]], Field(description="The resulting records, in order.")]
    count: Annotated[int, Field(description="How many records there are.")]


def record_list(records: list[Record]) -> RecordList:
    """Return records with their number."""
    return {"records": records, "count": len(records)}


@tool(
    "data.select",
    keywords=(
        "keep columns, choose fields, pick, only the columns, drop columns, remove fields, "
        "rename a column, project, reduce to, first rows, take the first, limit",
    ),
    examples=(
        "keep only name and price",
        "drop the column notes",
        "rename qty to quantity",
    ),
)
def data_select(
    records: Records,
    fields: Annotated[
        list[str] | None, Field(description="The fields to keep, in this order; all by default.")
    ] = None,
    drop: Annotated[list[str] | None, Field(description="Fields to leave out.")] = None,
    rename: Annotated[
        dict[str, str] | None, Field(description="New names by old names: {old: new}.")
    ] = None,
    limit: Annotated[int | None, Field(ge=0, description="At most this many records.")] = None,
) -> RecordList:
    """Keep, drop or rename fields (columns) of records, or take the first of them."""
    names, gone = rename or {}, set(drop or ())
    require_fields(records, [*(fields or ()), *gone, *names])
    result: list[Record] = []
    for record in records[:limit]:
        kept = {name: value_of(record, name) for name in fields} if fields is not None else record
        renamed = {names.get(name, name): kept[name] for name in kept if name not in gone}
        if len(renamed) < len([name for name in kept if name not in gone]):
            raise Fail("two fields would get the same name", code="field_conflict")
        result.append(renamed)
    return record_list(result)


@tool(
    "data.filter",
    keywords=(
        "only those where, keep rows, remove rows, records that, with more than, greater than, "
        "at least, less than, below, above, over, under, equal to, containing, matching, "
        "exclude, where, whose, which have, find the ones",
    ),
    examples=(
        "keep only rows where amount is over 100",
        "only the open orders",
        "remove those without an email",
    ),
)
def data_filter(
    records: Records,
    where: Annotated[
        dict[str, Any] | str,
        Field(
            description="{field: value} for equality, {field: {operator: value}} with eq, ne, gt, "
            "gte, lt, lte, in, not_in, contains, starts_with, ends_with, exists; or a CEL "
            "expression about `item`, such as item.amount > 100."
        ),
    ],
    match: Annotated[
        Literal["all", "any"], Field(description="Whether all conditions must hold, or one.")
    ] = "all",
    ignore_case: Annotated[bool, Field(description="Compare texts ignoring case.")] = False,
) -> RecordList:
    """Keep the records (rows) that satisfy conditions on their fields."""
    if isinstance(where, str):
        return record_list(_by_expression(records, where))
    wanted = conditions(where, ignore_case=ignore_case)
    require_condition_fields(records, wanted)
    decide = all if match == "all" or not wanted else any
    return record_list(
        [
            record
            for index, record in enumerate(records)
            if decide(condition.holds(record, index) for condition in wanted)
        ]
    )


def _by_expression(records: list[Record], text: str) -> list[Record]:
    from flowbuilder.toolkit.predicates import predicate

    holds = predicate(text)
    return [record for index, record in enumerate(records) if holds(record, index)]


@tool(
    "data.sort",
    keywords=(
        "order by, arrange, rank, top, highest, lowest, largest, smallest, newest, oldest, best, "
        "most, least, ascending, descending, alphabetically, first n, top ten, sorted",
    ),
    examples=(
        "sort by price descending",
        "the ten largest orders",
        "order the rows by name",
        "top 5 by revenue",
    ),
)
def data_sort(
    records: Records,
    by: Annotated[
        FieldNames, Field(description="A field or several; a leading minus reverses one of them.")
    ],
    descending: Annotated[bool, Field(description="Largest, latest or last first.")] = False,
    limit: Annotated[int | None, Field(ge=0, description="At most this many records.")] = None,
) -> RecordList:
    """Sort records by fields, ascending or descending, and optionally keep only the top ones."""
    ordered = list(records)
    for given in reversed(as_names(by)):
        name, reverse = _direction(records, given, descending)
        require_fields(records, [name])
        comparable(records, name, "sorting")
        filled = [record for record in ordered if value_of(record, name) is not None]
        empty = [record for record in ordered if value_of(record, name) is None]
        filled.sort(key=lambda record: value_of(record, name), reverse=reverse)
        ordered = filled + empty  # null has no place in an order: it comes last either way
    return record_list(ordered[:limit])


def _direction(records: list[Record], given: str, descending: bool) -> tuple[str, bool]:
    if given.startswith("-") and not any(given in record for record in records):
        return given[1:], not descending
    return given, descending
