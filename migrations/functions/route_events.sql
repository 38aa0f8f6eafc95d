-- Note for each queue that is bound to a topic of these events that it is to get them. The trigger
-- exists only while there is such a queue; it writes numbers and touches no queue, so no reader of
-- one can hold up or fail the transaction of a run.
create or replace function flowbuilder.route_events() returns trigger
language plpgsql set search_path = ''
as $$
begin
    insert into flowbuilder.deliveries (queue, stream, seq)
    select r.queue, w.stream, w.seq
    from written w
    join (
        select distinct t.type, s.queue, s.workspace_id
        from (select distinct n.type, flowbuilder.topic(n.type) as topic from written n) t
        join pgmq.topic_bindings b on t.topic ~ b.compiled_regex
            or split_part(t.topic, '.', 1) ~ b.compiled_regex  -- the channel alone
        join flowbuilder.subscribers s on s.queue = b.queue_name
    ) r on r.type = w.type and (r.workspace_id is null or r.workspace_id = w.workspace_id)
    order by w.stream, w.seq;
    return null;
end
$$;
