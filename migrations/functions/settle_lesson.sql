-- Write down what was decided about a lesson; false when there is no such lesson.
create or replace function flowbuilder.settle_lesson(
    p_workspace uuid, p_lesson uuid, p_status text, p_suite text, p_comparison json, p_by text
) returns boolean
language plpgsql set search_path = ''
as $$
begin
    insert into flowbuilder.memory_rules (id, workspace_id, kind, tool, code, status, suite,
        comparison, decided_by, decided_at)
    select l.id, p_workspace, l.kind, l.tool, l.code, p_status, p_suite, p_comparison, p_by,
        flowbuilder.now()
    from flowbuilder.memory_lessons(p_workspace, 1000) l where l.id = p_lesson
    on conflict (id) do update set status = excluded.status, suite = excluded.suite,
        comparison = excluded.comparison, decided_by = excluded.decided_by,
        decided_at = excluded.decided_at;
    return found;
end
$$;
