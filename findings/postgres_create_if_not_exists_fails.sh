#!/usr/bin/env bash
# Seen on 2026-11-28 with PostgreSQL 15.18 (Debian 12).
#
# Behaviour: if two sessions run the same `CREATE TABLE IF NOT EXISTS` at the same time, one of
# them fails. The same holds for a partition. The error is not even the same one.
# Output seen: 'table: ERROR:  duplicate key value violates unique constraint
# "pg_type_typname_nsp_index"', 'partition: ERROR:  relation "part" already exists'.
# Expected: the second session waits for the first and then says that the table exists.
# Hurts: programs of which several copies start at once and create what they need: some of them
# fail at their first start, or when a new month begins. Take an advisory lock first.
# Exits 1 if the behaviour changes.
set -euo pipefail
programs=$(dirname "$(ls /usr/lib/postgresql/*/bin/postgres 2>/dev/null | tail -1)")
[ -x "$programs/postgres" ] || { echo "needs PostgreSQL: apt-get install -y postgresql" >&2; exit 2; }
folder=$(mktemp -d)
# PostgreSQL refuses to run as root.
as=(); [ "$(id -u)" != 0 ] || { as=(setpriv --reuid=65534 --regid=65534 --clear-groups); chown 65534 "$folder"; }
end() { "${as[@]}" "$programs/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$folder"; }
trap end EXIT
cd "$folder"
"${as[@]}" "$programs/initdb" -D "$folder/data" -U postgres -A trust --no-sync >/dev/null
"${as[@]}" "$programs/pg_ctl" -D "$folder/data" -l "$folder/log" -w -o "-k $folder -c listen_addresses= -c fsync=off" start >/dev/null
export PGHOST=$folder PGUSER=postgres PGDATABASE=postgres PGOPTIONS=--client-min-messages=warning
psql -qc "CREATE TABLE whole (at date) PARTITION BY RANGE (at)"

second_of_two() {
  psql -q -c "BEGIN; $1; SELECT pg_sleep(3); COMMIT" >/dev/null & local first=$!
  until [ "$(psql -Atc "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")" = 1 ]; do :; done
  psql -qc "$1" 2>&1 | head -1
  wait "$first"
}
table=$(second_of_two "CREATE TABLE IF NOT EXISTS plain (n int)")
part=$(second_of_two "CREATE TABLE IF NOT EXISTS part PARTITION OF whole FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')")
echo "table: $table"
echo "partition: $part"
[[ $table == *pg_type_typname_nsp_index* && $part == *"already exists"* ]]
