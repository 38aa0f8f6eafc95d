-- What is leased to a worker, each task once.
create or replace function flowbuilder.leased_tasks(p_worker uuid)
returns setof flowbuilder.tasks
language sql stable rows 100 set search_path = ''
as $$
    select t.*
    from (select distinct g.id
          from flowbuilder.leases l cross join lateral unnest(l.tasks) as g (id)
          where l.worker_id = p_worker and l.id >= (
              select w.leases_from from flowbuilder.workers w where w.id = p_worker)) h
    cross join lateral (  -- one by one, by the key, whatever the planner thinks of arrays
        select t.* from flowbuilder.tasks t where t.id = h.id limit 1) t
    where t.worker_id = p_worker and t.status = 'running'
$$;
