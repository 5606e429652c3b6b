#!/usr/bin/env bash
# Seen on 2026-11-28 with node:sqlite of Deno 2.9.6 on Linux.
#
# Behaviour: if a database's files are deleted while a program has them open, SQLite confirms
# every further commit. `PRAGMA integrity_check` says "ok", a checkpoint succeeds, and so does the
# close. After that the rows are gone.
# Output seen: "after the deletion: 2 rows, integrity_check ok, checkpoint busy=0; reopened: 0
# tables".
# Expected: an error at the first commit into a file that no longer has a name.
# Hurts: operators whose clean-up job, volume change or restore removes the files of a running
# program. It loses everything that it confirmed since. Compare the inodes from time to time.
# Exits 1 if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/lose.ts" <<'TS'
import { DatabaseSync } from "node:sqlite";

const path = `${import.meta.dirname}/calls.db`;
const db = new DatabaseSync(path);
db.exec("PRAGMA journal_mode = WAL; CREATE TABLE calls (n INTEGER); INSERT INTO calls VALUES (1)");
for (const end of ["", "-wal", "-shm"]) Deno.removeSync(path + end);
db.exec("INSERT INTO calls VALUES (2)");
const { rows } = db.prepare("SELECT count(*) AS rows FROM calls").get() as { rows: number };
const { integrity_check } = db.prepare("PRAGMA integrity_check").get() as { integrity_check: string };
const { busy } = db.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get() as { busy: number };
db.close();
const reopened = new DatabaseSync(path);
const { tables } = reopened.prepare("SELECT count(*) AS tables FROM sqlite_master").get() as { tables: number };
console.log(`after the deletion: ${rows} rows, integrity_check ${integrity_check}, checkpoint busy=${busy}; reopened: ${tables} tables`);
Deno.exit(rows === 2 && integrity_check === "ok" && busy === 0 && tables === 0 ? 0 : 1);
TS
timeout 60 npx -y deno@2.9.6 run -A --no-config "$folder/lose.ts"
