"""Lets the database note every change of a state by itself."""

from __future__ import annotations

from flowbuilder.executor.database import Database

#: `before` is empty where a row began in that state.
NOTING = """
create table public.transitions (
    relation text, before text, after text, primary key (relation, before, after)
);
create function public.note_transition() returns trigger language plpgsql as $$
begin
    insert into public.transitions
    values (tg_table_name, case tg_op when 'UPDATE' then old.status else '' end, new.status)
    on conflict do nothing;
    return null;
end $$;
""" + "".join(
    f"""
create trigger born after insert on flowbuilder.{relation}
    for each row execute function public.note_transition();
create trigger changed after update of status on flowbuilder.{relation}
    for each row when (old.status <> new.status) execute function public.note_transition();
"""
    for relation in ("runs", "run_steps", "tasks", "approvals")
)
_NOTED = b"select before, after from public.transitions where relation = %s"


async def noted(database: Database, relation: str) -> set[tuple[str, str]]:
    """Return the changes of state of a table, `(before, after)` each."""
    rows = await database.fetch_all(_NOTED, (relation,))
    return {(row["before"], row["after"]) for row in rows}
