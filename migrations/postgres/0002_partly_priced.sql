-- What pricing must know about a call, and the uses that are not in the cost.
ALTER TABLE usage ADD COLUMN refusal_category TEXT; -- why the upstream declined; '': it named no category; NULL: it said nothing of one
ALTER TABLE usage ADD COLUMN unpriced_uses    TEXT; -- JSON object: uses by counter that have no price and are not in the cost; NULL: none

ALTER TABLE traces      ADD COLUMN partly_priced_count BIGINT NOT NULL DEFAULT 0; -- calls that are in the cost although some uses have no price
ALTER TABLE usage_hours ADD COLUMN partly_priced_count BIGINT NOT NULL DEFAULT 0;
