import type { AuditAction } from "../domain/audit.ts";
import { adminClient } from "./admin_client.ts";
import { type CliSystem, isoOf } from "./system.ts";
import { tableOf } from "./table.ts";

export interface AuditOptions {
  readonly workspace?: string;
  readonly action?: AuditAction;
  readonly since?: number;
  readonly until?: number;
  readonly json?: true;
}

type Entry = Awaited<ReturnType<ReturnType<typeof adminClient>["audit"]>>["audit"][number];

/** As many as the admin API answers at once. */
const PAGE = "1000";

/** `llmproxy audit`: all administrative changes that the options keep, newest first. */
export async function auditCommand(system: CliSystem, options: AuditOptions): Promise<void> {
  const { workspace, action, since, until, json } = options;
  const query = new URLSearchParams({
    limit: PAGE,
    ...(workspace === undefined ? {} : { workspace_id: workspace }),
    ...(action === undefined ? {} : { action }),
    ...(since === undefined ? {} : { since: isoOf(since) }),
    ...(until === undefined ? {} : { until: isoOf(until) }),
  });
  const client = adminClient(system);
  const entries: Entry[] = [];
  for (;;) {
    const { audit, nextCursor } = await client.audit(query);
    entries.push(...audit);
    if (nextCursor === undefined) break;
    query.set("cursor", nextCursor);
  }
  if (json) return system.stdout(`${JSON.stringify({ audit: entries })}\n`);
  const headings = ["AT", "WHO", "ACTION", "TARGET", "WORKSPACE", "BEFORE", "AFTER"];
  system.stdout(tableOf([headings, ...entries.map(rowOf)], { screen: system.screen() }));
}

function rowOf({ at, who, claimed, address, action, target, workspaceId, before, after }: Entry): string[] {
  const from = address === undefined ? "" : ` from ${address}`;
  const named = claimed === undefined ? who : `${who} (${claimed})`;
  return [at, named + from, action, target, workspaceId ?? "-", shownJson(before), shownJson(after)];
}

function shownJson(value: Entry["before"]): string {
  return value === undefined ? "-" : JSON.stringify(value);
}
