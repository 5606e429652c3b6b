-- PostgreSQL changes here. SQLite needs nothing, because its rowids grow in the order in which rows
-- come, but both sides have the same versions.
SELECT 1;
