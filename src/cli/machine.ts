import { monotonicFactory } from "ulid";
import { BATCH_PACE } from "../journey/batch_accounts.ts";
import { readPrices, readSecrets } from "./config.ts";
import { ConfigProblems } from "./config_problems.ts";
import type { ConfigSource } from "./environment.ts";
import type { Machine } from "./platform.ts";

/** The clock, chance and output of this process, and its secrets' files: the one place that reaches for them. */
export function machineOf(source: ConfigSource): Machine {
  const stdout = new TextEncoder();
  return {
    now: () => Date.now(),
    elapsed: () => performance.now(),
    newId: newIdFactory(),
    randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
    writeLog: (line) => writeWhole(Deno.stdout, stdout.encode(line)),
    rereadSecrets: () => orProblems(() => readSecrets(source)),
    rereadPrices: () => orProblems(() => readPrices(source)),
    batchPace: BATCH_PACE,
  };
}

function orProblems<T>(read: () => T): T | ConfigProblems {
  try {
    return read();
  } catch (error) {
    if (error instanceof ConfigProblems) return error;
    throw error;
  }
}

/** ULIDs that sort also within one millisecond, 0.7 us each (a plain `ulid()` takes 20 us). */
function newIdFactory(): () => string {
  const next = monotonicFactory();
  return () => next();
}

function writeWhole(file: { writeSync(bytes: Uint8Array): number }, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}
