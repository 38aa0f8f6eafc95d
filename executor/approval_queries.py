"""Statements about approvals, who is asked, and who is told."""

from __future__ import annotations

from typing import Final

APPROVALS_OF: Final = b"""
    select a.*, r.flow from flowbuilder.approvals_of(
        %s, %s, %s, %s::uuid, %s, %s::uuid) a
    join flowbuilder.runs r on r.id = a.run_id order by a.requested_at, a.id"""
DECIDE: Final = b"""
    select d.*, r.flow from flowbuilder.decide(%s, %s::uuid, %s, %s, %s, %s, %s, %s, %s) d
    join flowbuilder.runs r on r.id = d.run_id"""
MANDATE: Final = b"""
    select coalesce(m.refusal, case when a.status in ('approved', 'rejected', 'cancelled')
        then 'decided' when a.status = 'expired' or a.deadline_at <= flowbuilder.now()
        then 'over' end) as refusal
    from flowbuilder.approvals a
    cross join lateral flowbuilder.mandate(a, %s, %s) m
    where a.workspace_id = %s and a.id = %s::uuid"""
#: What decides, and what is said and told beside: so much of the one never hides the other.
ACTS: Final = b"""
    with given as (select %s::uuid as workspace, %s::uuid as approval, %s::integer as most)
    select c.* from given g cross join lateral (
        (select d.* from flowbuilder.approval_acts d
         where d.workspace_id = g.workspace and d.approval_id = g.approval
           and d.act in ('approve', 'reject', 'refuse', 'escalate') order by d.id desc limit g.most)
        union all
        (select o.* from flowbuilder.approval_acts o
         where o.workspace_id = g.workspace and o.approval_id = g.approval
           and o.act in ('comment', 'link', 'notice') order by o.id desc limit g.most)) c
    order by c.id"""
COMMENT: Final = b"select * from flowbuilder.comment_approval(%s, %s::uuid, %s, %s, %s)"
NOTE_REFUSAL: Final = b"""
    select flowbuilder.note_act(a, 'refuse', 'worker', '{"channel": "worker"}', %s)
    from flowbuilder.approvals a where a.id = %s::uuid"""

DELEGATE: Final = b"""
    select * from flowbuilder.delegate_approvals(
        %s, %s, %s, %s::timestamptz, %s::float8, %s, %s)"""
END_DELEGATION: Final = b"select flowbuilder.end_delegation(%s, %s::uuid, %s, %s)"
DELEGATIONS: Final = b"""
    select d.* from flowbuilder.approval_delegations d
    where d.workspace_id = %s and d.revoked_at is null and d.ends_at > flowbuilder.now()
    order by d.created_at, d.id limit 1000"""

PUT_CHANNEL: Final = b"select * from flowbuilder.put_channel(%s, %s, %s, %s, %s)"
CONFIRM_CHANNEL: Final = b"select * from flowbuilder.confirm_channel(%s, %s, %s, %s, %s)"
DROP_CHANNEL: Final = b"select flowbuilder.drop_channel(%s, %s, %s)"
CHANNELS: Final = b"""
    select c.* from flowbuilder.approval_channels c where c.workspace_id = %s order by c.name"""

MAKE_LINK: Final = b"select flowbuilder.make_link(%s, %s::uuid, %s, %s, %s) as expires_at"
READ_LINK: Final = b"select l.* from flowbuilder.approval_links l where l.hash = %s"

ESCALATE: Final = b"select flowbuilder.escalate_approvals(%s) as runs"
CLAIM_NOTICES: Final = b"select * from flowbuilder.claim_notices(%s, %s::float8)"
CLOSE_NOTICE: Final = b"select flowbuilder.close_notice(%s, %s, %s, %s)"
FIGURES: Final = b"select flowbuilder.approval_figures(%s::uuid, %s::timestamptz) as figures"
