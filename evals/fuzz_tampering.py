"""Somebody with a hand in the database: rows changed after, or instead of, a person's decision.

These are the only statements outside the store: no product function does what they do. Each works
in the transaction of the decision, so that no worker sees anything between.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from psycopg.types.json import Json

from flowbuilder.executor.database import Database
from flowbuilder.executor.fingerprints import fingerprint
from flowbuilder.executor.records import ApprovalRow
from flowbuilder.types import JsonObject

EVIL: JsonObject = {"to": "eve@evil.example", "text": "TAMPERED", "amount": 1_000_000}

_DECIDE = b"select flowbuilder.decide(%s, %s::uuid, true, %s, null, null, null)"
_AFTER: dict[str, bytes] = {
    "arguments of the task": b"update flowbuilder.tasks set args = %(evil)s where id = %(task)s",
    "arguments shown": b"update flowbuilder.approvals set args = %(evil)s where id = %(id)s::uuid",
    "arguments shown and their hash": b"""
        update flowbuilder.approvals set args = %(evil)s, args_hash = %(hash)s
        where id = %(id)s::uuid""",
    "everything but the data": b"""
        with a as (update flowbuilder.approvals set args = %(evil)s, args_hash = %(hash)s,
            agreed_hash = %(hash)s where id = %(id)s::uuid)
        update flowbuilder.tasks set args = %(evil)s where id = %(task)s""",
    "edits": b"update flowbuilder.approvals set value = %(evil)s where id = %(id)s::uuid",
    "edits and the task": b"""
        with a as (update flowbuilder.approvals set value = %(evil)s where id = %(id)s::uuid)
        update flowbuilder.tasks set args = %(evil)s where id = %(task)s""",
    "outputs before": b"""
        update flowbuilder.run_steps set output = '{"text": "TAMPERED", "number": 9, "list": []}'
        where run_id = %(run)s::uuid and status = 'completed' and step_id <> %(step)s""",
    "votes": b"update flowbuilder.approvals set votes = '[]' where id = %(id)s::uuid",
    "status": b"update flowbuilder.approvals set status = 'rejected' where id = %(id)s::uuid",
    "the approval's task": b"""
        update flowbuilder.approvals set task_id = -task_id where id = %(id)s::uuid""",
    "the approval is gone": b"delete from flowbuilder.approvals where id = %(id)s::uuid",
}
_FORGE = b"""
    update flowbuilder.tasks set approved = true, status = 'queued', wait = null,
        args = %(args)s, available_at = flowbuilder.now()
    where id = %(task)s and status = 'waiting' returning id"""
KINDS = (*_AFTER, "forged")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tampering:
    """What was done."""

    kind: str
    decided: bool
    """Whether a person has agreed in it."""


async def tamper(
    database: Database, workspace: str, row: ApprovalRow, person: str, random: Random
) -> Tampering:
    """Agree to a gate as a person would, and change something in the same moment; or forge it."""
    kind = random.choice(KINDS)
    evil = dict(EVIL) if row.tool.startswith("act.") else row.args
    named: dict[str, Any] = {
        "evil": Json(evil),
        "hash": fingerprint(evil),
        "task": int(row.task_id),
        "id": row.id,
        "run": row.run_id,
        "step": row.step_id,
        "args": Json(evil),
    }
    async with database.transaction() as connection:
        if kind == "forged":
            await connection.execute("select flowbuilder.lock_runs(array[%(run)s::uuid])", named)
            found = await (await connection.execute(_FORGE, named)).fetchone()
            if found is not None:
                await connection.execute(
                    "select flowbuilder.send_tasks(array[%(task)s::bigint])", named
                )
            return Tampering(kind=kind, decided=False)
        await connection.execute(_DECIDE, (workspace, row.id, person))
        await connection.execute(_AFTER[kind], named)
    return Tampering(kind=kind, decided=True)
