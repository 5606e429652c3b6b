/** The admin listener in this process, without sockets, over the embedded database. */
import { Stops } from "../src/call/stops.ts";
import { Traffic } from "../src/call/traffic.ts";
import type { Sample, UpstreamInForce } from "../src/domain/operations.ts";
import { stampOf } from "../src/domain/audit.ts";
import { adminApp } from "../src/http/admin.ts";
import type { AdminDeps } from "../src/http/admin_route.ts";
import { auditedCuts } from "../src/server/audited_cuts.ts";
import { stopButtonsOf } from "../src/server/stop_buttons.ts";
import { StopWatch } from "../src/server/stop_watch.ts";
import { BILLINGS } from "./anthropic.ts";
import { cacheValueOf } from "../src/pricing/cache_value.ts";
import { pricesInForce } from "../src/pricing/in_force.ts";
import { CLAUDE_PRICES } from "../src/pricing/claude_prices.ts";
import { PRICES } from "../src/pricing/prices.ts";
import { localTokens } from "../src/identity/local_tokens.ts";
import { type Embedded, openEmbedded } from "../src/stores/sqlite/embedded.ts";
import { type OpenCall, UNSAID, type UsageRow } from "../src/domain/usage.ts";
import { EMPTY_READING } from "../src/domain/reading.ts";

export const ADMIN_TOKEN = "an-admin-token-of-32-characters!";

export const VIEWER_TOKEN = "a-viewer-token-of-32-characters!";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; null if it is not JSON. */
  // deno-lint-ignore no-explicit-any -- a test looks into answers of every shape
  readonly json: any;
}

export interface AdminUnderTest extends AsyncDisposable {
  /** Asks with the admin token. */
  readonly ask: (path: string, init?: RequestInit) => Promise<Answer>;
  /** Asks with the headers that are given and no others. */
  readonly askBare: (path: string, init?: RequestInit) => Promise<Answer>;
  readonly embedded: Embedded;
  /** The calls that run, and what stops them. */
  readonly traffic: Traffic;
  readonly stops: Stops;
  readonly sandboxOf: (token: string) => Promise<unknown>;
  /** What an operator was told. */
  readonly notes: readonly (readonly unknown[])[];
  /**
   * What a test may change: the clock, why calls cannot be served, the host names, the tokens, the
   * values of the metrics.
   */
  readonly deps: {
    now: number;
    reason: string | null;
    hosts: readonly string[];
    adminToken: string;
    viewerToken: string;
    samples: readonly Sample[];
  };
}

export async function openAdmin(): Promise<AdminUnderTest> {
  const deps = {
    now: Date.UTC(2026, 0, 31, 12),
    reason: null,
    hosts: [],
    adminToken: ADMIN_TOKEN,
    viewerToken: VIEWER_TOKEN,
    samples: [],
  };
  const now = () => deps.now;
  const dir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const embedded = await openEmbedded({ dir, instanceId: "i-1", synchronous: "normal", now, onTrouble: () => {} });
  let ids = 0;
  const tokens = localTokens({
    tokens: embedded.shipping,
    newId: () => `id-${++ids}`,
    randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
    now,
    observe: { lookedUp: () => {} },
    timeoutMs: 5_000,
  });
  const notes: (readonly unknown[])[] = [];
  const traffic = new Traffic();
  const stops = new Stops(traffic);
  const buttons = stopButtonsOf(stops, tokens);
  const observe = { note: (...note: unknown[]) => void notes.push(note) };
  const recordChange: AdminDeps["recordChange"] = (change, by) =>
    embedded.store.appendAudit({ ...stampOf(by, { newId: () => `id-${++ids}`, now }), ...change });
  const app = adminApp({
    store: embedded.store,
    audit: embedded.store,
    recordChange,
    version: "0.0.0",
    cacheValueOf: cacheValueOf(CLAUDE_PRICES, BILLINGS),
    tokens,
    limits: {
      list: embedded.shipping.listLimits,
      set: (place, changes, by) => embedded.shipping.setLimits(place, changes, stampOf(by, { newId: () => `id-${++ids}`, now })),
      usedOf: embedded.shipping.usedOf,
      defaults: { rpd: 0 },
    },
    requests: auditedCuts(buttons, recordChange),
    suspensions: new StopWatch({ records: embedded.shipping, buttons, copy: null, now, newId: () => `id-${++ids}`, observe }),
    metrics: () => Promise.resolve({ text: "llmproxy_up 1\n", contentType: "text/plain; version=0.0.4; charset=utf-8" }),
    samples: () => Promise.resolve(deps.samples),
    upstreams: () => UPSTREAMS,
    prices: () => pricesInForce(PRICES, now()),
    adminToken: () => deps.adminToken,
    viewerToken: () => deps.viewerToken,
    oidc: null,
    isSecure: false,
    newId: () => `id-${++ids}`,
    adminHosts: () => deps.hosts,
    draining: traffic.draining,
    readiness: () => ({ status: deps.reason === null ? "ok" : "unavailable", reason: deps.reason }),
    reship: null,
    reprice: () => null,
    importRows: () => Promise.reject(new Error("nothing was to be taken in")),
    backUp: () => Promise.reject(new Error("no backup was to be made")),
    exportUsage: () => Promise.reject(new Error("no export was to be made")),
    now,
    observe,
  });
  const askBare = async (path: string, init: RequestInit = {}) => readAnswer(await app.request(path, init));
  return {
    ask: (path, init = {}) => askBare(path, { ...init, headers: { authorization: `Bearer ${ADMIN_TOKEN}`, ...init.headers } }),
    askBare,
    embedded,
    traffic,
    stops,
    sandboxOf: tokens.sandboxOf,
    notes,
    deps,
    async [Symbol.asyncDispose]() {
      await embedded.end();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

/** A closed row; `given` changes its call. */
export function usageRow(given: Partial<OpenCall>, reading: Partial<typeof EMPTY_READING> = {}): UsageRow {
  return {
    call: {
      id: "ar-1",
      instanceId: "i-1",
      workspaceId: "ws-1",
      sandboxId: "sb-1",
      traceId: "at-1",
      kind: "message",
      provider: "anthropic",
      requestedModel: "claude-x",
      streaming: true,
      createdAt: Date.UTC(2026, 0, 31, 11),
      maxTokens: 100,
      requestBytes: 1_000,
      ...UNSAID,
      ...given,
    },
    closing: {
      outcome: "completed",
      accuracy: "exact",
      status: 200,
      upstreamRequestId: null,
      duration: 1_500,
      ttft: 400,
      cost: 12_345_678,
      unpricedUses: {},
      priceVersion: "2026-11-24",
      reading: { ...EMPTY_READING, servedModel: "claude-x-1", inputTokens: 10, outputTokens: 20, ...reading },
    },
    revision: 2,
  };
}

async function readAnswer(response: Response): Promise<Answer> {
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: parsed(text) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const BASE_URL = "https://api.example";
const UPSTREAMS: readonly UpstreamInForce[] = [{
  ...{ name: "anthropic", dialect: "anthropic", provider: "anthropic", baseUrl: BASE_URL },
  ...{ models: ["*"], workspaces: null, credentials: [{ id: "key-a", weight: 1, baseUrl: BASE_URL }] },
}];
