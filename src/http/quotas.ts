import { z } from "zod";
import type { Actor } from "../domain/audit.ts";
import {
  ALL_KINDS,
  type Bound,
  isGuard,
  type Limit,
  LIMIT_KINDS,
  type LimitAdmin,
  type LimitChange,
  type LimitDefaults,
  type LimitKind,
  type LimitPlace,
  MAX_LIMIT,
  periodOf,
} from "../domain/limits.ts";
import { costUsd, nanoDollarsOf } from "../domain/money.ts";
import { filtersOf } from "./admin_filters.ts";
import { timeJson } from "./admin_json.ts";
import { AdminRefusal, readJsonBody, shown } from "./admin_refusal.ts";

export interface QuotaDeps {
  readonly limits: LimitAdmin;
  readonly now: () => number;
}

const MAX_BODY_BYTES = 16 * 1024;
const MOST_DOLLARS = "9000000";

const amount = z.int().min(0).max(MAX_LIMIT).nullable();
const dollars = z.string().transform((text, context) => {
  const nano = nanoDollarsOf(text);
  if (nano === null || nano > nanoDollarsOf(MOST_DOLLARS)!) context.addIssue("not an amount of dollars");
  return nano ?? 0;
}).nullable();

/** The key of each kind, as the Go package has that of `rpd`. */
export const KEYS: Readonly<Record<LimitKind, string>> = {
  rpd: "max_rpd",
  tokens_per_day: "max_tokens_per_day",
  cost_per_day: "max_cost_per_day_usd",
  cost_per_month: "max_cost_per_month_usd",
  calls_per_minute: "max_calls_per_minute",
  cost_per_hour: "max_cost_per_hour_usd",
  concurrent: "max_concurrent",
};

/** Of a place: the runaway guard is for traces, and as a default for each of them. */
export function kindsOf(scope: LimitPlace["scope"]): readonly LimitKind[] {
  return ALL_KINDS.filter((kind) => scope === "trace" || scope === "default" || !isGuard(kind));
}

/** Of a `PUT`. */
export function quotaBodyOf(scope: LimitPlace["scope"]) {
  return z.strictObject(
    Object.fromEntries(kindsOf(scope).map((kind) => [KEYS[kind], (isMoney(kind) ? dollars : amount).optional()])),
  );
}

/** `GET`: what holds at a place, and what is used of it. */
export async function readQuota(request: Request, place: LimitPlace, deps: QuotaDeps): Promise<Response> {
  filtersOf(request.url, []);
  return Response.json(await quotaJson(place, deps));
}

/** `PUT` of some keys: null removes a limit, and 0 is no limit whatever the default says. */
export async function setQuota(request: Request, place: LimitPlace, deps: QuotaDeps & { readonly by: Actor }): Promise<Response> {
  filtersOf(request.url, []);
  await changeQuota(await readJsonBody(request, MAX_BODY_BYTES), place, deps);
  return Response.json(await quotaJson(place, deps));
}

/** Sets what the body says. Throws `AdminRefusal` 400. */
export async function changeQuota(
  body: unknown,
  place: LimitPlace,
  { limits, by }: Pick<QuotaDeps, "limits"> & { readonly by: Actor },
): Promise<void> {
  const { data: wanted, error } = quotaBodyOf(place.scope).safeParse(body);
  if (wanted === undefined) throw new AdminRefusal("invalid_request_error", whyUnreadable(body, error.issues[0]!, place));
  const changes = ALL_KINDS.flatMap((kind): LimitChange[] => {
    const max = wanted[KEYS[kind]];
    return max === undefined ? [] : [{ kind, max }];
  });
  if (changes.length === 0) {
    throw new AdminRefusal("invalid_request_error", `Cannot read a limit in the body: ${keyWords(place)}`);
  }
  await limits.set(place, changes, by);
}

/** `DELETE`: removes all limits of the place. 204. */
export async function clearQuota(
  request: Request,
  place: LimitPlace,
  deps: QuotaDeps & { readonly by: Actor },
): Promise<Response> {
  filtersOf(request.url, []);
  await deps.limits.set(place, ALL_KINDS.map((kind) => ({ kind, max: null })), deps.by);
  return new Response(null, { status: 204 });
}

function keyWords(place: LimitPlace): string {
  return `it takes one or more of ${kindsOf(place.scope).map((kind) => KEYS[kind]).join(", ")}`;
}

/** The first three keys as the Go package has them, for a workspace. */
async function quotaJson(place: LimitPlace, { limits, now }: QuotaDeps) {
  const all = await limits.list();
  const own = limitsAt(all, place);
  const byDefault = limitsAt(all, DEFAULT_PLACE);
  const at = now();
  const inForce = limitsInForce(place, { all, defaults: limits.defaults });
  if (place.scope === "default") {
    return { limits: inForce.map(({ kind, max, source }) => ({ kind, max: shownAmount(kind, max), source })) };
  }
  const bounds = inForce.map((limit) => boundOf(limit, place, at));
  const today = boundOf({ kind: "rpd", max: 1 }, place, at);
  const [requestsToday, ...used] = await limits.usedOf(place.workspaceId, [today, ...bounds]);
  const rows = inForce.map(({ kind, max, source }, n) => ({
    kind,
    max: shownAmount(kind, max),
    used: shownAmount(kind, used[n]!),
    source,
    ...(bounds[n]!.until === null ? {} : { resets_at: timeJson(bounds[n]!.until!) }),
  }));
  if (place.scope !== "workspace") return { limits: rows };
  const latest = [...own.values()].toSorted((a, b) => b.updatedAt - a.updatedAt)[0];
  return {
    default_max_rpd: byDefault.get("rpd")?.max ?? limits.defaults.rpd ?? 0,
    today_request_count: requestsToday,
    workspace_quota: latest === undefined ? null : {
      workspace_id: place.workspaceId,
      max_rpd: own.get("rpd")?.max ?? null,
      updated_at: timeJson(latest.updatedAt),
    },
    limits: rows,
  };
}

/** A limit that holds at a place, and who set it. */
export interface LimitInForce extends Pick<Limit, "kind" | "max"> {
  readonly source: Limit["scope"] | "setting";
}

/** What is used of it, calls that run included, and when that starts again; null: never. */
export interface UsedLimit extends LimitInForce {
  readonly used: number;
  readonly until: number | null;
}

/** Of all limits, those that hold at a place: its own, and the defaults that it has not changed. */
export function limitsInForce(
  place: LimitPlace,
  { all, defaults }: { readonly all: readonly Limit[]; readonly defaults: LimitDefaults },
): readonly LimitInForce[] {
  const own = limitsAt(all, place);
  const byDefault = limitsAt(all, DEFAULT_PLACE);
  return kindsOf(place.scope).flatMap((kind) => {
    const hasDefault = place.scope === "default" || place.scope === (isGuard(kind) ? "trace" : "workspace");
    const found = own.get(kind) ?? (hasDefault ? byDefault.get(kind) : undefined);
    const setting = hasDefault ? defaults[kind] ?? 0 : 0;
    const max = found?.max ?? setting;
    return max === 0 ? [] : [{ kind, max, source: found?.scope ?? "setting" }];
  });
}

/** The limits that hold at a workspace, sandbox or trace, with what is used of them. */
export async function usedLimits(place: LimitPlace, { limits, now }: QuotaDeps): Promise<readonly UsedLimit[]> {
  const inForce = limitsInForce(place, { all: await limits.list(), defaults: limits.defaults });
  const bounds = inForce.map((limit) => boundOf(limit, place, now()));
  const used = bounds.length === 0 ? [] : await limits.usedOf(place.workspaceId, bounds);
  return inForce.map((limit, n) => ({ ...limit, used: used[n]!, until: bounds[n]!.until }));
}

function boundOf({ kind, max }: Pick<Limit, "kind" | "max">, place: LimitPlace, at: number): Bound {
  const scope = place.scope as Bound["scope"];
  return { kind, max, scope, id: scope === "workspace" ? place.workspaceId : place.id, ...periodOf(kind, at) };
}

export const DEFAULT_PLACE: LimitPlace = { scope: "default", workspaceId: "", id: "" };

function limitsAt(all: readonly Limit[], { scope, workspaceId, id }: LimitPlace): ReadonlyMap<LimitKind, Limit> {
  const here = all.filter((limit) => limit.scope === scope && limit.workspaceId === workspaceId && limit.id === id);
  return new Map(here.map((limit) => [limit.kind, limit]));
}

export function isMoney(kind: LimitKind): boolean {
  return LIMIT_KINDS[kind].counts === "cost";
}

function shownAmount(kind: LimitKind, value: number): number | string {
  return isMoney(kind) ? costUsd(value) : value;
}

function whyUnreadable(body: unknown, issue: z.core.$ZodIssue, place: LimitPlace): string {
  if (issue.code === "unrecognized_keys") return `Cannot read ${shown(issue.keys[0]!)} in the body: ${keyWords(place)}`;
  const name = String(issue.path[0] ?? "");
  const kind = ALL_KINDS.find((kind) => KEYS[kind] === name);
  if (kind === undefined) return `Cannot read the body as a JSON object: ${keyWords(place)}`;
  const value = JSON.stringify((body as Readonly<Record<string, unknown>>)[name]);
  const expects = isMoney(kind)
    ? `dollars in a text, such as "12.50", at most "${MOST_DOLLARS}", or null`
    : "a whole number from 0, or null";
  return `Cannot read ${name} as ${expects}: current value is ${shown(value)}`;
}
