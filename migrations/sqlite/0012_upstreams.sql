-- Several upstreams, and tokens that have a price of their own.
ALTER TABLE usage ADD COLUMN upstream    TEXT; -- the operator's name of the upstream; NULL: the call is older than that name
ALTER TABLE usage ADD COLUMN token_parts TEXT; -- JSON object: parts of the counts with a price of their own, tokens by name; NULL: none
