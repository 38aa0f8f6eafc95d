"""Groups A20 to A29: SQL that is to do more than read what may be read."""

from __future__ import annotations

import pytest

from flowbuilder.toolkit.services.statements import read_query
from flowbuilder.tools import Fail

TABLES = ["orders", "crm.people"]

REFUSED = {
    "A20": [
        "select 1; commit; drop table orders",
        "select 1;; select 2",
        "drop table orders",
        "",
        ";",
        "/* nothing */",
        "select 1; select 2",
        "commit",
        "prepare x as select 1",
        "do $$ begin end $$",
        "call something()",
    ],
    "A21": [
        "with d as (delete from orders returning *) select * from d",
        "with d as (insert into orders values (1) returning *) select * from d",
        "with d as (update orders set id = 1 returning *) select * from d",
        "select * from (with d as (delete from orders returning *) select * from d) x",
        "with d as (merge into orders using crm.people p on true when matched then delete"
        " returning 1) select * from d",
    ],
    "A22": [
        "select * into copied from orders",
        "select 1 into temp x",
        "create table x as select 1",
    ],
    "A23": [
        "select * from orders for update",
        "select * from orders for share",
        "select * from (select * from orders for no key update) x",
        "with x as (select * from orders for key share) select * from x",
    ],
    "A24": [
        "explain analyze delete from orders",
        "explain select 1",
        "copy orders to stdout",
        "copy (select 1) to program 'sh'",
        "table pg_roles",
        "values (pg_read_file('/etc/passwd'))",
        "declare c cursor for select 1",
        "fetch all from c",
    ],
    "A25": [
        "rollback",
        "begin read write",
        "set role postgres",
        "set session authorization postgres",
        "reset all",
        "set statement_timeout = 0",
        "select set_config('statement_timeout', '0', false)",
        "select pg_catalog.set_config('role', 'postgres', true)",
        "discard all",
        "listen x",
        "notify x",
        "lock table orders",
    ],
    "A26": [
        "select bump()",
        "select public.bump()",
        "select public.lower('x')",
        "select * from bump()",
        "select * from dblink('host=x', 'select 1') as t(a int)",
        "select lo_import('/etc/passwd')",
        "select lo_create(1)",
        "select pg_read_file('/etc/passwd')",
        "select pg_read_binary_file('/etc/passwd')",
        "select pg_ls_dir('/')",
        "select * from rows from (lower('x'), pg_ls_dir('/'))",
        "select 1 where exists (select lo_create(0))",
        "select id from orders order by bump()",
        "select id from orders group by bump()",
        "select count(*) filter (where bump() > 0) from orders",
        "select sum(id) over (partition by bump()) from orders",
        "select case when true then bump() end",
        "select (select bump())",
        "select array[bump()]",
        "select * from orders limit bump()",
        "select * from orders o join crm.people p on bump() > 0",
        "select 'x' operator(public.+) 'y'",
        "select 'x' === 'y'",
        "select id from orders order by id using operator(public.<)",
        "select query_to_xml('delete from orders', true, true, '')",
        "select pg_notify('x', 'y')",
        "select nextval('s')",
        "select current_setting('data_directory')",
    ],
    "A27": [
        "select pg_sleep(1000000)",
        "select repeat('x', 100000000)",
        "select generate_series(1, 1000000000000)",
        "select * from generate_series(1, 1000000000000)",
        "select pg_advisory_lock(1)",
        "select lpad('x', 100000000)",
        "select regexp_replace('x', '(a+)+$', '')",
        "select 'aaaa' ~ '(a+)+$'",
        "select * from orders tablesample system (100)",
        "select 1" + " union all select 1" * 1000,
        "select " + "not " * 4900 + "true",
        "select " + " + ".join(["1"] * 200),
    ],
    "A28": [
        'select * from "orders; drop table x"',
        'select * from "crm.people"',
        "select * from orders, other",
        "select * from Other",
        "select * from only other",
        "select * from mydb.crm.people",
        "select * from crm.orders",
        "select id from orders union select id from other",
        "select id from orders where id in (select id from other)",
        "select * from lateral (select * from other) x",
        "select * from xmltable('/x' passing '<x/>' columns a int)",
        "select * from json_table('[]', '$' columns (a int))",
    ],
    "A29": [
        "select * from pg_catalog.pg_roles",
        "select * from pg_roles",
        "select * from pg_stat_activity",
        "select * from information_schema.tables",
        "select * from flowbuilder.secrets",
        "select * from pgmq.meta",
        "select current_user",
        "select session_user",
        "select user",
        "select current_catalog",
        "select current_schema",
        "select version()",
        "select 'orders'::regclass",
        "select 1::oid::regrole",
        "select cast('pg_roles' as regclass)",
        "select current_database()",
        "select inet_server_addr()",
        "select has_table_privilege('orders', 'select')",
        # names of WITH that stand elsewhere, or hide what they are
        "select * from (with other as (select 1) select * from other) x, other y",
        "with pg_roles as (select 1) select * from pg_roles",
        "with a as (select * from b), b as (select 1) select * from a",
        "select * from (with pg_authid as (select 1) select 1) x, pg_authid",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(query, id=f"{group}-{number}")
        for group, queries in REFUSED.items()
        for number, query in enumerate(queries)
    ],
)
def test_what_is_more_than_reading_is_refused(query: str) -> None:
    with pytest.raises(Fail) as caught:
        read_query(query, TABLES)
    assert caught.value.code == "sql_refused"


@pytest.mark.parametrize(
    "query",
    [
        "select 1",
        "SELECT o.id, lower(o.city) FROM orders o WHERE o.id BETWEEN 1 AND 9 LIMIT 5",
        "select city, count(*) filter (where paid), sum(total) over (partition by city)"
        " from orders group by city, total having count(*) > 1",
        "with recent as (select * from orders where at > now() - interval '1 day')"
        " select r.id from recent r join crm.people p using (id) where p.name ilike $1",
        "with recursive up as (select id from orders union all select id from up) select * from up",
        "select case when paid then 'x' else 'y' end, coalesce(city, '?'), total::text from orders",
        "select note -> 'a' ->> 'b', note #> '{a,b}' from orders where note @> '{}'::jsonb",
        "select extract(year from at), date_trunc('month', at), current_date from orders",
        "select id from orders where id = any (array[1, 2]) or id in (select id from crm.people)",
        "select distinct on (city) * from orders order by city, at desc nulls last offset 1",
        "select id from orders union select id from crm.people except select 1 intersect select 2",
        "select row(1, 2), nullif(id, 0), greatest(1, 2), position('a' in city) from orders",
        "select ';' as semicolon, '--' as dashes, 'drop table x' as words from orders -- end",
        "select city from orders group by grouping sets ((city), ())",
        "select $1::int, $2::text",
        "with a as (select 1 as x), b as (select x from a) select * from b",
    ],
)  # fmt: skip
def test_what_only_reads_is_run_as_it_stands(query: str) -> None:
    assert read_query(query, TABLES).text == query


def test_parameters_are_counted_and_the_end_is_cut() -> None:
    found = read_query("  select $2::int ; ", TABLES)
    assert (found.text, found.parameters) == ("select $2::int", 2)
    assert read_query("select 'größe' as x;", TABLES).text == "select 'größe' as x"
