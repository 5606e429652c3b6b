-- The SQLite store changes here. PostgreSQL needs nothing, but both sides have the same versions.
SELECT 1;
