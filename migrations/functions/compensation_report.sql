-- What has become of a run's compensations: {compensated: [step, …] in the order in which they were
-- undone, not_compensated: [{step, error}, …]}. `p_error` is why those did not end that are open.
create or replace function flowbuilder.compensation_report(p_run uuid, p_error jsonb)
returns jsonb
language sql stable set search_path = ''
as $$
    select jsonb_build_object(
        'compensated', coalesce(
            jsonb_agg(c.step order by c.place) filter (where c.status = 'completed'), '[]'),
        'not_compensated', coalesce(
            jsonb_agg(jsonb_build_object('step', c.step, 'error', coalesce(c.error, p_error))
                      order by c.place)
                filter (where c.status is distinct from 'completed'), '[]'))
    from flowbuilder.compensations(p_run) c
$$;
