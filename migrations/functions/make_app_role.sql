-- Make the role of the service's requests, if there is none yet, and let the present user take it.
-- Roles belong to the whole server, so another database may be making it at this moment. False: it is
-- not there and may not be made.
create or replace function flowbuilder.make_app_role() returns boolean
language plpgsql set search_path = ''
as $$
declare
    -- since PostgreSQL 16 who makes a role is its member, and may not take it yet
    v_right text := case when current_setting('server_version_num')::integer >= 160000
                         then 'set' else 'member' end;
begin
    if to_regrole('flowbuilder_app') is null then
        begin
            create role flowbuilder_app nologin nosuperuser nocreatedb nocreaterole nobypassrls;
        exception
            when duplicate_object or unique_violation then null;
            when insufficient_privilege then return false;
        end;
    end if;
    if not pg_has_role(current_user, 'flowbuilder_app', v_right) then
        begin
            execute format('grant flowbuilder_app to %I', current_user);
        exception when insufficient_privilege then return false;
        end;
    end if;
    return true;
end
$$;
