import { adminClient } from "./admin_client.ts";
import { loadClientConfig } from "../config/config.ts";
import { type CliSystem, configSourceOf } from "./system.ts";

/** `llmproxy reship --since T`: has the running proxy ship what it recorded from then on once more. */
export async function reshipCommand(system: CliSystem, { since }: { readonly since: number }): Promise<void> {
  const queued = await adminClient(loadClientConfig(configSourceOf(system)), system).reship(since);
  system.stdout(
    `${queued} rows since ${new Date(since).toISOString()} are being shipped once more; those that have arrived count once\n`,
  );
}
