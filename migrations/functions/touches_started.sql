-- Whether a new plan for the rest of a (locked) run says something else than what has started or ended
-- in it, or leaves a step in place that has failed unknown to the planner.
create or replace function flowbuilder.touches_started(
    p_run flowbuilder.runs, p_document json, p_failed text[]
) returns boolean
language sql stable set search_path = ''
as $$
    select exists (
        select from flowbuilder.run_steps s
        left join (
            select d.step ->> 'id' as id, d.step::jsonb as step
            from json_array_elements(p_document -> 'steps') as d (step)) n on n.id = s.step_id
        left join (
            select d.step ->> 'id' as id, d.step::jsonb as step
            from flowbuilder.flow_versions v, json_array_elements(v.document -> 'steps') as d (step)
            where v.id = p_run.version_id) o on o.id = s.step_id
        where s.run_id = p_run.id and case s.status
            when 'pending' then false
            when 'failed' then s.step_id <> all (p_failed)
            else n.step is distinct from o.step end)
$$;
