import type { ExportFormat } from "../domain/usage_record.ts";
import { adminClient } from "./admin_client.ts";
import { download } from "./download.ts";
import { type CliSystem, isoOf } from "./system.ts";

export interface ExportOptions {
  readonly format: ExportFormat;
  /** Milliseconds since the epoch; without them, from the first row on, up to now. */
  readonly since?: number;
  readonly until?: number;
  readonly workspace?: string;
  readonly sandbox?: string;
  /** Without it, to stdout. */
  readonly output?: string | undefined;
}

/** `llmproxy export`: the running proxy's rows, to stdout or into a file, whole or not at all. */
export async function exportCommand(system: CliSystem, options: ExportOptions): Promise<void> {
  const { format, since, until, workspace, sandbox, output } = options;
  const filters = Object.entries({
    format,
    since: since === undefined ? since : isoOf(since),
    until: until === undefined ? until : isoOf(until),
    workspace_id: workspace,
    sandbox_id: sandbox,
  }).filter((filter): filter is [string, string] => filter[1] !== undefined);
  const answer = await adminClient(system).download("GET", `/internal/export?${new URLSearchParams(filters)}`);
  const expected = answer.headers.get("x-llmproxy-estimated-bytes");
  const file = await download(system, answer, {
    output,
    what: "export",
    expectedBytes: expected === null ? null : Number(expected),
  });
  await file?.rename();
  const rows = answer.headers.get("x-llmproxy-rows");
  if (system.isTerminal() && output !== undefined) system.stderr(`${rows ?? "all"} rows in ${output}\n`);
}
