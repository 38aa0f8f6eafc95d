-- What is due of one run is found without looking at everything else that it has: a map of many
-- elements that all wait for their next attempt is as quick to wake as a single step.
create index tasks_due_of_run on flowbuilder.tasks (run_id, available_at) where parked;
