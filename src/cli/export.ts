import type { ExportFormat } from "../domain/usage_record.ts";
import { adminClient } from "./admin_client.ts";
import { loadClientConfig } from "../config/config.ts";
import { saveBody } from "./save_body.ts";
import { type CliSystem, configSourceOf } from "./system.ts";

export interface ExportOptions {
  readonly format: ExportFormat;
  /** Milliseconds since the epoch; null: from the first row on, up to now. */
  readonly since: number | null;
  readonly until: number | null;
  readonly workspace: string | null;
  readonly sandbox: string | null;
  /** Null: to stdout. */
  readonly output: string | null;
}

/** `llmproxy export`: the rows of the running proxy, to stdout or into a file, which is there whole or not at all. */
export async function exportCommand(system: CliSystem, options: ExportOptions): Promise<void> {
  const { format, since, until, workspace, sandbox, output } = options;
  const filters = Object.entries({
    format,
    since: since === null ? null : new Date(since).toISOString(),
    until: until === null ? null : new Date(until).toISOString(),
    workspace_id: workspace,
    sandbox_id: sandbox,
  }).filter((filter): filter is [string, string] => filter[1] !== null);
  const client = adminClient(loadClientConfig(configSourceOf(system)), system);
  const answer = await client.download("GET", `/internal/export?${new URLSearchParams(filters)}`);
  const expected = Number(answer.headers.get("x-llmproxy-estimated-bytes") ?? "-1");
  const file = await saveBody(system, answer, { output, what: "export", expectedBytes: expected < 0 ? null : expected });
  await file?.rename();
  const rows = answer.headers.get("x-llmproxy-rows");
  if (system.isTerminal() && output !== null) system.stderr(`${rows ?? "all"} rows in ${output}\n`);
}
