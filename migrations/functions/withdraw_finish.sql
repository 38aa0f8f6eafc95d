-- Take back the finishing task of a (locked) run, if it has one: the run goes on. Who works on it is
-- fenced.
create or replace function flowbuilder.withdraw_finish(p_run uuid) returns void
language plpgsql set search_path = ''
as $$
begin
    perform flowbuilder.drop_messages(array(
        select t.id from flowbuilder.tasks t where t.run_id = p_run and t.position = -1));
    delete from flowbuilder.tasks t where t.run_id = p_run and t.position = -1;
end
$$;
