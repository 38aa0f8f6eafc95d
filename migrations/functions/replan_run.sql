-- Carry a run on by a new plan for the rest of it: `p_document` with its compiled rows is the version
-- that it executes from here on. What has started or ended stays as it is, failed steps give way, and
-- the rest is what the document says. `p_failed` are the steps that the re-planner knew to have failed,
-- `p_told` what it tells of its plan: {added: [step, …], …}. The hold is let go of.
create or replace function flowbuilder.replan_run(
    p_workspace uuid, p_run uuid, p_number integer, p_owner text, p_base uuid, p_failed text[],
    p_document json, p_hash text, p_rows json, p_output json, p_places jsonb, p_told json,
    p_usage jsonb
) returns setof flowbuilder.flow_versions
language plpgsql set search_path = ''
as $$
declare
    v_run     flowbuilder.runs := flowbuilder.open_run(p_workspace, p_run, 'plan anew');
    v_version flowbuilder.flow_versions;
    v_added   text[] := array(select json_array_elements_text(p_told -> 'added'));
begin
    perform 1 from flowbuilder.replans r
    where r.run_id = p_run and r.number = p_number and r.owner = p_owner and r.status = 'open'
    for update;
    if not found then
        perform flowbuilder.refuse('conflict', 'replan_lost',
            'this is not yours to plan anew: it took too long, or nobody asks for it any more');
    elsif v_run.version_id <> p_base
          or flowbuilder.touches_started(v_run, p_document, p_failed) then
        perform flowbuilder.refuse('conflict', 'run_changed', 'the run has gone on meanwhile');
    end if;
    v_version := flowbuilder.replan_version(v_run, p_document, p_hash, p_rows, p_output, p_places);
    delete from flowbuilder.run_holds where run_id = p_run and owner = p_owner;
    update flowbuilder.runs
    set version_id = v_version.id, grown_from = coalesce(grown_from, p_base), holds = holds - 1
    where id = p_run;
    update flowbuilder.replans
    set status = 'done', decided_at = flowbuilder.now(), version_id = v_version.id,
        added = v_added, usage = p_usage
    where run_id = p_run and number = p_number;
    perform flowbuilder.append_events(array[(p_run, 'plan_repaired', null, null, null,
        json_build_object('workflow_id', p_run, 'replan', p_number, 'planner', p_told -> 'planner',
            'model', p_told -> 'model', 'failed', p_told -> 'failed', 'diff', p_told -> 'diff',
            'notes', p_told -> 'notes', 'usage', p_usage, 'version_id', v_version.id)
        )::flowbuilder.event_draft]
        || array(
            select (p_run, 'step_added', d.step ->> 'id', null, null, json_build_object(
                'workflow_id', p_run, 'step_name', d.step ->> 'id', 'step', d.step,
                'version_id', v_version.id))::flowbuilder.event_draft
            from json_array_elements(p_document -> 'steps') with ordinality as d (step, place)
            where d.step ->> 'id' = any (v_added) order by d.place));
    perform flowbuilder.replace_steps(p_run, v_version.id);
    return next v_version;
end
$$;
