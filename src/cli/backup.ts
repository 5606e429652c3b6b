import { whyNotSound } from "../stores/sqlite/backup.ts";
import { adminClient } from "./admin_client.ts";
import { loadClientConfig } from "../config/config.ts";
import { type CliSystem, CommandFailure, configSourceOf } from "./system.ts";
import { megabytes } from "./progress.ts";
import { saveBody } from "./save_body.ts";

const NOT_OF_POSTGRES = "This is the spool of one replica. The records of all are in PostgreSQL (LLMPROXY_DATABASE_URL): " +
  "back that up by its own tools, such as pg_dump.\n";

const RESCUED = "The database's files were removed or replaced while the proxy ran. This backup has what the proxy still held, " +
  "whole and sound. Stop the proxy, put this file in their place, and start it";

/** `llmproxy backup FILE`: the embedded database of the running proxy as one file, checked before it gets its name. */
export async function backupCommand(system: CliSystem, output: string): Promise<void> {
  const answer = await adminClient(loadClientConfig(configSourceOf(system)), system).download("POST", "/internal/backup");
  const bytes = Number(answer.headers.get("content-length"));
  const file = (await saveBody(system, answer, { output, what: "backup", expectedBytes: bytes }))!;
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
  // The file is good. But a nightly job must ring its alarm: the proxy records nothing any more.
  if (answer.headers.get("x-llmproxy-backup-rescued") === "true") throw new CommandFailure(RESCUED);
}
