-- Keep what runs have taught: one statement for all, and each run once, however often it is told.
-- Of a workspace the newest `p_most` are kept.
create or replace function flowbuilder.learn(p_workspace uuid, p_rows json, p_most integer)
returns integer
language plpgsql set search_path = ''
as $$
declare
    v_learnt integer;
begin
    with told as (
        select * from json_to_recordset(p_rows) as t (run_id uuid, plan_id uuid, goal text,
            stems json, planner text, tools json, plan json, outcome text, failures json,
            rejected json, seconds double precision, tokens bigint, cost_usd double precision)
    ), done as (  -- whose row is gone was learnt from by somebody else, or is to be forgotten
        delete from flowbuilder.memory_pending p using told t
        where p.run_id = t.run_id and p.workspace_id = p_workspace
        returning p.run_id
    )
    insert into flowbuilder.memories (workspace_id, run_id, plan_id, goal, stems, planner, tools,
        plan, outcome, failures, rejected, seconds, tokens, cost_usd, learned_at)
    select p_workspace, t.run_id, t.plan_id, t.goal,
        array(select json_array_elements_text(t.stems)), t.planner,
        array(select json_array_elements_text(t.tools)), flowbuilder.checked(t.plan), t.outcome,
        t.failures, array(select json_array_elements_text(t.rejected)), t.seconds, t.tokens,
        t.cost_usd, flowbuilder.now()
    from told t join done d on d.run_id = t.run_id
    on conflict (run_id) do nothing;
    get diagnostics v_learnt = row_count;
    if v_learnt > 0 then
        delete from flowbuilder.memories m
        where m.workspace_id = p_workspace and m.number <= (
            select n.number from flowbuilder.memories n where n.workspace_id = p_workspace
            order by n.number desc offset greatest(p_most, 1) limit 1);
    end if;
    return v_learnt;
end
$$;
