"""Compares what two databases hold, by their catalogs."""

from __future__ import annotations

import psycopg

#: Each query gives (what, name, definition). Objects of an extension are the extension's.
_QUERIES = (
    """
    select 'relation', c.relname,
           concat_ws(' ', c.relkind, c.relpersistence, array_to_string(c.reloptions, ','))
    from pg_class c
    where c.relnamespace = %(schema)s::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S')
    """,
    """
    select 'column', c.relname || '.' || a.attname,
           concat_ws(' ', a.attnum, format_type(a.atttypid, a.atttypmod),
                     case when a.attnotnull then 'not null' end,
                     'default ' || pg_get_expr(d.adbin, d.adrelid),
                     nullif(a.attgenerated, ''), nullif(a.attidentity, ''))
    from pg_attribute a
    join pg_class c on c.oid = a.attrelid
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where c.relnamespace = %(schema)s::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'c')
      and a.attnum > 0 and not a.attisdropped
    """,
    """
    select 'constraint', coalesce(r.relname, t.typname) || '.' || c.conname,
           pg_get_constraintdef(c.oid)
    from pg_constraint c
    left join pg_class r on r.oid = c.conrelid
    left join pg_type t on t.oid = c.contypid
    where c.connamespace = %(schema)s::regnamespace
    """,
    """
    select 'index', i.indexname, i.indexdef from pg_indexes i where i.schemaname = %(schema)s
    """,
    """
    select 'trigger', c.relname || '.' || t.tgname, pg_get_triggerdef(t.oid)
    from pg_trigger t join pg_class c on c.oid = t.tgrelid
    where c.relnamespace = %(schema)s::regnamespace and not t.tgisinternal
    """,
    """
    select 'type', t.typname,
           concat_ws(' ', t.typtype, nullif(format_type(t.typbasetype, t.typtypmod), '-'),
                     (select string_agg(e.enumlabel, ',' order by e.enumsortorder)
                      from pg_enum e where e.enumtypid = t.oid))
    from pg_type t
    where t.typnamespace = %(schema)s::regnamespace and t.typtype in ('c', 'd', 'e')
      and t.typname not in (select relname from pg_class
                            where relnamespace = t.typnamespace and relkind <> 'c')
    """,
    """
    select 'function', p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
           pg_get_functiondef(p.oid)
    from pg_proc p
    where p.pronamespace = %(schema)s::regnamespace and p.prokind in ('f', 'p')
    """,
    """
    select 'comment', c.relname || coalesce('.' || a.attname, ''), d.description
    from pg_description d
    join pg_class c on c.oid = d.objoid and d.classoid = 'pg_class'::regclass
    left join pg_attribute a on a.attrelid = c.oid and a.attnum = d.objsubid and d.objsubid > 0
    where c.relnamespace = %(schema)s::regnamespace
    """,
    """
    select 'grant', n.nspname, array_to_string(n.nspacl, ',')
    from pg_namespace n where n.nspname = %(schema)s
    """,
)


def catalog(dsn: str, *schemas: str) -> dict[str, str]:
    """Return `{"what schema.name": definition}` of everything in the schemas."""
    found: dict[str, str] = {}
    with psycopg.connect(dsn) as connection:
        for schema in schemas:
            for query in _QUERIES:
                for what, name, definition in connection.execute(
                    query.encode(), {"schema": schema}
                ):
                    found[f"{what} {schema}.{name}"] = definition
    return found


def functions(dsn: str, schema: str = "flowbuilder") -> set[str]:
    """Return the signatures of a schema's functions."""
    start = f"function {schema}."
    return {name.removeprefix(start) for name in catalog(dsn, schema) if name.startswith(start)}
