-- Only the meaning changes: a replica used to count under an id in its data directory, which copies
-- of the directory shared.
COMMENT ON COLUMN refusals.journal_id IS 'the run of a replica that counted; before: the journal of that replica';
