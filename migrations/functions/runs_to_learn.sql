-- Runs of plans that have ended and were not learnt from, oldest first: the plan, how the run went,
-- which tools failed in it or in its child runs and with which codes, and which of them people
-- rejected. Runs that were deleted meanwhile are forgotten.
create or replace function flowbuilder.runs_to_learn(p_workspace uuid, p_limit integer)
returns table (run_id uuid, plan_id uuid, document json, outcome text, seconds double precision,
    failures json, rejected text[])
language plpgsql set search_path = ''
as $$
begin
    delete from flowbuilder.memory_pending p
    where p.workspace_id = p_workspace
      and not exists (select from flowbuilder.runs r where r.id = p.run_id);
    return query
    select r.id, l.id, l.document, r.status,
        extract(epoch from r.finished_at - r.started_at)::double precision,
        (select coalesce(json_agg(distinct jsonb_build_object('tool', f.tool, 'code', f.code)), '[]')
         from flowbuilder.failed_tools(r.id) f where not f.rejected),
        array(select distinct f.tool from flowbuilder.failed_tools(r.id) f where f.rejected
              order by f.tool)
    from flowbuilder.memory_pending p
    join flowbuilder.runs r on r.id = p.run_id and r.workspace_id = p_workspace
    join flowbuilder.plans l on l.id = p.plan_id
    where p.workspace_id = p_workspace and r.finished_at is not null
    order by p.noted_at, p.run_id
    limit least(greatest(p_limit, 1), 1000);
end
$$;
