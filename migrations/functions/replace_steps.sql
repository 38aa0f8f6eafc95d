-- Make the steps of a (locked) run those of the version that it executes now: what has started or ended
-- keeps its row, everything else begins anew as what it depends on has come to by now. Then the run goes
-- on, or ends if nothing remains.
create or replace function flowbuilder.replace_steps(p_run uuid, p_version uuid) returns void
language plpgsql set search_path = ''
as $$
declare
    v_now    timestamptz := flowbuilder.now();
    v_ready  flowbuilder.place[];
    v_mapped flowbuilder.place[];
    v_barred flowbuilder.place[];
begin
    delete from flowbuilder.run_steps s
    where s.run_id = p_run and s.status in ('pending', 'failed');
    update flowbuilder.run_steps s set node_id = n.id
    from flowbuilder.version_steps n
    where s.run_id = p_run and n.version_id = p_version and n.position = s.position;
    with coming as (
        select n as node, d.open, d.good, flowbuilder.step_verdict(n, d.open, d.good) as verdict
        from flowbuilder.version_steps n
        cross join lateral (
            select cardinality(n.depends_on) - (count(*) filter (
                       where s.finished_at is not null))::integer as open,
                   (count(*) filter (where s.status = 'completed'))::integer as good
            from flowbuilder.run_steps s
            where s.run_id = p_run and s.position = any (n.depends_on)) d
        where n.version_id = p_version and n.position >= 0 and not exists (
            select from flowbuilder.run_steps s
            where s.run_id = p_run and s.position = n.position)
    ),
    born as (
        insert into flowbuilder.run_steps (run_id, position, step_id, node_id, status,
            remaining_deps, succeeded_deps, task_count, remaining_tasks, started_at)
        select p_run, (c.node).position, (c.node).step_id, (c.node).id,
            case when k.starts then 'running' else 'pending' end, c.open, c.good,
            case when k.starts then 1 end, case when k.starts then 1 end,
            case when k.starts then v_now end
        from coming c
        cross join lateral (select c.verdict = 'starts'
            and ((c.node).for_each is null or (c.node).has_when) as starts) k
    )
    select array_agg((p_run, (c.node).position)::flowbuilder.place order by (c.node).position)
               filter (where c.verdict = 'starts'
                       and ((c.node).for_each is null or (c.node).has_when)),
           array_agg((p_run, (c.node).position)::flowbuilder.place order by (c.node).position)
               filter (where c.verdict = 'starts'
                       and not ((c.node).for_each is null or (c.node).has_when)),
           array_agg((p_run, (c.node).position)::flowbuilder.place order by (c.node).position)
               filter (where c.verdict = 'barred')
    into v_ready, v_mapped, v_barred from coming c;
    update flowbuilder.runs set remaining_steps = (
        select count(*) from flowbuilder.run_steps s
        where s.run_id = p_run and s.finished_at is null)
    where id = p_run;
    if v_ready is not null then
        perform flowbuilder.start_tasks(v_ready, v_now, null, null, 0, null);
    end if;
    perform flowbuilder.settle(v_mapped, v_barred, null);
    perform flowbuilder.finish_runs(array[p_run]);
end
$$;
