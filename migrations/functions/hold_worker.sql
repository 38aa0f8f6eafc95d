-- Note that a worker takes nothing, because its host has too much to do: what is above its threshold.
-- A null cause: it takes work again.
create or replace function flowbuilder.hold_worker(
    p_worker uuid, p_cause text, p_figure double precision, p_threshold double precision
) returns void
language plpgsql set search_path = ''
as $$
begin
    if p_cause is null then
        delete from flowbuilder.worker_holds h where h.worker_id = p_worker;
        return;
    end if;
    insert into flowbuilder.worker_holds as h (worker_id, cause, figure, threshold, since)
    values (p_worker, p_cause, p_figure, p_threshold, flowbuilder.now())
    on conflict (worker_id) do update
    set cause = excluded.cause, figure = excluded.figure, threshold = excluded.threshold;
end
$$;
