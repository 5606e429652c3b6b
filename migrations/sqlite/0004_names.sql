-- Names that operators see became the field's words. No value changes.
ALTER TABLE usage RENAME COLUMN ending TO outcome;
ALTER TABLE usage RENAME COLUMN trust TO accuracy;
ALTER TABLE refusals RENAME COLUMN journal_id TO instance_id;
ALTER TABLE unshipped_refusals RENAME COLUMN journal_id TO instance_id;
ALTER TABLE set_aside RENAME TO quarantined;

-- What this file is: the only database, or the spool from which rows are shipped to a shared one.
ALTER TABLE journal RENAME TO spool;
UPDATE spool SET role = 'spool' WHERE role = 'journal';
