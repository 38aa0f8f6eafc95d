-- Take away one binding of a queue, or all; what was bound is returned. What the queue holds stays
-- there; what it had not been given yet is forgotten with its last binding.
create or replace function flowbuilder.unsubscribe(
    p_workspace uuid, p_queue text, p_pattern text
) returns text[]
language plpgsql set search_path = ''
as $$
declare
    v_patterns text[];
begin
    if to_regclass('pgmq.topic_bindings') is null then
        return '{}';
    end if;
    perform pg_advisory_xact_lock(hashtext('flowbuilder.subscribers'));
    select array_agg(b.pattern order by b.pattern) into v_patterns
    from pgmq.topic_bindings b join flowbuilder.subscribers s on s.queue = b.queue_name
    where b.queue_name = p_queue and (p_pattern is null or b.pattern = p_pattern)
      and (s.workspace_id is null or s.workspace_id = p_workspace);
    perform pgmq.unbind_topic(t.pattern, p_queue) from unnest(v_patterns) t (pattern);
    perform flowbuilder.adjust_subscribers();
    return coalesce(v_patterns, '{}');
end
$$;
