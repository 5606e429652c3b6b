#!/usr/bin/env bash
# Seen on 2026-11-28 with postgres 3.4.9 (postgres.js) on Node 20, PostgreSQL 15.18 (Debian 12).
#
# Behaviour: a query on an open connection has no deadline. If the server stops answering, the
# query waits, and no option of postgres.js ends it: `connect_timeout` covers only the connection,
# and `idle_timeout` and `max_lifetime` wait for the query. It holds its place in the pool
# meanwhile.
# Output seen: "connect_timeout, idle_timeout, max_lifetime = 2 s: after 15 s the query still
# waits", "a new connection: CONNECT_TIMEOUT".
# Expected: an option for a query's deadline (node-postgres has `query_timeout`).
# Hurts: services whose database host freezes or whose firewall drops packets: the pool fills up
# and every request hangs. Bound each query yourself, and drop its connection.
# Exits 1 if the behaviour changes. The server is frozen by SIGSTOP.
set -euo pipefail
programs=$(dirname "$(ls /usr/lib/postgresql/*/bin/postgres 2>/dev/null | tail -1)")
[ -x "$programs/postgres" ] || { echo "needs PostgreSQL: apt-get install -y postgresql" >&2; exit 2; }
folder=$(mktemp -d)
# PostgreSQL refuses to run as root.
as=(); [ "$(id -u)" != 0 ] || { as=(setpriv --reuid=65534 --regid=65534 --clear-groups); chown 65534 "$folder"; }
end() {
  server=$(head -1 "$folder/data/postmaster.pid" 2>/dev/null) && kill -CONT "$server" $(pgrep -P "$server") || true
  "${as[@]}" "$programs/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap end EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund postgres@3.4.9 >/dev/null
"${as[@]}" "$programs/initdb" -D "$folder/data" -U postgres -A trust --no-sync >/dev/null
"${as[@]}" "$programs/pg_ctl" -D "$folder/data" -l "$folder/log" -w -o "-k $folder -c listen_addresses= -c fsync=off" start >/dev/null
cat > wait.mjs <<'JS'
import postgres from "postgres";
import { execSync } from "node:child_process";
import { readFileSync } from "node:fs";

const SECONDS = 2;
const options = { path: `${process.cwd()}/.s.PGSQL.5432`, user: "postgres", database: "postgres", max: 1, connect_timeout: SECONDS };
const server = readFileSync("data/postmaster.pid", "utf8").split("\n")[0];
const signal = (name) => execSync(`kill -${name} ${server} $(pgrep -P ${server})`);
function within(seconds, query) {
  const late = new Promise((done) => setTimeout(() => done("the query still waits"), seconds * 1000));
  return Promise.race([query.then(() => "an answer", (error) => error.code ?? error.message), late]);
}
const sql = postgres({ ...options, idle_timeout: SECONDS, max_lifetime: SECONDS });
await sql`SELECT 1`;
signal("STOP");
const open = await within(15, sql`SELECT 2`);
const fresh = await within(15, postgres(options)`SELECT 3`);
signal("CONT");
console.log(`connect_timeout, idle_timeout, max_lifetime = ${SECONDS} s: after 15 s ${open}`);
console.log(`a new connection: ${fresh}`);
process.exit(open === "the query still waits" && fresh === "CONNECT_TIMEOUT" ? 0 : 1);
JS
timeout 60 node wait.mjs
