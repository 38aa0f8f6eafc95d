-- Refuse what would store more in a workspace that has as much as it may, as it was measured last.
create or replace function flowbuilder.check_stored(p_workspace uuid) returns void
language plpgsql set search_path = ''
as $$
declare
    v_gate  flowbuilder.gates;
    v_known flowbuilder.usage_measures;
    v_over  record;
begin
    select * into v_gate from flowbuilder.gates g where g.workspace_id = p_workspace;
    if v_gate.stored_bytes is null and v_gate.events_kept is null then
        return;
    end if;
    v_known := flowbuilder.measure_usage(p_workspace);
    select o.* into v_over from (values
        ('stored_bytes', v_known.stored_bytes, v_gate.stored_bytes, 'stored bytes'),
        ('events_kept', v_known.events, v_gate.events_kept, 'events')) as o (quota, used, most, what)
    where o.used >= o.most limit 1;
    if v_over.quota is not null then
        perform flowbuilder.refuse('conflict', 'quota_' || v_over.quota, format(
            'the workspace may keep %s %s and has %s: prune what has ended', v_over.most,
            v_over.what, v_over.used), jsonb_build_object('quota', v_over.quota,
            'limit', v_over.most, 'used', v_over.used, 'measured_at', v_known.measured_at));
    end if;
end
$$;
