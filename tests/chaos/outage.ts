/**
 * What an outage of the shared database costs calls: the same load with the database there and
 * away, in turns, in one run.
 */
import { startFakeUpstream } from "../fake_upstream.ts";
import { callAndRead, countsOf, countsOfText, type SeenAnswer, textOf } from "../metered_calls.ts";
import { type PostgresServer, startPostgres } from "../postgres_server.ts";
import type { Row } from "../proxy_under_test.ts";
import { sharedRows } from "../shared_rows.ts";
import { drained, startReplicas } from "./replicas.ts";

export interface OutageOptions {
  /** `stop`: connections are refused. `freeze`: they are silent. */
  readonly how: "stop" | "freeze";
  /** While the database is away; as many while it is there. */
  readonly calls: number;
  /** In so many turns, so that what the machine does besides falls on both. */
  readonly turns: number;
}

export interface OutageResult {
  readonly calls: number;
  /** Calls that failed, or whose row is missing, doubled or wrong, in words. */
  readonly broken: readonly string[];
  /** Milliseconds. */
  readonly there: Quantiles;
  readonly away: Quantiles;
  /** Of the median and of the 95th percentile, away to there. */
  readonly ratios: readonly [number, number];
}

export interface Quantiles {
  readonly p50: number;
  readonly p95: number;
  readonly longest: number;
}

const AT_ONCE = 8;
const WARM_UP = 400;
const DRAIN_MS = 60_000;

const AWAY: Readonly<
  Record<OutageOptions["how"], { begin: (one: PostgresServer) => Promise<void>; end: (one: PostgresServer) => Promise<void> }>
> = {
  stop: { begin: (postgres) => postgres.stop(), end: (postgres) => postgres.start() },
  freeze: { begin: (postgres) => postgres.freeze(), end: (postgres) => postgres.thaw() },
};

export async function measureOutage({ how, calls, turns }: OutageOptions): Promise<OutageResult> {
  await using postgres = await startPostgres({ own: true });
  await using upstream = await startFakeUpstream();
  await using replicas = await startReplicas({ count: 1, upstreamUrl: upstream.url, databaseUrl: postgres.url });
  const [replica] = replicas.all;
  const { url } = replica!.proxy!;
  const token = await replica!.proxy!.token();
  const answers: SeenAnswer[] = [];
  const load = async (count: number) => {
    const times: number[] = [];
    const lane = async () => {
      while (times.length < count) {
        const began = performance.now();
        times.push(0);
        const at = times.length - 1;
        answers.push(await callAndRead(url, { token, text: textOf(answers.length % 5_000), stream: at % 2 === 0 }));
        times[at] = performance.now() - began;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    upstream.forget();
    return times;
  };

  await load(WARM_UP);
  const [there, away]: [number[], number[]] = [[], []];
  for (let turn = 0; turn < turns; turn++) {
    there.push(...await load(Math.ceil(calls / turns)));
    await AWAY[how].begin(postgres);
    away.push(...await load(Math.ceil(calls / turns)));
    await AWAY[how].end(postgres);
    await drained(replicas.all, DRAIN_MS);
  }
  const [before, during] = [quantilesOf(there), quantilesOf(away)];
  return {
    calls: answers.length,
    broken: [...failures(answers), ...disagreements(answers, await sharedRows(postgres))],
    there: before,
    away: during,
    ratios: [during.p50 / before.p50, during.p95 / before.p95],
  };
}

function failures(answers: readonly SeenAnswer[]): readonly string[] {
  return answers.filter(({ isWhole, error }) => !isWhole || error !== null).map(({ status, error }) =>
    `a call failed: ${status} ${error}`
  );
}

function disagreements(answers: readonly SeenAnswer[], rows: readonly Row[]): readonly string[] {
  const charged = (messageId: unknown, counts: readonly unknown[]) => `${messageId}: ${counts.join()}`;
  const found = rows.map((row) => charged(row.message_id, countsOf(row))).sort();
  const expected = answers.map(({ messageId, text }) => charged(messageId, countsOfText(text))).sort();
  if (found.length !== expected.length) return [`${expected.length} calls have ${found.length} rows`];
  return expected.flatMap((words, n) => words === found[n] ? [] : [`expected ${words}, found ${found[n]}`]);
}

function quantilesOf(times: readonly number[]): Quantiles {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.min(Math.floor(part * sorted.length), sorted.length - 1)]!;
  return { p50: at(0.5), p95: at(0.95), longest: at(1) };
}

export function wordsOfOutage({ calls, there, away, ratios }: OutageResult): string {
  const ms = ({ p50, p95, longest }: Quantiles) =>
    [p50, p95, longest].map((time) => `${time.toFixed(1)} ms`.padStart(10)).join("");
  return [
    `${calls} calls    median       p95   longest`,
    `there    ${ms(there)}`,
    `away     ${ms(away)}`,
    `ratios   ${ratios.map((ratio) => ratio.toFixed(2).padStart(10)).join("")}`,
  ].join("\n");
}
