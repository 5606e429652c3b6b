-- Only the meaning changes: a replica used to count under an id that lay in its data directory, and copies of that shared it.
COMMENT ON COLUMN refusals.journal_id IS 'the run of a replica that counted; before: the journal of that replica';
