/** What a proxy costs before its first call: its start, and its idling. */
import { Buffer } from "node:buffer";
import { startContenders } from "./contenders.ts";
import { BASELINE } from "./outsiders.ts";
import { questionsOf } from "./questions.ts";
import { cpuMs, family } from "./processes.ts";
import { type Contender, type Site } from "./site.ts";
import { medianOf } from "./table.ts";

/** Of each contender: percent of a core. */
export type IdleShares = ReadonlyMap<string, number>;
/** Of each contender: until its first answer. A busy machine adds to `ms`, hardly to `cpuMs`. */
export type StartTimes = ReadonlyMap<string, { readonly ms: number; readonly cpuMs: number }>;

interface Options {
  readonly site: Site;
  readonly missing: Map<string, string>;
}

const SETTLE_MS = 3_000;
const IDLE_MS = 20_000;
const POLL_MS = 5;
const FIRST_ANSWER_MS = 30_000;

/** Of one core, in percent, while nothing calls. */
export async function idleShares(options: Options): Promise<IdleShares> {
  const contenders = await startContenders(["llmproxy", BASELINE], options);
  await pause(SETTLE_MS);
  const cpu = () => contenders.map(({ process }) => cpuMs(family(process!.pid)));
  const before = cpu();
  const start = performance.now();
  await pause(IDLE_MS);
  const after = cpu();
  const seconds = (performance.now() - start) / 1000;
  return new Map(contenders.map(({ name }, index) => [name, (after[index]! - before[index]!) / 10 / seconds]));
}

/** From the start of the process to its first whole answer. Its data directory exists already. */
export async function startTimes(rounds: number, options: Options): Promise<StartTimes> {
  const contenders = await startContenders(["llmproxy", "llmproxy-executable", BASELINE], options);
  for (const { process } of contenders) await process!.stop();
  const starts = new Map(contenders.map((contender) => [contender, [] as Awaited<ReturnType<typeof firstAnswer>>[]]));
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) starts.get(contender)!.push(await firstAnswer(contender));
  }
  const median = (values: readonly number[]) => medianOf(values)!;
  return new Map(
    [...starts].map(([{ name }, those]) => [name, {
      ms: median(those.map(({ ms }) => ms)),
      cpuMs: median(those.map((start) => start.cpuMs)),
    }]),
  );
}

async function firstAnswer({ port, token, restart }: Contender): Promise<{ readonly ms: number; readonly cpuMs: number }> {
  const questions = questionsOf({ ask: { kind: "unary" }, bodyBytes: 10_000 });
  const body = Buffer.alloc(questions.bytes);
  questions.write(0, body);
  const headers = { "x-api-key": token, "content-type": "application/json", "anthropic-version": "2023-06-01" };
  const start = performance.now();
  const process = restart!();
  try {
    while (performance.now() < start + FIRST_ANSWER_MS) {
      const answer = await fetch(`http://127.0.0.1:${port}/v1/messages`, { method: "POST", headers, body }).catch(() => null);
      await answer?.arrayBuffer();
      if (answer?.status === 200) return { ms: performance.now() - start, cpuMs: cpuMs(family(process.pid)) };
      await pause(POLL_MS);
    }
    throw new Error(`nothing answered on port ${port} within ${FIRST_ANSWER_MS} ms`);
  } finally {
    await process.stop();
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
