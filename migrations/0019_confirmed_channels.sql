-- A person's channel brings links by which that person decides, so it counts for links only when that
-- person has said that it is theirs, or has set it; not because an administrator has.
alter table flowbuilder.approval_channels add confirmed_at timestamptz;
