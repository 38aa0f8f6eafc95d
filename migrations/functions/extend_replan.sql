-- A re-planner goes on with a run that it was given. False: it is not its any more.
create or replace function flowbuilder.extend_replan(
    p_run uuid, p_number integer, p_owner text, p_lease_seconds double precision
) returns boolean
language plpgsql set search_path = ''
as $$
begin
    update flowbuilder.replans
    set lease_until = flowbuilder.now() + make_interval(secs => p_lease_seconds)
    where run_id = p_run and number = p_number and status = 'open' and owner = p_owner;
    return found;
end
$$;
