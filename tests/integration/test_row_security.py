"""Row-level security seen from the engine: for its role there is no rule to be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from flowbuilder.errors import DatabaseError
from flowbuilder.executor.database import Database
from flowbuilder.executor.migrator import migrate
from flowbuilder.executor.records import DEFAULT_WORKSPACE
from flowbuilder.executor.scoped import ScopedDatabase, check_role
from tests.support.api import ECHO, GATED, INPUT, connect

#: As managed services hand them out: owners of a database that are no superusers.
OWNER, NOBODY = "flowbuilder_test_owner", "flowbuilder_test_nobody"


@pytest.fixture
def owned_dsn(server_dsn: str, empty_dsn: str) -> Iterator[str]:
    """A database that belongs to a role which may make roles and is no superuser."""
    yield from _owned(server_dsn, empty_dsn, OWNER, "createrole")


@pytest.fixture
def bare_dsn(server_dsn: str, empty_dsn: str) -> Iterator[str]:
    """A database that belongs to a role which may not even make roles."""
    yield from _owned(server_dsn, empty_dsn, NOBODY, "")


def _owned(server_dsn: str, dsn: str, role: str, rights: str) -> Iterator[str]:
    name = urlsplit(dsn).path.removeprefix("/")
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        known = connection.execute("select from pg_roles where rolname = %s", (role,)).fetchone()
        if known is None:
            connection.execute(f"create role {role} login nosuperuser {rights}")
        if rights:
            # another test may be making it at this moment, by a migration of its own
            connection.execute(
                "do $$ begin create role flowbuilder_app nologin;"
                " exception when duplicate_object or unique_violation then null; end $$"
            )
            connection.execute(f"grant flowbuilder_app to {role} with admin option")
        connection.execute(f"alter database {name} owner to {role}")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"alter schema public owner to {role}")
    yield psycopg.conninfo.make_conninfo(dsn, user=role)


async def test_an_owner_that_is_no_superuser_works_for_every_workspace(owned_dsn: str) -> None:
    document = {"flow": "sent", "input": INPUT, "steps": [ECHO, GATED]}
    async with connect(owned_dsn, worker=True) as builder:
        run = await builder.execute(document, {"value": 0})
        async for event in run.events():
            if event.type == "approval_requested":
                [approval] = await builder.approvals()
                await builder.approve(approval.id, by="ada")
        result = await run.result(timeout=60)
        assert result == {"send": [0, 0, False, "", None]}
        database = builder.store.database
        await check_role(database)
        row = await database.fetch_one(
            b"select rolsuper from pg_roles where rolname = current_user"
        )
        assert row == {"rolsuper": False}
        inside = ScopedDatabase(database, DEFAULT_WORKSPACE)
        outside = ScopedDatabase(database, run.id)
        for scoped, found in ((inside, 1), (outside, 0), (database, 1)):
            assert len(await scoped.fetch_all(b"select id from flowbuilder.runs")) == found


async def test_where_no_role_can_be_made_all_but_the_service_works(
    bare_dsn: str, server_dsn: str
) -> None:
    async with connect(bare_dsn, worker=True) as builder:
        run = await builder.execute({"flow": "x", "input": INPUT, "steps": [ECHO]}, {"value": 1})
        await run.result(timeout=60)
        with pytest.raises(DatabaseError) as refused:
            await check_role(builder.store.database)
    assert refused.value.code == "app_role_missing"
    assert "grant flowbuilder_app to" in (refused.value.hint or "")
    with psycopg.connect(server_dsn, autocommit=True) as administrator:
        administrator.execute(f"grant flowbuilder_app to {NOBODY}")
        try:
            async with await Database.open(bare_dsn) as database:
                await check_role(database)
                for workspace, found in ((DEFAULT_WORKSPACE, 1), (run.id, 0)):
                    inside = ScopedDatabase(database, workspace)
                    assert len(await inside.fetch_all(b"select id from flowbuilder.runs")) == found
        finally:
            administrator.execute(f"revoke flowbuilder_app from {NOBODY}")


async def test_the_engine_sees_no_rule(owned_dsn: str) -> None:
    """The rules are no part of the plans of the engine's role, whether superuser or owner."""
    async with await Database.open(owned_dsn) as database:
        await migrate(database)
        row = await database.fetch_one(
            b"select count(*) as n from pg_class where relnamespace = 'flowbuilder'::regnamespace"
            b" and relrowsecurity and relforcerowsecurity"
        )
        assert row is not None
        assert row["n"] > 10
        for statement in (
            b"explain update flowbuilder.tasks set fence = fence + 1 where id = 1",
            b"explain select * from flowbuilder.runs where id = gen_random_uuid()",
            b"explain insert into flowbuilder.run_holds select * from flowbuilder.run_holds",
            b"explain select * from flowbuilder.run_steps s join flowbuilder.version_steps v"
            b" on v.id = s.node_id",
        ):
            plan = await database.fetch_all(statement)
            told = "\n".join(line["QUERY PLAN"] for line in plan)
            assert "this_workspace" not in told
            assert "SubPlan" not in told
            inside = await ScopedDatabase(database, DEFAULT_WORKSPACE).fetch_all(statement)
            within = "\n".join(line["QUERY PLAN"] for line in inside)
            assert told != within
            assert "hashed" not in within


async def test_a_connection_carries_no_workspace_over(database: Database) -> None:
    inside = ScopedDatabase(database, DEFAULT_WORKSPACE)
    asked = b"select current_user as role, flowbuilder.this_workspace() as workspace"
    for _ in range(20):
        row = await inside.fetch_one(asked)
        assert row is not None
        assert (row["role"], str(row["workspace"])) == ("flowbuilder_app", DEFAULT_WORKSPACE)
        with pytest.raises(DatabaseError):
            await inside.fetch_one(b"select * from flowbuilder.users")
        row = await database.fetch_one(asked)
        assert row is not None
        assert row["role"] != "flowbuilder_app"
        assert row["workspace"] is None


async def test_the_services_role_reads_the_log_and_writes_it_and_no_more(
    database: Database,
) -> None:
    inside = ScopedDatabase(database, DEFAULT_WORKSPACE)
    await inside.execute(
        b"select flowbuilder.note_audit('{\"actor\": \"ada\"}', %s, 'test', null)",
        (DEFAULT_WORKSPACE,),
    )
    assert len(await inside.fetch_all(b"select * from flowbuilder.audit_log")) == 1
    for statement in (
        b"update flowbuilder.audit_log set actor = 'bob'",
        b"delete from flowbuilder.audit_log",
        b"truncate flowbuilder.audit_log",
        b"select * from flowbuilder.sessions",
        b"select * from flowbuilder.api_keys",
        b"update flowbuilder.workspaces set slug = 'mine'",
        b"insert into flowbuilder.members select * from flowbuilder.members",
        b"select flowbuilder.caller_of_session(null, null, null)",
        b"select flowbuilder.exchange(null, null, null, null, null)",
        b"select flowbuilder.grant_access()",
        b"alter table flowbuilder.runs disable row level security",
        b"create table flowbuilder.mine (id integer)",
    ):
        with pytest.raises(DatabaseError) as refused:
            await inside.execute(statement)
        said = refused.value.message
        assert "permission denied" in said or "must be owner" in said, (statement, said)


#: What the service's role sees nothing of.
CLOSED = {
    "api_keys",
    "approval_links",
    "approval_notices",
    "invitations",
    "leases",
    "login_buckets",
    "members",
    "observed_runs",
    "rate_buckets",
    "refresh_tokens",
    "sessions",
    "tallies",
    "users",
}
#: What belongs to no workspace, and what the role may do there.
SHARED = {
    "clock": {"SELECT"},
    "deliveries": {"INSERT"},
    "limit_slots": {"SELECT", "INSERT", "UPDATE", "DELETE"},
    "migrations": {"SELECT"},
    "queue_gaps": {"SELECT"},
    "schedule_switch": {"SELECT"},
    "slot_news": {"SELECT", "INSERT", "UPDATE", "DELETE"},
    "slot_uses": {"SELECT", "INSERT", "UPDATE", "DELETE"},
    "suspects": {"SELECT", "INSERT", "UPDATE", "DELETE"},
    "tool_limits": {"SELECT"},
    "watch": {"SELECT"},
    "worker_holds": {"SELECT"},
    "workers": {"SELECT"},
}


async def test_every_table_is_closed_shared_or_behind_the_wall(database: Database) -> None:
    rows = await database.fetch_all(
        b"select c.relname as name, c.relrowsecurity and c.relforcerowsecurity as guarded,"
        b" array(select p from unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE',"
        b" 'REFERENCES', 'TRIGGER']) p where has_table_privilege('flowbuilder_app', c.oid, p))"
        b" as rights from pg_class c where c.relnamespace = 'flowbuilder'::regnamespace"
        b" and c.relkind in ('r', 'p', 'v', 'm') order by c.relname"
    )
    for row in rows:
        name, rights = row["name"], set(row["rights"])
        if name in CLOSED:
            assert not rights, f"{name} is open to the service's role"
        elif name in SHARED:
            assert rights == SHARED[name], name
        else:
            assert row["guarded"], (
                f"the table {name} has neither workspace_id, run_id nor version_id, so requests of "
                "users cannot use it: give it one, or name it in "
                "migrations/functions/grant_access.sql and in SHARED or CLOSED here"
            )
            assert not rights & {"TRUNCATE", "REFERENCES", "TRIGGER"}, name
    assert {row["name"] for row in rows} >= CLOSED | SHARED.keys()


async def test_workers_are_counted_inside_of_a_workspace_too(owned_dsn: str) -> None:
    async with connect(owned_dsn, worker=True) as builder:
        inside = ScopedDatabase(builder.store.database, DEFAULT_WORKSPACE)
        rows = await inside.fetch_all(b"select * from flowbuilder.crew(flowbuilder.now())")
        assert [(row["alive"], row["running"]) for row in rows] == [(True, 0)]
