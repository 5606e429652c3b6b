import { whyNotSound } from "../stores/sqlite/backup.ts";
import { adminClient } from "./admin_client.ts";
import { download, megabytes } from "./download.ts";
import { type CliSystem, CommandFailure } from "./system.ts";

const NOT_OF_POSTGRES =
  "This is the spool of one replica. The records of all replicas are in PostgreSQL (LLMPROXY_DATABASE_URL): " +
  "back that up with its own tools, such as pg_dump.\n";

const RESCUED = "The database's files were removed or replaced while the proxy ran. This backup has what the proxy still held, " +
  "whole and sound. Stop the proxy, put this file in their place, and start it";

/** `llmproxy backup FILE`: the running proxy's database, checked before it gets its name. */
export async function backupCommand(system: CliSystem, output: string): Promise<void> {
  const answer = await adminClient(system).download("POST", "/internal/backup");
  const bytes = Number(answer.headers.get("content-length"));
  const file = (await download(system, answer, { output, what: "backup", expectedBytes: bytes }))!;
  const rows = answer.headers.get("x-llmproxy-backup-rows");
  const damage = whyNotSound(file.partialPath, Number(rows)) ??
    (rows === null ? "the proxy did not say how many calls are in it" : null);
  if (damage !== null) {
    await file.discard();
    throw new CommandFailure(`The backup is not sound: ${damage}. No file was left`);
  }
  await file.rename();
  system.stdout(`${output}: ${megabytes(bytes)}, ${rows} calls, checked and sound\n`);
  if (answer.headers.get("x-llmproxy-backup") === "spool") system.stderr(NOT_OF_POSTGRES);
  // The file is good, but a nightly job must raise an alarm: the proxy records nothing any more.
  if (answer.headers.get("x-llmproxy-backup-rescued") === "true") throw new CommandFailure(RESCUED);
}
