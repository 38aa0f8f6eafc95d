-- Let new runs, of which no step has begun, wait to be let in.
create or replace function flowbuilder.keep_back(p_runs uuid[]) returns void
language sql set search_path = ''
as $$
    insert into flowbuilder.admissions (run_id, workspace_id, flow, priority, since, state)
    select r.id, r.workspace_id, r.flow, r.priority, r.created_at, 'waiting'
    from flowbuilder.runs r where r.id = any (p_runs)
$$;
