#!/usr/bin/env bash
# Seen on 2026-11-28 with node:sqlite of Deno 2.9.6. It uses SQLite's online backup API, as
# `.backup` of sqlite3 does.
#
# Behaviour: a backup starts over each time another process writes. Beside a program that writes 50
# small transactions a second, the copy of a database of 160 MB is not finished after 8 seconds.
# Without that program it takes one or two. `VACUUM INTO` finishes beside the same program.
# Output seen: "exit codes (124: not finished after 8 s): backup without a writer 0; beside a
# writer: backup 124, VACUUM INTO 0".
# Expected: an "online" backup makes progress on a busy database.
# Hurts: operators who back up a running service by `sqlite3 file ".backup copy"`. The job hangs
# if the service is busy.
# Exits 1 if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d); writer=""
trap '[ -z "$writer" ] || kill "$writer" 2>/dev/null || true; rm -rf "$folder"' EXIT
cat > "$folder/step.ts" <<'TS'
import { backup, DatabaseSync } from "node:sqlite";

const [step, path, copy] = Deno.args;
const db = new DatabaseSync(path!);
db.exec("PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 5000");
if (step === "fill") {
  db.exec("CREATE TABLE t (n INTEGER, padding BLOB)");
  db.exec(`WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 160000)
           INSERT INTO t SELECT n, randomblob(1000) FROM r`);
}
if (step === "write") setInterval(() => db.exec("INSERT INTO t VALUES (0, NULL)"), 20);
if (step === "backup") await backup(db, copy!, { rate: 100 });
if (step === "vacuum") db.exec(`VACUUM INTO '${copy}'`);
TS
npx -y deno@2.9.6 eval "console.log(Deno.execPath())" > "$folder/deno"
deno=$(cat "$folder/deno")
run() { timeout "$1" "$deno" run -A --no-config "$folder/step.ts" "$2" "$folder/busy.db" "${3:-}"; }
run 60 fill
quiet=0; run 8 backup "$folder/quiet.db" || quiet=$?
"$deno" run -A --no-config "$folder/step.ts" write "$folder/busy.db" & writer=$!
until [ -s "$folder/busy.db-wal" ]; do read -rt 0.1 <> <(:) || true; done
vacuum=0; run 8 vacuum "$folder/vacuum.db" || vacuum=$?
busy=0; run 8 backup "$folder/copy.db" || busy=$?
echo "exit codes (124: not finished after 8 s): backup without a writer $quiet; beside a writer: backup $busy, VACUUM INTO $vacuum"
[ "$quiet" = 0 ] && [ "$vacuum" = 0 ] && [ "$busy" = 124 ]
