-- What is leased to a worker that it does not know of, because a reply was lost: handed out again
-- under the same fence.
create or replace function flowbuilder.unheard_tasks(p_worker uuid, p_held jsonb) returns bigint[]
language plpgsql stable set search_path = ''
as $$
begin
    return (select coalesce(array_agg(t.id), '{}')
    from flowbuilder.tasks t
    where t.worker_id = p_worker and t.status = 'running'
      and not exists (
          select from jsonb_array_elements(p_held) h
          where (h ->> 0)::bigint = t.id and (h ->> 1)::integer = t.fence));
end
$$;
