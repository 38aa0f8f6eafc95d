-- Refuse the start of `p_made` runs, a moment ago in this transaction, if by them the workspace has
-- more open runs than it may. Counting costs as much as there are open runs, so under a bound above a
-- thousand it is done now and then, the sooner the more start at once: some more may begin then.
create or replace function flowbuilder.bound_open_runs(
    p_workspace uuid, p_made integer, p_bound integer
) returns void
language plpgsql set search_path = ''
as $$
declare
    v_open integer;
begin
    if p_bound > 1000 and p_made <= p_bound and random() * p_bound > 1000.0 * p_made then
        return;
    end if;
    select count(*) into v_open from (
        select from flowbuilder.runs r
        where r.workspace_id = p_workspace and r.finished_at is null limit p_bound + 1) o;
    if v_open > p_bound then
        perform flowbuilder.refuse('conflict', 'too_many_runs', format(
            'the workspace may have %s open runs and would have more', p_bound),
            jsonb_build_object('limit', p_bound));
    end if;
end
$$;
