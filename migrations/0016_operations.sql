-- What those who run flowbuilder look at: traces that go on from process to process, runs that were
-- counted, and events in the life of the engine that happen seldom.

-- The W3C `traceparent` of what made the row, as the statement's transaction says it
-- (flowbuilder/telemetry/tracing.py). A task that stays with its worker never has a message, so this
-- cannot be a header of one. Where nothing is traced, this is null and costs a look at a setting that
-- is not there.
alter table flowbuilder.runs add trace text;
alter table flowbuilder.runs alter trace
    set default nullif(current_setting('flowbuilder.trace', true), '');
alter table flowbuilder.tasks add trace text;
alter table flowbuilder.tasks alter trace
    set default nullif(current_setting('flowbuilder.trace', true), '');

-- Who decided, for the trace of the step that goes on then. The function is made with the others, later.
alter table flowbuilder.approvals add trace text;
create function flowbuilder.trace_decision() returns trigger
language plpgsql set search_path = ''
as $$ begin return new; end $$;
create trigger approvals_trace before update of status on flowbuilder.approvals for each row
    when (nullif(current_setting('flowbuilder.trace', true), '') is not null)
    execute function flowbuilder.trace_decision();

-- Ended runs that some process has counted and told of, each once (observe_ends.sql). Written only by
-- processes whose metrics or traces are read.
create table flowbuilder.observed_runs (
    run_id uuid primary key
);

-- How often something happened that happens seldom. Only ever inserted; fold_tallies.sql adds them up.
create table flowbuilder.tallies (
    name   text not null,
    amount bigint not null
);
create index tallies_name on flowbuilder.tallies (name);

-- What ended long ago is found by this.
create index sessions_ended on flowbuilder.sessions (ended_at) where ended_at is not null;
create index audit_log_age on flowbuilder.audit_log (at);
