import { z } from "zod";
import { AUDIT_ACTIONS, AUDIT_WHO } from "../domain/audit.ts";
import { ALL_KINDS } from "../domain/limits.ts";
import { TOKEN_KINDS } from "../domain/price.ts";
import { TOTALS } from "../domain/totals.ts";
import { ACCURACIES } from "../domain/usage.ts";
import { type Column, columnsShownIn } from "../domain/usage_columns.ts";
import { ADMIN_REFUSAL_TYPES } from "./admin_refusal.ts";

/**
 * The admin API's answers as JSON, for its OpenAPI document. The code that writes an answer does
 * not use them: `tests/journeys/openapi_fuzz_test.ts` compares both.
 */
export const SHAPES = z.registry<{ id: string }>();

const time = z.iso.datetime().register(SHAPES, { id: "Time" });
const usd = z.string().regex(/^-?\d+\.\d{9}$/).describe("US dollars, exact").register(SHAPES, { id: "Usd" });
/** Above 2^53 too, which `z.int()` does not take. */
const count = z.number().meta({ type: "integer" }).register(SHAPES, { id: "Count" });

const VALUES: Readonly<Record<Column["kind"] | "tokens", z.ZodType>> = {
  text: z.string(),
  count,
  tokens: count,
  ms: count,
  time,
  money: usd,
  flag: z.boolean(),
  counts: z.record(z.string(), count),
  list: z.array(z.record(z.string(), z.unknown())),
};

const totals = totalsOf(TOTALS);
const totalsWithoutTokens = totalsOf(TOTALS.filter(({ kind }) => kind !== "tokens"));
const allTotals = z.object(totals).register(SHAPES, { id: "Totals" });

const group = z.object({
  provider: z.string().optional(),
  upstream: z.string().optional(),
  model: z.string().optional(),
  workspaceId: z.string().optional(),
  sandboxId: z.string().optional(),
  traceId: z.string().optional(),
  agentId: z.string().optional(),
  client: z.string().optional(),
  day: z.iso.date().optional(),
  hour: time.optional(),
  ...totals,
}).register(SHAPES, { id: "UsageGroup" });

export const usageShape = z.object({
  usage: z.array(group),
  totals: allTotals,
  nextCursor: z.string().optional(),
  since: time.optional(),
  until: time.optional(),
}).register(SHAPES, { id: "Usage" });

const trace = z.object({
  id: z.string(),
  sandboxId: z.string(),
  workspaceId: z.string(),
  source: z.string(),
  createdAt: time,
  updatedAt: time,
}).register(SHAPES, { id: "Trace" });

const traceWithStats = trace.extend({
  totalInputTokens: count,
  totalOutputTokens: count,
  totalCacheCreationInputTokens: count,
  totalCacheReadInputTokens: count,
  ...totalsWithoutTokens,
}).register(SHAPES, { id: "TraceWithStats" });

export const tracesShape = z.object({
  traces: z.array(traceWithStats),
  total: count,
  totals: allTotals,
  nextCursor: z.string().optional(),
}).register(SHAPES, { id: "Traces" });

const request = z.object(Object.fromEntries(
  columnsShownIn("detail").map(({ jsonKey, kind, isAlwaysShown }) => {
    return [jsonKey, isAlwaysShown ? VALUES[kind] : VALUES[kind].optional()];
  }),
)).register(SHAPES, { id: "Request" });

export const endedCallsShape = z.object({ calls: z.array(request), next: z.string() }).register(SHAPES, { id: "EndedCalls" });

const agent = z.object({
  kind: z.string(),
  agentId: z.string().optional(),
  parentAgentId: z.string().optional(),
  agentType: z.string().optional(),
  ...totals,
  firstAt: time.optional(),
  lastAt: time.optional(),
  get children(): z.ZodArray {
    return z.array(agent);
  },
}).register(SHAPES, { id: "Agent" });

export const traceDetailShape = z.object({
  trace,
  requests: z.array(request),
  agents: z.array(agent),
  cache: z.object({
    readTokens: count,
    writeTokens: count,
    savedUsd: usd,
    writePremiumUsd: usd,
    missedTokens: count,
    missCostUsd: usd,
    unpricedCount: count,
    isWhole: z.boolean(),
  }),
}).register(SHAPES, { id: "TraceDetail" });

export const refusalsShape = z.object({
  refusals: z.array(z.object({
    workspaceId: z.string().optional(),
    sandboxId: z.string().optional(),
    fault: z.string(),
    minute: time,
    count,
  })),
}).register(SHAPES, { id: "Refusals" });

export const tokenShape = z.object({
  id: z.string(),
  workspaceId: z.string(),
  sandboxId: z.string(),
  createdAt: time,
  expiresAt: time.optional(),
  revokedAt: time.optional(),
}).register(SHAPES, { id: "Token" });

export const newTokenShape = z.object({ token: z.string(), ...tokenShape.shape }).register(SHAPES, { id: "NewToken" });
export const tokensShape = z.object({ tokens: z.array(tokenShape) }).register(SHAPES, { id: "Tokens" });

const change = {
  repricedCount: count,
  oldCostUsd: usd,
  newCostUsd: usd,
  differenceUsd: usd,
  newlyPricedCount: count,
  newlyUnpricedCount: count,
};

export const repricedShape = z.object({
  dryRun: z.boolean(),
  since: time,
  until: time,
  priceVersion: z.string(),
  readCount: count,
  ...change,
  changes: z.array(z.object({
    model: z.string().optional(),
    oldPriceVersion: z.string().optional(),
    newPriceVersion: z.string().optional(),
    ...change,
  })),
}).register(SHAPES, { id: "Repriced" });

const limitKind = z.enum(ALL_KINDS);
/** Dollars, or a count. */
const limitAmount = z.union([count, usd]);
const limitInForce = { kind: limitKind, max: limitAmount, source: z.string() };
const usedLimit = z.object({ ...limitInForce, used: limitAmount, resets_at: time.optional() });

export const quotaOfDefaultShape = z.object({ limits: z.array(z.object(limitInForce)) })
  .register(SHAPES, { id: "DefaultQuota" });
export const quotaShape = z.object({ limits: z.array(usedLimit) }).register(SHAPES, { id: "Quota" });
export const quotaOfWorkspaceShape = z.object({
  default_max_rpd: count,
  today_request_count: count,
  workspace_quota: z.object({ workspace_id: z.string(), max_rpd: count.nullable(), updated_at: time }).nullable(),
  limits: z.array(usedLimit),
}).register(SHAPES, { id: "WorkspaceQuota" });

const auditJson = z.record(z.string(), z.unknown());

export const suspensionShape = z.object({
  workspaceId: z.string(),
  sandboxId: z.string().optional(),
  createdAt: time,
  reason: z.string().optional(),
}).register(SHAPES, { id: "Suspension" });

export const suspensionsShape = z.object({ suspensions: z.array(suspensionShape) }).register(SHAPES, { id: "Suspensions" });

const known = count.nullable();

export const runningCallShape = z.object({
  id: z.string(),
  workspaceId: z.string(),
  sandboxId: z.string(),
  traceId: z.string().nullable(),
  route: z.string(),
  model: z.string().nullable(),
  client: z.string().nullable(),
  provider: z.string(),
  upstream: z.string(),
  createdAt: time,
  ageMs: count,
  status: known,
  accuracy: z.enum(ACCURACIES),
  inputTokens: known,
  outputTokens: known,
  cacheCreationInputTokens: known,
  cacheReadInputTokens: known,
  costUsd: usd.nullable(),
  worker: known,
}).register(SHAPES, { id: "RunningCall" });

export const runningCallsShape = z.object({ requests: z.array(runningCallShape) }).register(SHAPES, { id: "RunningCalls" });

export const auditShape = z.object({
  audit: z.array(z.object({
    id: z.string(),
    at: time,
    who: z.enum(AUDIT_WHO),
    claimed: z.string().optional(),
    address: z.string().optional(),
    action: z.enum(AUDIT_ACTIONS),
    target: z.string(),
    workspaceId: z.string().optional(),
    before: auditJson.optional(),
    after: auditJson.optional(),
  })),
  nextCursor: z.string().optional(),
}).register(SHAPES, { id: "Audit" });

export const importedShape = z.object({ unpriced: count }).register(SHAPES, { id: "Imported" });
export const queuedShape = z.object({ queued: count }).register(SHAPES, { id: "Queued" });
export const upstreamsShape = z.object({
  upstreams: z.array(z.object({
    name: z.string(),
    dialect: z.string(),
    provider: z.string(),
    baseUrl: z.string(),
    models: z.array(z.string()),
    workspaces: z.array(z.string()).nullable(),
    credentials: z.array(z.object({ id: z.string(), weight: count, baseUrl: z.string() })),
  })),
}).register(SHAPES, { id: "Upstreams" });

const decimal = z.string().optional();
export const pricesShape = z.object({
  version: z.string(),
  prices: z.array(z.object({
    model: z.string(),
    from: z.string(),
    until: z.string().nullable(),
    promptFrom: count,
    fastPercent: count.nullable(),
    serviceTierPercent: z.record(z.string(), count),
    ...Object.fromEntries(TOKEN_KINDS.map((kind) => [kind, decimal])),
  })),
}).register(SHAPES, { id: "Prices" });

export const healthShape = z.object({ status: z.string(), reason: z.string().optional() }).register(SHAPES, { id: "Health" });
export const documentShape = z.record(z.string(), z.unknown()).register(SHAPES, { id: "OpenApi" });

export const refusalShape = z.object({
  error: z.object({ type: z.enum(ADMIN_REFUSAL_TYPES), message: z.string() }),
}).register(SHAPES, { id: "Refusal" });

function totalsOf(kept: typeof TOTALS): Readonly<Record<string, z.ZodType>> {
  return Object.fromEntries(kept.map(({ field, kind }) => [kind === "money" ? `${field}Usd` : field, VALUES[kind]]));
}
