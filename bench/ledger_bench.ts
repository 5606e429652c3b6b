/**
 * Measures the cost of recording: open and close of a call, at several numbers of calls in flight,
 * beside the store's Worker, on a database that holds rows; saturated, and paced. The floor is one
 * bare insert a transaction.
 *
 *     deno run -A bench/ledger_bench.ts [rows already there (200000)] [directory (a temporary one)]
 *
 * `stall` is the longest time without a turn of the event loop: no transaction took longer.
 */
import { DatabaseSync } from "node:sqlite";
import { EMPTY_READING } from "../src/domain/reading.ts";
import { type Closing, type OpenCall, UNSAID } from "../src/domain/usage.ts";
import { openEmbedded } from "../src/stores/sqlite/embedded.ts";
import type { Synchronous } from "../src/stores/sqlite/connection.ts";

const SECONDS = 3;
const rowsBefore = Number(Deno.args[0] ?? 200_000);
const parent = Deno.args[1] ?? Deno.makeTempDirSync();

const CLOSING: Closing = {
  outcome: "completed",
  accuracy: "exact",
  status: 200,
  upstreamRequestId: "req_011CQmJ1q2W3e4R5t6Y7u8I9",
  duration: 12_345,
  ttft: 812,
  cost: 12_345_678,
  unpricedUses: {},
  priceVersion: "2026-11-24",
  reading: {
    ...EMPTY_READING,
    messageId: "msg_01XFDUDYJgAACzvnptvVoYEL",
    servedModel: "claude-opus-4-5-20251101",
    stopReason: "end_turn",
    inputTokens: 12,
    outputTokens: 843,
    cacheReadInputTokens: 84_213,
    serviceTier: "standard",
  },
};

for (const synchronous of ["normal", "full"] as const) {
  console.log(
    `synchronous ${synchronous}, ${rowsBefore} rows there; floor: ${Math.round(bareInserts(synchronous))} bare inserts/s`,
  );
  for (const inFlight of [1, 16, 128, 1024]) await measure(synchronous, { inFlight, pauseMs: 0 });
  await measure(synchronous, { inFlight: 2_000, pauseMs: 1_000 });
}

async function measure(
  synchronous: Synchronous,
  options: { readonly inFlight: number; readonly pauseMs: number },
): Promise<void> {
  const { inFlight, pauseMs } = options;
  const dir = `${parent}/${synchronous}_${inFlight}`;
  const embedded = await openEmbedded({
    dir,
    instanceId: "bench",
    synchronous,
    now: Date.now,
    onTrouble: console.error,
  });
  prefill(`${dir}/llmproxy.db`);
  const latencies: number[] = [];
  const until = performance.now() + SECONDS * 1_000;
  const stalls = watchStalls();
  await Promise.all(Array.from({ length: inFlight }, async (_, lane) => {
    if (pauseMs > 0) await pause(Math.random() * pauseMs);
    for (let n = 0; performance.now() < until; n++) {
      const call = callOf(`ar-${String(lane).padStart(5, "0")}${String(n).padStart(21, "0")}`, lane);
      const trace = { ...call, id: call.traceId, source: "claude-code", updatedAt: call.createdAt };
      const before = performance.now();
      await embedded.ledger.open(call, trace);
      await embedded.ledger.close(call, CLOSING);
      latencies.push(performance.now() - before);
      if (pauseMs > 0) await pause(pauseMs);
    }
  }));
  const stall = stalls();
  const log = Deno.statSync(`${dir}/llmproxy.db-wal`).size;
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)]!.toFixed(2);
  console.log(
    `${String(inFlight).padStart(5)} in flight${pauseMs > 0 ? `, each every ${pauseMs} ms` : ""}: ${
      String(Math.round(latencies.length / SECONDS)).padStart(6)
    } open+close/s, ` +
      `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, p100 ${at(0.999999)} ms, stall ${stall.toFixed(1)} ms, log ${
        (log / 1e6).toFixed(0)
      } MB`,
  );
  await embedded.end();
  Deno.removeSync(dir, { recursive: true });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Returns the longest time between two turns of the event loop since the call. */
function watchStalls(): () => number {
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last - 2);
    last = now;
  }, 2);
  return () => {
    clearInterval(timer);
    return longest;
  };
}

function bareInserts(synchronous: Synchronous): number {
  const file = `${parent}/floor_${synchronous}.db`;
  const db = new DatabaseSync(file);
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; CREATE TABLE t (a TEXT PRIMARY KEY, b TEXT) STRICT`);
  const insert = db.prepare("INSERT INTO t VALUES (?, ?)");
  const until = performance.now() + 1_000;
  let n = 0;
  while (performance.now() < until) insert.run(`ar-${n++}`, "x".repeat(400));
  db.close();
  Deno.removeSync(file);
  return n;
}

function prefill(path: string): void {
  const db = new DatabaseSync(path);
  db.exec(`
    PRAGMA busy_timeout = 5000;
    INSERT INTO usage (id, revision, instance_id, workspace_id, sandbox_id, trace_id, kind, provider, requested_model, outcome,
      accuracy, streaming, created_at, request_bytes)
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ${rowsBefore})
    SELECT printf('ar-%026d', i), 2, 'old', 'w-' || (i % 50), 'sb-' || (i % 500), printf('at-%d', i / 40), 'message',
      'anthropic', 'claude-opus-4-5', 'completed', 'exact', 1, 1700000000000 + i, 1000
    FROM n;
    PRAGMA wal_checkpoint(TRUNCATE);
  `);
  db.close();
}

function callOf(id: string, lane: number): OpenCall {
  return {
    id,
    instanceId: "bench",
    workspaceId: `w-${lane % 50}`,
    sandboxId: `sb-${lane % 500}`,
    traceId: `at-7f9c24e8-3b12-4fef-91e0-${String(lane).padStart(12, "0")}`,
    kind: "message",
    provider: "anthropic",
    requestedModel: "claude-opus-4-5-20251101",
    streaming: true,
    createdAt: Date.now(),
    maxTokens: 32_000,
    requestBytes: 120_000,
    ...UNSAID,
    // All calls differ, as those of an agent do.
    messagesHash: id.slice(-16).padStart(64, "0"),
    agentId: "agent-01",
    requestClass: "main",
    promptId: "0d2a1c9e-4b51-4f0e-8a54-0f3b54a9c001",
    client: "claude-cli/2.1.0",
    credentialId: "0a1b2c3d",
  };
}
