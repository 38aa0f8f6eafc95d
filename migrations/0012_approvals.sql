-- Approvals as people decide them: what is known of the risk, who may not decide, what was said and
-- done about each, delegations, links by which one person decides one approval, and who is told.

-- `excluded` are the people who may not decide because it is their own affair; names without `user:`,
-- in small letters. `locked` are pointers into the arguments that edits must leave alone. `escalation`
-- is [{after_seconds, to}] in order, `escalated` how many of these have come about.
alter table flowbuilder.approvals
    add risk text not null default 'low' check (risk in ('low', 'medium', 'high')),
    add reasons json not null default '[]',
    add taint json not null default '[]',
    add policy_id bigint,
    add requested_by text,
    add separate_duties boolean not null default false,
    add excluded text[] not null default '{}',
    add locked text[] not null default '{}',
    add rejections integer not null default 1 check (rejections between 1 and 20),
    add refusals json not null default '[]',
    add escalation json not null default '[]',
    add escalated integer not null default 0 check (escalated >= 0),
    add escalate_at timestamptz;
create index approvals_escalating on flowbuilder.approvals (escalate_at)
    where status = 'pending' and escalate_at is not null;

-- Who has made a version, and who has changed its draft last: whoever the transaction names.
alter table flowbuilder.flows
    add edited_by text default nullif(current_setting('flowbuilder.actor', true), '');
alter table flowbuilder.flow_versions
    add created_by text default nullif(current_setting('flowbuilder.actor', true), ''),
    add edited_by text;
-- The function is made with the others, later. What is published moves the head and edits nothing.
create function flowbuilder.note_editor() returns trigger
language plpgsql set search_path = ''
as $$ begin return new; end $$;
create trigger flows_note_editor before update on flowbuilder.flows for each row
    when (new.revision <> old.revision and new.head is not distinct from old.head)
    execute function flowbuilder.note_editor();
create trigger flow_versions_note_editor before insert on flowbuilder.flow_versions for each row
    execute function flowbuilder.note_editor();

-- What was said and done about an approval, in order. Nothing here is ever changed.
create table flowbuilder.approval_acts (
    id           bigint generated always as identity primary key,
    workspace_id uuid not null,
    approval_id  uuid not null references flowbuilder.approvals on delete cascade,
    at           timestamptz not null,
    act          text not null
        check (act in ('approve', 'reject', 'comment', 'escalate', 'link', 'notice', 'refuse')),
    by           text,
    on_behalf    text,
    channel      text,
    comment      text,
    hash         text,
    value        json
);
create index approval_acts_of on flowbuilder.approval_acts (approval_id, id);

-- Until when somebody may decide what another one is asked for.
create table flowbuilder.approval_delegations (
    id           uuid primary key default gen_random_uuid(),
    workspace_id uuid not null,
    of_user      text not null,
    to_user      text not null,
    created_at   timestamptz not null,
    created_by   text,
    ends_at      timestamptz not null,
    revoked_at   timestamptz,
    check (of_user <> to_user),
    check (ends_at > created_at)
);
create index approval_delegations_to on flowbuilder.approval_delegations (workspace_id, to_user)
    where revoked_at is null;

-- SHA-256 of links by which one person decides one approval, once.
create table flowbuilder.approval_links (
    hash         bytea primary key check (length(hash) = 32),
    workspace_id uuid not null,
    approval_id  uuid not null references flowbuilder.approvals on delete cascade,
    user_name    text not null,
    created_at   timestamptz not null,
    expires_at   timestamptz not null,
    used_at      timestamptz
);
create index approval_links_of on flowbuilder.approval_links (approval_id);

-- Where a workspace's approvals are told: to a person (`user_name`, who gets a link) or to a room
-- (`audience`: asked of whom; empty for all). `webhook` names a secret, it is never the address.
create table flowbuilder.approval_channels (
    workspace_id uuid not null,
    name         text not null,
    kind         text not null check (kind in ('email', 'slack')),
    user_name    text,
    address      text,
    webhook      text,
    audience     text[] not null default '{}',
    updated_at   timestamptz not null,
    updated_by   text,
    primary key (workspace_id, name),
    check ((kind = 'email') = (address is not null)),
    check ((kind = 'slack') = (webhook is not null))
);

-- What is to be told, written with the approval itself, so that no crash loses it.
create table flowbuilder.approval_notices (
    id           bigint generated always as identity primary key,
    workspace_id uuid not null,
    approval_id  uuid not null references flowbuilder.approvals on delete cascade,
    channel      text not null,
    level        integer not null,
    status       text not null default 'waiting'
        check (status in ('waiting', 'sent', 'failed', 'dropped')),
    attempts     integer not null default 0,
    next_at      timestamptz not null,
    error        text,
    created_at   timestamptz not null,
    sent_at      timestamptz,
    unique (approval_id, channel, level)
);
create index approval_notices_due on flowbuilder.approval_notices (next_at)
    where status = 'waiting';

create index approvals_decided on flowbuilder.approvals (decided_at) where decided_at is not null;
