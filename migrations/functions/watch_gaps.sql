-- Messages that were taken leave dead rows, which every claim would read again while some transaction
-- that stays open keeps them from being cleared away. So upkeep looks for gaps, ranges of places
-- without a message, and claims step over them. A gap is made in three calls, each of which sees what
-- the one before has committed, so that no message can be in it:
-- 1. the gap is shut: who writes a message from now on puts it at the gap's end (shut_places.sql);
-- 2. the transactions are listed that write at that moment, and may not know that it is shut;
-- 3. when all of these have ended, the places of what they have put there are taken out, and the gap
--    is empty.
-- Making a gap smaller needs no such care. That is done in time for new work to find its place open,
-- and when the dead rows are cleared away there are no gaps.
create or replace function flowbuilder.watch_gaps() returns void
language plpgsql set search_path = ''
as $$
declare
    v_now  timestamptz := flowbuilder.now();
    v_dead bigint := pg_stat_get_dead_tuples('pgmq.q_flowbuilder_tasks'::regclass);
    v_open tstzmultirange;
    g      flowbuilder.queue_gaps;
begin
    select * into g from flowbuilder.queue_gaps where single;
    if g.shut = g.empty and (
        v_dead < 1000 and g.shut = '{}'
        or v_dead >= 1000 and v_dead - g.dead between 0 and greatest(2000, v_dead / 100)
           and v_now between g.seen_at and g.seen_at + interval '30 seconds') then
        return;
    end if;
    select * into g from flowbuilder.queue_gaps where single for update skip locked;
    if not found or g.made_by = pg_current_xact_id() then
        return;
    end if;
    if v_dead < 1000 then
        perform flowbuilder.keep_gaps('{}', '{}', null, 0, v_now);
        return;
    end if;
    if g.shut <> g.empty then
        g.writers := coalesce(g.writers, flowbuilder.queue_writers());
        if not g.writers && flowbuilder.queue_writers() then
            g.empty := flowbuilder.empty_gaps(g.shut, g.empty);
            g.shut := g.empty;
        end if;
    end if;
    if g.shut = g.empty and v_dead - g.dead not between 0 and greatest(2000, v_dead / 100) then
        g.shut := flowbuilder.find_gaps(v_now);
        g.empty := g.empty * g.shut;
        g.writers := null;
        g.dead := v_dead;
        g.seen_at := v_now;
    end if;
    if v_now not between g.seen_at and g.seen_at + interval '30 seconds' then
        v_open := flowbuilder.growing_places(v_now);
        g.shut := g.shut - v_open;
        g.empty := g.empty - v_open;
        g.seen_at := v_now;
    end if;
    perform flowbuilder.keep_gaps(g.shut, g.empty, g.writers, g.dead, g.seen_at);
end
$$;
