-- Put down events of workspaces whose log is read, to be numbered after the commit. The trigger exists
-- only while there is such a log; it touches no row that another transaction may hold.
create or replace function flowbuilder.log_arrivals() returns trigger
language plpgsql set search_path = ''
as $$
begin
    insert into flowbuilder.workspace_arrivals (workspace_id, stream, seq)
    select w.workspace_id, w.stream, w.seq
    from written w join flowbuilder.workspace_logs l on l.workspace_id = w.workspace_id
    where l.read_at > flowbuilder.now() - interval '7 days'
    order by w.stream, w.seq;
    return null;
end
$$;
