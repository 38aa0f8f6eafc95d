-- Bind a queue, made when it is missing, to a pattern of topics, for one workspace.
create or replace function flowbuilder.subscribe(
    p_workspace uuid, p_queue text, p_pattern text, p_largest integer
) returns void
language plpgsql set search_path = ''
as $$
declare
    v_owner uuid;
begin
    if to_regprocedure('pgmq.bind_topic(text, text)') is null then
        perform flowbuilder.refuse('value', 'topics_missing',
            'this pgmq has no topics; version 1.11 or newer is needed');
    end if;
    perform pg_advisory_xact_lock(hashtext('flowbuilder.subscribers'));
    insert into flowbuilder.subscribers as s (queue, workspace_id, largest)
    values (p_queue, p_workspace, coalesce(p_largest, 10000))
    on conflict (queue) do update set largest = coalesce(p_largest, s.largest)
    returning s.workspace_id into v_owner;
    if v_owner is distinct from p_workspace then
        perform flowbuilder.refuse('conflict', 'queue_taken',
            format('the queue %s gets the events of somebody else', p_queue));
    end if;
    if not exists (select from pgmq.meta m where m.queue_name = p_queue) then
        perform pgmq.create(p_queue);
    end if;
    perform pgmq.bind_topic(p_pattern, p_queue);
    perform flowbuilder.adjust_subscribers();
end
$$;
