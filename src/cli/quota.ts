import { ALL_KINDS, type LimitKind, type LimitPlace } from "../domain/limits.ts";
import { isMoney, KEYS } from "../http/quotas.ts";
import { adminClient } from "./admin_client.ts";
import { type CliSystem, CommandFailure } from "./system.ts";
import { tableOf } from "./table.ts";

export interface QuotaOptions {
  readonly sandbox?: string;
  readonly trace?: string;
  readonly json?: true;
}

/** The option of a kind, such as `--cost-per-day`, and what it takes. */
export const LIMIT_OPTIONS: readonly { readonly kind: LimitKind; readonly flag: string; readonly field: string }[] = ALL_KINDS
  .map(
    (kind) => ({
      kind,
      flag: `--${kind.replaceAll("_", "-")} <${isMoney(kind) ? "dollars" : "count"}>`,
      field: kind.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    }),
  );

/** `llmproxy quota get`. */
export async function getQuotaCommand(system: CliSystem, workspace: string | undefined, options: QuotaOptions): Promise<void> {
  show(system, await adminClient(system).quota("GET", pathOf(placeOf(workspace, options))), options);
}

/** `llmproxy quota set`: `values` are texts by the field of `LIMIT_OPTIONS`. */
export async function setQuotaCommand(
  system: CliSystem,
  workspace: string | undefined,
  { values, ...options }: QuotaOptions & { readonly values: Readonly<Record<string, string | undefined>> },
): Promise<void> {
  const given = LIMIT_OPTIONS.filter(({ field }) => values[field] !== undefined);
  if (given.length === 0) throw new CommandFailure("Cannot set a limit: name at least one, such as --cost-per-day 5");
  const body = Object.fromEntries(given.map(({ kind, field }) => [KEYS[kind], wantedOf(kind, values[field]!)]));
  show(system, await adminClient(system).quota("PUT", pathOf(placeOf(workspace, options)), body), options);
}

/** `llmproxy quota clear`: removes all limits of the place. */
export async function clearQuotaCommand(system: CliSystem, workspace: string | undefined, options: QuotaOptions): Promise<void> {
  const place = placeOf(workspace, options);
  await adminClient(system).quota("DELETE", pathOf(place));
  if (!options.json) system.stdout(`removed all limits of ${nameOf(place)}\n`);
}

type Quota = NonNullable<Awaited<ReturnType<ReturnType<typeof adminClient>["quota"]>>>;

function show(system: CliSystem, quota: Quota | null, { json }: QuotaOptions): void {
  if (json) return system.stdout(`${JSON.stringify(quota)}\n`);
  const rows = (quota?.limits ?? []).map(({ kind, max, used, source, resets_at }) => [
    ...[kind, String(max), used === undefined ? "-" : String(used), source, resets_at ?? "-"],
  ]);
  const headings = ["LIMIT", "MAX", "USED", "SET FOR", "RESETS AT"];
  system.stdout(tableOf([headings, ...rows], { numbers: ["MAX", "USED"], screen: system.screen() }));
}

/** `none` removes a limit. What is no number is for the admin API to refuse. */
function wantedOf(kind: LimitKind, text: string): number | string | null {
  if (text === "none") return null;
  return isMoney(kind) || !/^\d{1,16}$/.test(text) ? text : Number(text);
}

function placeOf(workspace: string | undefined, { sandbox, trace }: QuotaOptions): LimitPlace {
  if (sandbox !== undefined && trace !== undefined) throw new CommandFailure("Cannot use both --sandbox and --trace");
  const id = sandbox ?? trace ?? "";
  if (workspace !== undefined) {
    const scope = sandbox !== undefined ? "sandbox" : trace !== undefined ? "trace" : "workspace";
    return { scope, workspaceId: workspace, id };
  }
  if (id !== "") throw new CommandFailure("Cannot find the sandbox or trace: name its workspace too");
  return { scope: "default", workspaceId: "", id: "" };
}

function pathOf({ scope, workspaceId, id }: LimitPlace): string {
  const below = scope === "sandbox" ? ["sandboxes", id] : scope === "trace" ? ["traces", id] : [];
  const parts = scope === "default" ? [] : [workspaceId, ...below];
  return ["/internal/quotas", ...parts.map(encodeURIComponent)].join("/");
}

function nameOf({ scope, workspaceId, id }: LimitPlace): string {
  if (scope === "default") return "the default";
  return scope === "workspace" ? `workspace ${workspaceId}` : `${scope} ${id} of workspace ${workspaceId}`;
}
