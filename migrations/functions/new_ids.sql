-- So many new ids, version 7 of RFC 9562: they begin with the time in milliseconds, so that new rows
-- come to stand together at the end of every index. What follows is a hash of their numbers and one
-- random seed: drawing each at random costs more than all the rest.
create or replace function flowbuilder.new_ids(p_count integer, p_now timestamptz) returns uuid[]
language plpgsql volatile set search_path = ''
as $$
declare
    v_seed bytea := uuid_send(gen_random_uuid());
    v_time text := lpad(to_hex((extract(epoch from p_now) * 1000)::bigint), 12, '0');
begin
    return array(
        select (v_time || '7' || substr(h.hash, 1, 3) || '8' || substr(h.hash, 4, 15))::uuid
        from generate_series(1, p_count) as n (number)
        cross join lateral encode(sha256(v_seed || int4send(n.number)), 'hex') as h (hash));
end
$$;
