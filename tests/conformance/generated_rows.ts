/** Rows as a fleet writes them in some months, the same ones for a seed. */
import type { FaultCode } from "../../src/domain/fault.ts";
import type { RunRefusals } from "../../src/domain/ledger.ts";
import type { UsageReading } from "../../src/domain/reading.ts";
import type { Trace } from "../../src/domain/trace.ts";
import { type Closing, NO_COST, type UsageRow } from "../../src/domain/usage.ts";
import { callOf, closingOf, seededRandom, T0, traceOf } from "./samples.ts";

export const WORKSPACES = ["w-1", "w-2", "w-ä", "W-1", "w 4"] as const;
export const SANDBOXES = Array.from({ length: 12 }, (_, n) => `sb-${n}`);
/** A trace that has more rows than its detail shows. */
export const LONG_TRACE = "at-long";

const MODELS = ["claude-haiku-4-5", "claude-opus-4-8", "claude-sonnet-4-9", "モデル", "Claude-Haiku-4-5", null] as const;
const PROVIDERS = ["anthropic", "Anthropic", "other"] as const;
const UPSTREAMS = [null, "main", "Main"] as const;
const RUNS = ["run-1", "run-2", "run-3"] as const;
const FAULTS: readonly FaultCode[] = ["overloaded", "unauthenticated", "ledger_unavailable"];
/** Why a call stopped; a category is a word, "" if the upstream names none, or null. */
const STOPS = [
  ...Array.from({ length: 12 }, () => ({ stopReason: "end_turn", refusalCategory: null })),
  { stopReason: null, refusalCategory: null },
  { stopReason: "refusal", refusalCategory: "cyber" },
  { stopReason: "refusal", refusalCategory: "" },
  { stopReason: "refusal", refusalCategory: null },
] as const;
const TRACES = 1_500;
/** Calls come in so many hours, spread over four months. */
const BUSY_HOURS = 160;
const HOUR_MS = 3_600_000;
const BUSY_HOUR_APART_MS = 18 * HOUR_MS;
const MINUTE_MS = 60_000;

type Random = () => number;

/** The last moment of what is generated. */
export const T_END = T0 + BUSY_HOURS * BUSY_HOUR_APART_MS;

/** Closed rows, of which some come again, with the same, a lower or a higher revision. */
export function* generatedRows(count: number, seed: number): Generator<UsageRow> {
  const random = seededRandom(seed);
  const earlier: UsageRow[] = [];
  for (let n = 0; n < count; n++) {
    const again = random() < 0.05 ? earlier[Math.floor(random() * earlier.length)] : undefined;
    const row = again === undefined
      ? newRow(random, n / count)
      : { ...newRow(random, n / count), call: again.call, revision: 1 + Math.floor(random() * 4) };
    if (n % 50 === 0) earlier.push(row);
    yield row;
  }
}

export function generatedTraces(rows: readonly UsageRow[]): readonly Trace[] {
  return rows.map(({ call }, n) => ({
    ...traceOf(call),
    source: ["header", "claude-code", "auto"][n % 3]!,
    updatedAt: call.createdAt + n,
  }));
}

export function generatedRefusals(count: number, seed: number): readonly RunRefusals[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => {
    const isKnown = random() < 0.8;
    return {
      workspaceId: isKnown ? oneOf(random, WORKSPACES) : "",
      sandboxId: isKnown ? oneOf(random, SANDBOXES) : "",
      fault: oneOf(random, FAULTS),
      minute: T0 + Math.floor(random() * 2_000) * MINUTE_MS,
      instanceId: oneOf(random, RUNS),
      count: 1 + Math.floor(random() * 50),
    };
  });
}

/** `progress` from 0 up to 1: rows come mostly in the order of their hours. */
function newRow(random: Random, progress: number): UsageRow {
  const hour = Math.floor((random() < 0.95 ? progress : random()) * BUSY_HOURS) * BUSY_HOUR_APART_MS;
  const workspace = Math.floor(random() * WORKSPACES.length);
  const call = callOf({
    workspaceId: WORKSPACES[workspace]!,
    // Neighbouring workspaces have some of the same names.
    sandboxId: SANDBOXES[2 * workspace + Math.floor(random() * 4)]!,
    traceId: random() < 0.08 ? LONG_TRACE : `at-${Math.floor(random() * TRACES)}`,
    kind: random() < 0.95 ? "message" : "batch_line",
    provider: random() < 0.9 ? "anthropic" : oneOf(random, PROVIDERS),
    upstream: oneOf(random, UPSTREAMS),
    requestedModel: oneOf(random, ["claude-asked", "claude-haiku-4-5"]),
    streaming: random() < 0.5,
    // Some on the hour itself, and of the same millisecond.
    createdAt: T0 + hour + (random() < 0.1 ? 0 : Math.floor(random() * HOUR_MS)),
    agentId: random() < 0.5 ? null : `agent "${Math.floor(random() * 9)}" \\ ✓`,
    promptId: random() < 0.5 ? null : "p'1",
    client: random() < 0.5 ? null : "claude-code",
  });
  return { call, closing: newClosing(random), revision: 2 };
}

function newClosing(random: Random): Closing {
  if (random() < 0.05) {
    return closingOf({ servedModel: null }, {
      outcome: "unknown",
      accuracy: "unknown",
      status: null,
      upstreamRequestId: null,
      duration: null,
      ttft: null,
      ...NO_COST,
    });
  }
  const reading: Partial<UsageReading> = {
    messageId: `msg_${Math.floor(random() * 1e9)}`,
    servedModel: oneOf(random, MODELS),
    ...oneOf(random, STOPS),
    inputTokens: Math.floor(random() * 200_000),
    outputTokens: Math.floor(random() * 64_000),
    cacheCreationInputTokens: Math.floor(random() * 100_000),
    // Beyond 32 bits now and then.
    cacheReadInputTokens: Math.floor(random() * (random() < 0.01 ? 5e9 : 1e6)),
    cacheCreation5mTokens: Math.floor(random() * 1_000),
    cacheCreation1hTokens: Math.floor(random() * 1_000),
    thinkingTokens: Math.floor(random() * 500),
    serverToolUse: random() < 0.1 ? { web_search_requests: 2, web_fetch_requests: 1, tool_search_requests: 3 } : {},
    serviceTier: random() < 0.5 ? "standard" : null,
    iterations: random() < 0.05 ? [{ type: "message", input_tokens: 3, model: "claude-x" }] : [],
  };
  const isWell = random() < 0.9;
  const cost = random() < 0.1 ? null : Math.floor(random() * 3e9);
  return closingOf(reading, {
    outcome: isWell ? "completed" : "client_left",
    accuracy: isWell ? "exact" : "estimated",
    duration: random() * 100_000,
    ttft: random() * 1_000,
    cost,
    unpricedUses: cost !== null && reading.serverToolUse?.tool_search_requests ? { tool_search_requests: 3 } : {},
  });
}

function oneOf<T>(random: Random, values: readonly T[]): T {
  return values[Math.floor(random() * values.length)]!;
}
