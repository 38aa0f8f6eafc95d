-- The memories of completed runs whose goals have most words in common with a goal, given by their
-- stems: those with at least `p_least` (0 to 1) in common, the nearest first, the newest of equals.
create or replace function flowbuilder.recall(
    p_workspace uuid, p_stems text[], p_least double precision, p_limit integer
) returns table (id uuid, goal text, tools text[], plan json, nearness double precision)
language sql stable set search_path = ''
as $$
    select m.id, m.goal, m.tools, m.plan, c.nearness
    from flowbuilder.memories m
    cross join lateral (
        select count(*)::double precision
               / sqrt(greatest(cardinality(m.stems), 1)::double precision
                      * greatest(cardinality(p_stems), 1)) as nearness
        from unnest(m.stems) s where s = any (p_stems)) c
    where m.workspace_id = p_workspace and m.stems && p_stems and m.outcome = 'completed'
      and c.nearness >= p_least
    order by c.nearness desc, m.number desc
    limit least(greatest(p_limit, 1), 100)
$$;
