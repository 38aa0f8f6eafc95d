-- A (locked) run ends: nobody has to plan it anew any more. With the `p_error` that it would fail with,
-- the answer is what it does fail with: where a new plan was waited for, the error that made it needed,
-- and under `replan` why there is none. Without one the run was cancelled.
create or replace function flowbuilder.close_replan(p_run uuid, p_error jsonb) returns jsonb
language plpgsql set search_path = ''
as $$
declare
    v_replan flowbuilder.replans;
    v_reason jsonb := p_error || case when p_error ->> 'code' = 'plan_abandoned'
                                 then '{"code": "replan_abandoned"}' else '{}' end::jsonb;
begin
    update flowbuilder.replans
    set status = case when p_error is null then 'cancelled' else 'refused' end,
        decided_at = flowbuilder.now(), reason = v_reason
    where run_id = p_run and status = 'open' returning * into v_replan;
    if not found or p_error is null then
        return p_error;
    end if;
    return v_replan.error || jsonb_build_object('replan', v_reason);
end
$$;
