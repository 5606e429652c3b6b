-- Names that operators see became the field's words. No value changes.
ALTER TABLE usage RENAME COLUMN ending TO outcome;
ALTER TABLE usage RENAME COLUMN trust TO accuracy;
ALTER TABLE refusals RENAME COLUMN journal_id TO instance_id;
