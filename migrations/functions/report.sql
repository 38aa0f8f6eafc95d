-- Complete what the outcomes say is completed, and carry the runs on: mapped steps admit further
-- elements, steps that are ready become tasks. Those are leased to this worker at once, as far as it
-- has room; while others wait in the queue, whose head is at `p_head`, they get half of it, and nothing
-- while a higher class does.
-- The caller holds the runs' locks, records `events` and `ended`, and opens `mapped` and skips
-- `barred` after that.
create or replace function flowbuilder.report(
    p_worker uuid, p_tools text[], p_outcomes flowbuilder.outcome[], p_free integer,
    p_head timestamptz, p_now timestamptz, p_lease interval,
    out closed bigint[], out leased bigint[], out events flowbuilder.event_draft[],
    out ended flowbuilder.place[], out mapped flowbuilder.place[], out barred flowbuilder.place[],
    out admitted boolean
)
language plpgsql set search_path = ''
as $$
declare
    v_elements flowbuilder.place[];
    v_ready    flowbuilder.place[];
    v_started  flowbuilder.event_draft[];
begin
    select * into closed, events, ended, v_elements
    from flowbuilder.complete_tasks(p_worker, p_outcomes, p_now);
    admitted := v_elements is not null;  -- perhaps: then something stands in the queue now
    if admitted then
        ended := ended || flowbuilder.advance_maps(v_elements);
    end if;
    if coalesce(cardinality(ended), 0) = 0 then
        return;
    end if;
    select * into v_ready, mapped, barred from flowbuilder.release_steps(ended, p_now);
    if v_ready is not null then
        select * into leased, v_started from flowbuilder.start_tasks(
            v_ready, p_now, p_worker, flowbuilder.unlimited_tools(p_tools),
            case when p_head is null then p_free else (p_free + 1) / 2 end, p_lease, p_head);
        events := events || v_started;
        admitted := admitted or cardinality(v_ready) > coalesce(cardinality(leased), 0);
    end if;
end
$$;
