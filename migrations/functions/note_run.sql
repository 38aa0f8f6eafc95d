-- Note a run of a plan to be learnt from once it has ended.
create or replace function flowbuilder.note_run(p_workspace uuid, p_run uuid, p_plan uuid)
returns void
language sql set search_path = ''
as $$
    insert into flowbuilder.memory_pending (run_id, workspace_id, plan_id, noted_at)
    select p_run, p_workspace, p_plan, flowbuilder.now()
    where not exists (select from flowbuilder.memories m where m.run_id = p_run)
    on conflict do nothing
$$;
