"""Which SQL may be run for somebody: one SELECT of known nodes, tables, functions and operators.

The text is read by PostgreSQL's own grammar. What is not on a list here is refused, so what a later
grammar brings is refused too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from flowbuilder.tools import Fail

LONGEST_QUERY = 20_000
_DEEPEST = 60
_NODES = frozenset(
    {
        *("SelectStmt", "ResTarget", "ColumnRef", "A_Star", "A_Const", "String", "Integer"),
        *("Float", "Boolean", "A_Expr", "BoolExpr", "NullTest", "BooleanTest", "FuncCall"),
        *("RangeVar", "RangeSubselect", "RangeFunction", "JoinExpr", "Alias", "SortBy", "SubLink"),
        *("CaseExpr", "CaseWhen", "CoalesceExpr", "MinMaxExpr", "TypeCast", "TypeName"),
        *("ParamRef", "WithClause", "CommonTableExpr", "WindowDef", "A_ArrayExpr", "List"),
        *("A_Indirection", "A_Indices", "GroupingSet", "GroupingFunc", "RowExpr"),
        *("SQLValueFunction",),
    }
)
_FUNCTIONS = frozenset(
    {
        *("count", "sum", "avg", "min", "max", "bool_and", "bool_or", "every", "stddev"),
        *("stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp", "corr", "mode"),
        *("percentile_cont", "percentile_disc", "array_agg", "string_agg", "json_agg"),
        *("jsonb_agg", "json_build_object", "jsonb_build_object", "row_number", "rank"),
        *("dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead", "first_value"),
        *("last_value", "nth_value", "lower", "upper", "initcap", "length", "char_length"),
        *("btrim", "ltrim", "rtrim", "substring", "substr", "left", "right", "position"),
        *("strpos", "replace", "split_part", "concat", "concat_ws", "reverse", "md5", "abs"),
        *("ceil", "ceiling", "floor", "round", "trunc", "mod", "power", "sqrt", "sign", "exp"),
        *("ln", "log", "date_trunc", "date_part", "extract", "age", "now", "to_char"),
        *("to_date", "to_timestamp", "to_number", "make_date", "make_interval", "timezone"),
        *("array_length", "cardinality", "array_position", "unnest", "jsonb_array_elements"),
        *("json_array_elements", "jsonb_array_length", "json_array_length", "jsonb_typeof"),
    }
)
_OPERATORS = frozenset(
    {
        *("=", "<>", "!=", "<", ">", "<=", ">=", "+", "-", "*", "/", "%", "||", "~~", "!~~"),
        *("~~*", "!~~*", "->", "->>", "#>", "#>>", "@>", "<@", "?", "&&"),
        *("BETWEEN", "NOT BETWEEN", "BETWEEN SYMMETRIC", "NOT BETWEEN SYMMETRIC"),
    }
)
_TYPES = frozenset(
    {
        *("int2", "int4", "int8", "numeric", "float4", "float8", "text", "varchar", "bpchar"),
        *("bool", "date", "time", "timetz", "timestamp", "timestamptz", "interval", "uuid"),
        *("json", "jsonb"),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A query that may be run."""

    text: str
    """One statement without a semicolon."""
    parameters: int
    """The largest `$n` in it."""


def read_query(text: str, tables: Iterable[str]) -> Query:
    """Return a query that only reads these tables.

    Raises:
        Fail: `sql_refused`: it is no single SELECT, or holds what is not on the lists.
    """
    from pglast import parse_sql
    from pglast.parser import ParseError

    if len(text) > LONGEST_QUERY or "\0" in text:
        raise refused(f"a query has at most {LONGEST_QUERY} characters")
    try:
        found = parse_sql(text)
    except (ParseError, RecursionError, ValueError) as error:
        raise refused(f"it cannot be read: {str(error).splitlines()[0][:200]}") from None
    if len(found) != 1:
        raise refused("it is not one statement")
    statement = found[0]
    if type(statement.stmt).__name__ != "SelectStmt":
        raise refused("only SELECT is run")
    reader = _Reader(tables)
    reader.select(statement.stmt, frozenset(), 0)
    start, length = statement.stmt_location or 0, statement.stmt_len or len(text)
    return Query(text=text[start : start + length].strip(), parameters=reader.parameters)


def refused(why: str) -> Fail:
    """Say why a statement is not run."""
    return Fail(f"the statement is refused: {why}", code="sql_refused")


class _Reader:
    """Walks through a statement; `ctes` are the names that WITH gives in the present place."""

    def __init__(self, tables: Iterable[str]) -> None:
        self._tables = frozenset(tuple(name.split(".")) for name in tables)
        self.parameters = 0

    def select(self, node: Any, ctes: frozenset[str], depth: int) -> None:
        """Judge a SELECT. Raises: Fail (sql_refused)."""
        if node.intoClause is not None:
            raise refused("SELECT INTO makes a table")
        if node.lockingClause:
            raise refused("FOR UPDATE and FOR SHARE lock rows")
        clause = node.withClause
        if clause is not None:
            names = frozenset(str(item.ctename) for item in clause.ctes)
            seen = ctes | names if clause.recursive else ctes
            for item in clause.ctes:
                if type(item.ctequery).__name__ != "SelectStmt":
                    raise refused("WITH holds a statement that changes something")
                if str(item.ctename).startswith("pg_"):
                    raise refused("a WITH query is named like a table of the system")
                self._children(item, seen, depth)
                seen |= {str(item.ctename)}
            ctes |= names
        self._children(node, ctes, depth, leave="withClause")

    def _children(self, node: Any, ctes: frozenset[str], depth: int, leave: str = "") -> None:
        for name in node:
            if name != leave:
                for child in _nodes(getattr(node, name)):
                    self._node(child, ctes, depth + 1)

    def _node(self, node: Any, ctes: frozenset[str], depth: int) -> None:
        kind = type(node).__name__
        if depth > _DEEPEST:
            raise refused("it is nested too deep")
        if kind not in _NODES:
            raise refused(f"{kind} is not allowed")
        if kind == "SelectStmt":
            self.select(node, ctes, depth)
            return
        judge = getattr(self, f"_{kind.lower()}", None)
        if judge is not None:
            judge(node, ctes)
        self._children(node, ctes, depth)

    def _rangevar(self, node: Any, ctes: frozenset[str]) -> None:
        if node.catalogname:
            raise refused("tables of other databases are not read")
        parts = (node.schemaname, node.relname) if node.schemaname else (node.relname,)
        name = ".".join(parts)
        if len(parts) == 1 and name in ctes:
            return
        if parts not in self._tables:
            known = ", ".join(sorted(map(".".join, self._tables))[:10])
            raise refused(f"the table {name[:100]} is not among those that may be read: {known}")

    def _funccall(self, node: Any, ctes: frozenset[str]) -> None:
        *schema, name = (part.sval for part in node.funcname)
        if schema not in ([], ["pg_catalog"]) or name not in _FUNCTIONS:
            raise refused(f"the function {'.'.join([*schema, name])[:100]} is not allowed")

    def _a_expr(self, node: Any, ctes: frozenset[str]) -> None:
        names = [part.sval for part in node.name]
        if len(names) != 1 or names[0] not in _OPERATORS:
            raise refused(f"the operator {'.'.join(names)[:40]} is not allowed")

    def _sortby(self, node: Any, ctes: frozenset[str]) -> None:
        if node.useOp:
            raise refused("ORDER BY USING is not allowed")

    def _sublink(self, node: Any, ctes: frozenset[str]) -> None:
        names = [part.sval for part in node.operName or ()]
        if names and (len(names) != 1 or names[0] not in _OPERATORS):
            raise refused(f"the operator {'.'.join(names)[:40]} is not allowed")

    def _typename(self, node: Any, ctes: frozenset[str]) -> None:
        *schema, name = (part.sval for part in node.names)
        if schema not in ([], ["pg_catalog"]) or name not in _TYPES:
            raise refused(f"the type {'.'.join([*schema, name])[:100]} is not allowed")

    def _sqlvaluefunction(self, node: Any, ctes: frozenset[str]) -> None:
        # the first nine are dates and times, the rest tell who and where
        if int(node.op) > 8:
            raise refused("who asks and where is not told")

    def _paramref(self, node: Any, ctes: frozenset[str]) -> None:
        self.parameters = max(self.parameters, int(node.number))


def _nodes(value: Any) -> Iterator[Any]:
    from pglast.ast import Node

    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _nodes(item)
