-- What an exchange leaves to do when its events are written: open maps, skip steps that can never
-- start, tell the families of ended runs, everything that is not a plain completion, and at last the
-- end of the runs in `p_broke`, which are over their budget. Returns the verdicts of outcomes that
-- were not accepted.
create or replace function flowbuilder.close_turn(
    p_worker uuid, p_outcomes flowbuilder.outcome[], p_closed bigint[], p_over uuid[],
    p_mapped flowbuilder.place[], p_barred flowbuilder.place[], p_poisoned bigint[],
    p_broke uuid[] default null
) returns json
language plpgsql set search_path = ''
as $$
declare
    v_denied json;
begin
    if p_mapped is not null or p_barred is not null then
        perform flowbuilder.settle(p_mapped, p_barred, '{}');
    end if;
    if p_over is not null then
        perform flowbuilder.tell_family(p_over);
    end if;
    if coalesce(cardinality(p_closed), 0) < cardinality(p_outcomes) then
        v_denied := flowbuilder.apply_outcomes(p_worker, p_outcomes, coalesce(p_closed, '{}'));
        perform flowbuilder.free_slots(array(select o.task_id from unnest(p_outcomes) o));
    end if;
    if p_poisoned is not null then
        perform flowbuilder.finish_tasks(array(
            select (t.id, 'failed', null, jsonb_build_object('code', 'poison', 'message', format(
                'claimed %s times without an outcome: it takes its workers down', t.claims - 1)),
                null)::flowbuilder.task_result
            from flowbuilder.tasks t where t.id = any (p_poisoned) order by t.id));
        perform flowbuilder.free_slots(p_poisoned);
    end if;
    if cardinality(p_broke) > 0 then
        perform flowbuilder.stop_over_budget(p_broke, true);
    end if;
    return v_denied;
end
$$;
