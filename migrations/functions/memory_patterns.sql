-- Chains of tools with how often they ran and how: the most often used first.
create or replace function flowbuilder.memory_patterns(p_workspace uuid, p_limit integer)
returns table (tools text[], runs bigint, completed bigint, failed bigint, rejected bigint,
    success_rate double precision, mean_seconds double precision, mean_tokens double precision,
    last_at timestamptz)
language sql stable set search_path = ''
as $$
    select m.tools, count(*), count(*) filter (where m.outcome = 'completed'),
        count(*) filter (where m.outcome = 'failed'),
        count(*) filter (where m.rejected <> '{}'),
        (count(*) filter (where m.outcome = 'completed'))::double precision / count(*),
        avg(m.seconds), avg(m.tokens)::double precision, max(m.learned_at)
    from flowbuilder.memories m where m.workspace_id = p_workspace
    group by m.tools
    order by count(*) desc, max(m.number) desc
    limit least(greatest(p_limit, 1), 1000)
$$;
