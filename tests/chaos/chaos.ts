/**
 * The chaos run: clients call through replicas while their database and they themselves are
 * stopped, killed, frozen and cut off.
 */
import { seededRandom } from "../conformance/samples.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { startPostgres } from "../postgres_server.ts";
import { chaosAnswer, numberOf } from "./calls.ts";
import { type Caller, startClients, type Told } from "./clients.ts";
import { befall, planOf, wordsOf } from "./faults.ts";
import { drained, type Replica, startReplicas } from "./replicas.ts";
import { type ApiUsage, type Finding, findingsOf, stateOf } from "./verdict.ts";

export interface ChaosOptions {
  readonly seed: number;
  readonly durationMs: number;
  readonly clients: number;
  readonly replicas: number;
  /** As in `planOf`. */
  readonly paceMs: number;
  /** As in `startClients`. */
  readonly pauseMs: number;
  /** Told what happens, a line at a time. */
  readonly say: (line: string) => void;
}

export interface ChaosResult {
  readonly findings: readonly Finding[];
  readonly calls: number;
  readonly faults: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly rowOutcomes: Readonly<Record<string, number>>;
  /** From the last call to the last row in PostgreSQL. */
  readonly drainMs: number;
}

const WORKSPACES = 3;
const SANDBOXES = 4;
const DRAIN_MS = 60_000;

export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seed, durationMs, say } = options;
  const random = seededRandom(seed);
  const plan = planOf({ durationMs, replicas: options.replicas, random, paceMs: options.paceMs });
  for (const planned of plan) say(wordsOf(planned));

  await using postgres = await startPostgres({ own: true });
  await using upstream = await startFakeUpstream();
  await using replicas = await startReplicas({
    count: options.replicas,
    upstreamUrl: upstream.url,
    databaseUrl: postgres.url,
  });
  const callers = await callersOn(replicas.all);
  const seen = new Map<number, number>();
  upstream.answer((call) => {
    const number = numberOf(call);
    seen.set(number, (seen.get(number) ?? 0) + 1);
    return chaosAnswer(call);
  });

  const clients = startClients({
    count: options.clients,
    replicas: replicas.all,
    callers,
    random: seededRandom(seed + 1),
    pauseMs: options.pauseMs,
  });
  const forgetting = setInterval(() => upstream.forget(), 1_000);
  const faults = await befall(plan, { postgres, replicas: replicas.all });
  await clients.stop();
  clearInterval(forgetting);
  const stoppedAt = performance.now();
  await drained(replicas.all, DRAIN_MS);
  const drainMs = performance.now() - stoppedAt;

  const usage = await Promise.all(replicas.all.map(async ({ proxy }) => (await proxy!.ask("/internal/usage")).usage as ApiUsage));
  const state = await stateOf(postgres);
  return {
    findings: findingsOf({ told: clients.told, upstream: seen, usage }, state),
    calls: clients.told.length,
    faults,
    outcomes: counted(clients.told, ({ outcome }: Told) => outcome),
    rowOutcomes: counted(state.rows, ({ outcome }) => String(outcome)),
    drainMs,
  };
}

/**
 * Local tokens, each used once at every replica: from then on it works there also while the
 * database is away.
 */
async function callersOn(replicas: readonly Replica[]): Promise<readonly Caller[]> {
  const sandboxes = Array.from({ length: WORKSPACES * SANDBOXES }, (_, n) => ({
    workspaceId: `w-${n % WORKSPACES}`,
    sandboxId: `sb-${n}`,
  }));
  const proxies = replicas.map(({ proxy }) => proxy!);
  const callers = await Promise.all(
    sandboxes.map(async (one) => ({ ...one, token: await proxies[0]!.token(one.workspaceId, one.sandboxId) })),
  );
  for (const { token } of callers) {
    for (const { url } of proxies) {
      const answer = await fetch(`${url}/v1/models`, { headers: { "x-api-key": token } });
      if (!answer.ok) throw new Error(`A token does not work: ${answer.status} ${await answer.text()}`);
      await answer.body?.cancel();
    }
  }
  return callers;
}

function counted<T>(items: readonly T[], nameOf: (item: T) => string): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(Object.groupBy(items, nameOf)).map(([name, some]) => [name, some!.length]).sort(),
  );
}

/** The result as a table, and where a promise was broken. */
export function tableOf(result: ChaosResult): string {
  const lines = result.findings.map(({ promise, looked, broken }) =>
    `${promise.padEnd(64)} ${String(looked).padStart(8)} ${String(broken.length).padStart(8)}`
  );
  const detail = result.findings.flatMap(({ promise, broken }) =>
    broken.length === 0 ? [] : [`\n${promise}, but:`, ...broken.slice(0, 10).map((words) => `  ${words}`)]
  );
  return [
    `${result.calls} calls, ${result.faults} faults; the last row came ${Math.round(result.drainMs)} ms after the last call`,
    `clients saw   ${JSON.stringify(result.outcomes)}`,
    `rows ended    ${JSON.stringify(result.rowOutcomes)}`,
    "",
    `${"promise".padEnd(64)} ${"looked".padStart(8)} ${"broken".padStart(8)}`,
    ...lines,
    ...detail,
  ].join("\n");
}

export function isKept(result: ChaosResult): boolean {
  return result.findings.every(({ broken }) => broken.length === 0);
}
