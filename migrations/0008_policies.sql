-- What policy needs to be kept: its documents, what became known of the data of runs, and votes.

-- A policy is never changed: the newest of a workspace counts, and one without a document takes back
-- what was said before. A task names the policy that held when it was leased, by this id.
create table flowbuilder.policies (
    id           bigint generated always as identity primary key,
    workspace_id uuid not null references flowbuilder.workspaces,
    document     json,
    set_at       timestamptz not null,
    set_by       text
);
create index policies_newest on flowbuilder.policies (workspace_id, id);

-- What came from outside, though no tool has declared it: the input of a child run (`input`), and the
-- outputs of steps (`steps.<id>`) that waited for an event or for a child run with data from outside.
create table flowbuilder.run_marks (
    run_id uuid not null,
    mark   text not null,
    primary key (run_id, mark)
);

-- The steps of a version whose tools declared untrusted output where the version was made.
alter table flowbuilder.flow_versions add outside text[] not null default '{}';

-- How many different people have to agree, and who has: [{by, hash, at, comment, value}], all of them
-- to arguments of the same hash, which is `agreed_hash` once there are enough.
alter table flowbuilder.approvals
    add quorum integer not null default 1 check (quorum between 1 and 20),
    add votes json not null default '[]',
    add agreed_hash text;
